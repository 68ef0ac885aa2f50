"""Models: networks, conditions and the bundle that holds them."""

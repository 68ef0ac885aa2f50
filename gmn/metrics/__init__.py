"""What is measured: bits per sample, health of a clip, agreement with labels; pure functions on numpy arrays."""

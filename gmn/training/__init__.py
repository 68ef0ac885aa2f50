"""Training: plain PyTorch fits, and Ray Train around them."""

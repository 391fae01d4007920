"""Ground truth: networks and images for which it is known which pixels are relevant."""

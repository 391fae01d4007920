"""Training and measuring classifiers of MNIST's digits."""

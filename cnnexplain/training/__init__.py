"""Training the LeNet, and evaluating digit classifiers, on MNIST."""

"""What all tests of this folder share."""

from quick_keras import quick  # noqa: F401

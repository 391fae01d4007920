"""What all tests of this folder share."""

import unoptimized  # noqa: F401

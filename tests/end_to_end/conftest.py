"""What all tests of this folder share."""

import quick_keras  # noqa: F401

"""Array types for signatures, where the shape is not known or varies."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""An array of any data type."""

Floats: TypeAlias = NDArray[np.floating[Any]]
"""An array of floating-point numbers; images are float32."""

Integers: TypeAlias = NDArray[np.int64]
"""An array of 64-bit integers, such as the classes to explain."""

"""The array types that the package's signatures name."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""An array of any type."""

Floats: TypeAlias = NDArray[np.floating[Any]]
"""An array of floating-point numbers; images are float32."""

Integers: TypeAlias = NDArray[np.int64]
"""An array of 64-bit whole numbers, such as the classes to explain."""

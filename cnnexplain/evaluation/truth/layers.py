"""What the networks of all cases share."""

from typing import Any

REAL: dict[str, Any] = {"dtype": "float32"}
LAST: dict[str, Any] = {**REAL, "data_format": "channels_last"}
"""Arguments of layers, explicit so that the global settings of Keras do not change a network."""

"""Models without a graph of layers, since their class has a `call` method of its own."""

from __future__ import annotations

from typing import Any

import keras

from cnnexplain.errors import ModelError
from cnnexplain.interruption import check_interrupted


def has_graph(model: Any) -> bool:
    """Whether a layer is a model that computes its graph of layers."""
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        return False
    return bool(type(model).call.__module__.partition(".")[0] == "keras")


def no_graph(model: Any) -> ModelError:
    """The error for a model without a graph, with instructions to give it one."""
    kind, shape = type(model).__name__, _input_shape(model)
    if isinstance(model, keras.Sequential):
        sizes = "(None, height, width, channels)" if shape is None else f"(None, {', '.join(map(str, shape))})"
        return ModelError(
            f"The model '{model.name}' ({kind}) has no graph of layers, since the size of its input is unknown. "
            f"Build it for one: model.build({sizes})"
        )
    sizes = "(height, width, channels)" if shape is None else repr(shape)
    return ModelError(
        f"The model '{model.name}' ({kind}) has no graph of layers, as its class computes by a call() of its own. "
        f"Give it one, and load or save that: i = keras.Input({sizes}); model = keras.Model(i, model.call(i))"
    )


def _input_shape(model: Any) -> tuple[int | None, ...] | None:
    """(H, W, C) of the images that a model was built for; None if it was not built."""
    try:
        shape = (model.get_build_config() or {}).get("input_shape")
    # The method may be the user's.
    except Exception as error:  # noqa: BLE001
        check_interrupted(error)
        return None
    if (
        not isinstance(shape, list | tuple)
        or len(shape) < 2
        or not all(each is None or isinstance(each, int) for each in shape)
    ):
        return None
    return tuple(shape[1:])

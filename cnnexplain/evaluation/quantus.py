"""`cnnexplain.explain_func`: makes an analysis callable as the `explain_func` of Quantus."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import UsageError
from cnnexplain.evaluation import methods
from cnnexplain.model.classifier import Classifier

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped


def explain_func(analysis: str, classifier: Classifier) -> Callable[..., Float[np.ndarray, " N 1 H W"]]:
    """An analysis as the `explain_func` that the metrics of Quantus call.

    ```python
    metric = quantus.MaxSensitivity(nr_samples=10)
    metric(model=classifier.model, x_batch=images, y_batch=classes, explain_func=cx.explain_func("saliency", classifier))
    ```

    Args:
        analysis: The name of the analysis, with options if they differ from the defaults, such as
            "gradcam:method=layercam". Its map is the same as in `cnnexplain.benchmark`.
        classifier: The model to explain, from `cnnexplain.load`.

    Returns:
        (model, inputs, targets, **ignored) ↦ the maps: (N, 1, H, W) if the inputs have their channels first, otherwise
        (N, H, W, 1). The inputs are in the model's input range. The model is ignored: maps are those of the classifier.

    Raises:
        UsageError: There is no such analysis or option, or the analysis has no map of the image.
    """
    explain = methods.analysis(analysis).explain
    assert explain is not None
    shape = classifier.preprocess.shape

    def explained(
        model: object,  # noqa: ARG001  # Quantus passes it by this name.
        inputs: Shaped[np.ndarray, "N ..."],
        targets: Int[np.ndarray, " N"],
        **_: Any,
    ) -> Float[np.ndarray, " N ..."]:
        images = np.asarray(inputs, np.float32)
        first = images.shape[1:] == (shape[2], *shape[:2])
        if not first and images.shape[1:] != shape:
            raise UsageError(f"The inputs have the shape {images.shape}; the model takes (N, {', '.join(map(str, shape))}).")
        maps, _warnings = explain(
            classifier, np.moveaxis(images, 1, -1) if first else images, np.asarray(targets).astype(int).tolist()
        )
        return np.asarray(maps[:, None] if first else maps[..., None])

    return explained

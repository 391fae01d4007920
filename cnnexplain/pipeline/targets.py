"""From the targets that a user gives to class indices and objectives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cnnexplain.errors import ModelError, UsageError
from cnnexplain.inputs.image_stream import Stream
from cnnexplain.model.classifier import Classifier
from cnnexplain.model.computation.objectives import Logit, Objective
from cnnexplain.model.computation.predictions import ImageLogit, Predictions

if TYPE_CHECKING:
    from jaxtyping import Float


Class: TypeAlias = int | str
Target: TypeAlias = Class | Objective

Resolved: TypeAlias = int | Objective
"""A resolved target: a class index or an objective."""

PREDICTED = 16
"""Maximum number of predicted classes that an analysis of the model itself explains."""


def resolve(target: Target | Sequence[Target] | None, classifier: Classifier) -> Resolved | list[Resolved] | None:
    """Looks up classes by label or index.

    Returns:
        The index of each class; objectives and None are unchanged.

    Raises:
        UsageError: There is no such class.
    """
    if target is None or isinstance(target, Objective):
        return target
    if _is_several(target):
        several: Any = target
        return [one if isinstance(one, Objective) else classifier.target(one) for one in several]
    return classifier.target(target)  # type: ignore[arg-type]


def spread(target: Resolved | list[Resolved], count: int | None) -> list[Resolved]:
    """One resolved target for each of `count` images; all given targets if `count` is None.

    Raises:
        UsageError: There are more or fewer targets than images.
    """
    targets = target if isinstance(target, list) else [target] * (1 if count is None else count)
    if count is not None and len(targets) != count:
        raise UsageError(f"Got {len(targets)} targets for {count} images; give one, or one per image.")
    return targets


def spread_against(against: Any, count: int) -> list[int]:
    """One class of `against` for each of `count` targets.

    Raises:
        UsageError: There are more or fewer classes than targets.
    """
    classes = against if isinstance(against, list) else [against] * count
    if len(classes) != count:
        raise UsageError(f"'against' has {len(classes)} entries for {count} targets; give one, or one per target.")
    return classes


def image_objectives(predictions: Predictions, targets: Sequence[Resolved] | None) -> list[Objective]:
    """The objective for each image of a batch: that of its target, or for None the logit of the predicted class."""
    each = [None] * len(predictions) if targets is None else targets
    return [
        target if isinstance(target, Objective) else ImageLogit.of(predictions, place, target)
        for place, target in enumerate(each)
    ]


def contrasts(
    objectives: Sequence[Objective], targets: Sequence[Resolved], against: Sequence[int], classifier: Classifier
) -> list[Objective]:
    """The objectives of targets, each minus the logit of its class of `against`.

    Raises:
        UsageError: A target and its `against` are the same.
    """
    for target, index in zip(targets, against, strict=True):
        value = index % classifier.outputs
        if classifier.head == "values" and isinstance(target, int) and target % classifier.outputs == value:
            raise UsageError(
                f"The target and 'against' must be different values (both refer to '{classifier.labels[value]}')"
                + ("; choose another one." if classifier.outputs > 1 else ", and the model has no other output.")
            )
        if target == index:
            raise UsageError(
                f"The target and 'against' must be different classes (both are '{classifier.labels[index]}'). Choose "
                "another class; the default target is the prediction."
            )
    return [objective - Logit(index) for objective, index in zip(objectives, against, strict=True)]


def predicted(classifier: Classifier, images: Stream, against: Sequence[int] | None) -> tuple[list[int], tuple[str, ...]]:
    """The predicted class and the runner-up of each image; with `against`, only the predictions that differ from it.

    Returns:
        Up to `PREDICTED` different classes, and a warning if there are more.
    """
    if classifier.head == "values":
        # The first value, as for images.
        return [0], ()
    first = 1 if against is not None else 2
    classes: dict[int, None] = {}
    for _, batch in images.batches():
        probabilities = classifier.predict(np.asarray(batch))
        check_finite(classifier, probabilities)
        for index in np.argsort(-probabilities, axis=1, kind="stable")[:, :first].ravel():
            if against is None or index != against[0]:
                classes[int(index)] = None
    if against is not None and not classes:
        label = classifier.labels[against[0]]
        raise UsageError(
            f"All images are predicted to be {label}, which is also 'against'. Choose another class, or set a target."
        )
    warning = f"The images belong to {len(classes)} different classes; the first {PREDICTED} of them are explained."
    return list(classes)[:PREDICTED], (warning,) if len(classes) > PREDICTED else ()


def check_finite(classifier: Classifier, outputs: Float[np.ndarray, "N K"], which: str = "") -> None:
    """Checks that the outputs of a model are finite.

    Raises:
        ModelError: They are not.
    """
    if not np.isfinite(outputs).all():
        what = "values" if classifier.head == "values" else "probabilities"
        raise ModelError(f"'{classifier.name}' returned {what} that are not finite (NaN or infinity){which}.")


def _is_several(target: object) -> bool:
    return isinstance(target, Sequence | np.ndarray) and not isinstance(target, str) and getattr(target, "ndim", 1) > 0

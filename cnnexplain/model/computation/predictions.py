"""The predictions for a batch of images, known after the first pass that computes them, and objectives that wait for it.

An analysis gets its objectives before the network has seen the images. If it first asks for their gradients, a single pass
computes the predictions, the values of the objectives and the gradients. If it first reads a target, a forward pass computes
the predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cnnexplain.model.computation.objectives import Logit, Targets
from cnnexplain.model.computation.readouts import PREDICTED

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Int64

    from cnnexplain.model.classifier import Classifier

Places: TypeAlias = "slice | Int64[np.ndarray, ' n']"
"""The places of images in a batch: a slice if they are consecutive, so that their arrays need not be copied."""


class Predictions:
    """What a classifier predicts for a batch of images.

    Args:
        classifier: The classifier.
        images: (N, H, W, C) in the model's input range; they must not change.
        check: Called with images, their logits (N, K) and the outputs of the model (N, outputs) as soon as these are known;
            raises an error if they are invalid.
    """

    def __init__(
        self,
        classifier: Classifier,
        images: Float[np.ndarray, "N H W C"],
        check: Callable[[Float[np.ndarray, "n H W C"], Float[np.ndarray, "n K"], Float[np.ndarray, "n outputs"]], None],
    ) -> None:
        self.classifier, self.images = classifier, images
        self._check = check
        self._known: Bool[np.ndarray, " N"] = np.zeros(len(images), bool)
        self._complete = not len(images)
        scores = len(classifier.labels)
        outputs = classifier.outputs if classifier.head == "values" else scores
        self._logits: Float32[np.ndarray, "N K"] = np.zeros((len(images), scores), np.float32)
        self._outputs: Float32[np.ndarray, "N outputs"] = np.zeros((len(images), outputs), np.float32)
        self._classes: Int64[np.ndarray, " N"] = np.zeros(len(images), np.int64)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def logits(self) -> Float32[np.ndarray, "N K"]:
        """The score of each class before the softmax, (N, K)."""
        self.complete()
        return self._logits

    @property
    def outputs(self) -> Float32[np.ndarray, "N outputs"]:
        """What `Classifier.predict` returns for the images: probabilities, or the values of a regression model."""
        self.complete()
        return self._outputs

    @property
    def classes(self) -> Int64[np.ndarray, " N"]:
        """The most probable class of each image, the first of several; for a regression model, the first value."""
        return self.classes_at(slice(None))

    def classes_at(self, places: Places) -> Int64[np.ndarray, " n"]:
        """The `classes` of the images at some places."""
        if not self.known(places):
            self.complete()
        classes: Int64[np.ndarray, " n"] = self._classes[places]
        return classes

    def complete(self) -> None:
        """Computes the predictions that are not known yet."""
        if not self._complete:
            missing = as_places(np.flatnonzero(~self._known).tolist())
            self.keep(missing, self.classifier.logits(self.images[missing]))

    def known(self, places: Places) -> bool:
        """Whether the predictions for the images at these places are known."""
        return self._complete or bool(self._known[places].all())

    def keep(self, places: Places, logits: Float32[np.ndarray, "n K"]) -> None:
        """Keeps the logits of the images at these places, after they are checked."""
        outputs = self.classifier.predictions(logits)
        self._check(self.images[places], logits, outputs)
        self._logits[places], self._outputs[places] = logits, outputs
        if self.classifier.head != "values":
            self._classes[places] = outputs.argmax(axis=1)
        self._known[places] = True
        self._complete = bool(self._known.all())


class ImageLogit(Logit):
    """The logit that is explained for one image of a batch: that of a given class, or of the predicted one.

    It equals the `Logit` of the class. Reading the class computes the predictions, if they are not known yet.
    """

    predictions: Predictions | None = None
    place: int = 0
    given: int | None = None

    @classmethod
    def of(cls, predictions: Predictions, place: int, given: int | None) -> ImageLogit:
        """The logit for the image at a place; `given` is the index of its class, or None for the predicted class."""
        logit = cls.__new__(cls)
        vars(logit).update(predictions=predictions, place=place, given=given)
        return logit

    @cached_property
    def target(self) -> int:
        """The index of the class."""
        if self.predictions is None:
            raise AttributeError("target")
        # The predictions are checked before a class is used, even a given one.
        classes = self.predictions.classes_at(slice(self.place, self.place + 1))
        return int(classes[0]) if self.given is None else self.given

    def __eq__(self, other: object) -> bool:
        return self.target == other.target if isinstance(other, Logit) else NotImplemented

    def __hash__(self) -> int:
        return super().__hash__()

    def __repr__(self) -> str:
        return repr(Logit(self.target))

    def __reduce__(self) -> tuple[Any, ...]:
        return Logit, (self.target,)


@dataclass(frozen=True)
class Awaiting:
    """Targets that are `ImageLogit`s of the images at some places of a batch.

    Args:
        predictions: The predictions for the batch.
        places: The places of the n images.
        given: (n,), the index of each class, or `PREDICTED`.
    """

    predictions: Predictions
    places: Places
    given: Int64[np.ndarray, " n"]

    @property
    def known(self) -> bool:
        """Whether the predictions for the images are known."""
        return self.predictions.known(self.places)

    @property
    def images(self) -> Float[np.ndarray, "n H W C"]:
        """The images."""
        return self.predictions.images[self.places]

    def are_for(self, images: object) -> bool:
        """Whether the targets are those of just these images."""
        return isinstance(images, np.ndarray) and _same(images, self.images)

    def classes(self) -> Int64[np.ndarray, " n"]:
        """The index of each class."""
        return np.where(self.given == PREDICTED, self.predictions.classes_at(self.places), self.given)


def awaited(classifier: Classifier, targets: Targets) -> Awaiting | None:
    """What targets wait for; None unless all of them are `ImageLogit`s of images of one batch, for this classifier."""
    logits = [target for target in targets if isinstance(target, ImageLogit)]
    predictions = logits[0].predictions if logits else None
    if predictions is None or predictions.classifier is not classifier:
        return None
    if len(logits) < len(targets) or any(each.predictions is not predictions for each in logits):
        return None
    given = np.array([PREDICTED if each.given is None else each.given for each in logits], np.int64)
    return Awaiting(predictions, as_places([each.place for each in logits]), given)


def as_places(places: list[int]) -> Places:
    """At least one place, as a slice if they are consecutive."""
    stop = places[0] + len(places)
    return slice(places[0], stop) if places == list(range(places[0], stop)) else np.array(places, np.int64)


def _same(images: Float[np.ndarray, "n ..."], others: Float[np.ndarray, "n ..."]) -> bool:
    # Most arrays that are the same are views of the same memory, which need not be compared.
    return images.__array_interface__ == others.__array_interface__ or np.array_equal(images, others)

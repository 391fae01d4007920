"""`--verify`: the checks of each result of `run` and `report`, after it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cnnexplain.cli import console

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.pipeline.plan import Step
    from cnnexplain.results.record import Record


def announce(planned: Sequence[Step], classifier: Classifier, a_pass: float) -> list[float]:
    """Prints an estimate of the time of the checks, and returns the seconds of those of each planned run.

    Args:
        planned: The runs.
        classifier: The model.
        a_pass: The seconds of a forward pass.
    """
    from cnnexplain.pipeline import plan
    from cnnexplain.verification import estimate

    seconds = [estimate.seconds(step, classifier, a_pass) for step in planned]
    results = "the result" if len(planned) == 1 else "the results"
    console.say(f"Verifying {results}: about {plan.duration(sum(seconds))}.")
    return seconds


def verifier(
    classifier: Classifier, against: int | None, images: int, progress: Callable[[int, int], None]
) -> Callable[[Record], Record]:
    """A function that verifies the records of a run, one after another, and returns each with its verification.

    Args:
        classifier: Their model.
        against: The index of the class whose score was subtracted; None if there is none.
        images: The number of images of the run.
        progress: Called with the thousandths that are verified, and 1000.
    """
    from cnnexplain.model.computation.objectives import Logit
    from cnnexplain.verification.verify import verify

    def verified(record: Record) -> Record:
        start, count = (record.span.start, len(record.span)) if images else (0, 1)

        def advance(done: int, total: int) -> None:
            progress(round(1000 * (start + count * done / max(total, 1)) / max(images, 1)), 1000)

        targets = [explained.target for explained in record.explained]
        objectives = [Logit(target) - Logit(against) for target in targets if target is not None and against is not None]
        return record.verified(verify(record, classifier, target=objectives or None, progress=advance))

    return verified

"""`--verify`: the checks of each result of `run` and `report`, before it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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


def verified(
    records: Iterable[Record], classifier: Classifier, against: int | None, images: int, progress: Callable[[int, int], None]
) -> Iterator[Record]:
    """Verifies the records of a run, one after another.

    Args:
        records: The records; each is freed before the next one is taken.
        classifier: Their model.
        against: The index of the class whose score was subtracted; None if there is none.
        images: The number of images of the run.
        progress: Called with the thousandths that are verified, and 1000.
    """
    from cnnexplain.model.computation.objectives import Logit
    from cnnexplain.verification.verify import verify

    for record in records:
        start, count = (record.span.start, len(record.span)) if images else (0, 1)

        def advance(done: int, total: int, start: int = start, count: int = count) -> None:
            progress(round(1000 * (start + count * done / max(total, 1)) / max(images, 1)), 1000)

        targets = [explained.target for explained in record.explained]
        objectives = [Logit(target) - Logit(against) for target in targets if target is not None and against is not None]
        yield record.verified(verify(record, classifier, target=objectives or None, progress=advance))
        # Frees the memory of this part before the next one is computed.
        del record

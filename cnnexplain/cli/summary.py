"""The summary that `run` and `report` print: assumptions, images, findings, warnings, notes, files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from cnnexplain.cli import console, outcome, verification_table
from cnnexplain.cli.outcome import Outcome, Outcomes

if TYPE_CHECKING:
    from cnnexplain.cli.inputs import Inputs
    from cnnexplain.cli.run_options import RunArguments
    from cnnexplain.inputs.preprocess import Preprocess
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.plugin.analysis import Analysis

FIRST_CLAUSE = re.compile(r".*?(?=; |[\w)]{2}[.!?] [A-Z])([\w)]{2})?", re.DOTALL)
"""Matches a text up to its first semicolon or the end of its first sentence; "al. 2016" and initials are not an end."""


def print_run(analysis: Analysis, arguments: RunArguments, inputs: Inputs, result: Outcome) -> None:
    """Prints the summary of one analysis."""
    _print_result(analysis, arguments, inputs, result)
    if result.verification is not None:
        verification_table.show(result.verification)


def _print_result(analysis: Analysis, arguments: RunArguments, inputs: Inputs, result: Outcome) -> None:
    if result.kept:
        drawn = f"drew {_count(result.drawn, 'missing picture')}" if result.drawn else ""
        left = f"explained {result.images} more" if result.parts else drawn or "nothing left to do"
        console.say(f"Kept {_count(result.kept, 'finished image')} in {result.folder}; {left}.")
    if not result.parts:
        return
    print_assumptions(inputs.classifier)
    _print_changes(inputs.classifier, result, inverted_by_user=arguments.invert is True)
    _print_images(result)
    _print_findings(result)
    print_warnings([result])
    if analysis.limitations:
        console.say(f"Note: {shortened(analysis.limitations)}")
    _print_files(result)


def print_several(outcomes: Outcomes, arguments: RunArguments, *, notes: bool = True) -> None:
    """Prints the summary of several analyses.

    Args:
        outcomes: The outcomes.
        arguments: The arguments of the command.
        notes: Whether to print the limitations of each analysis.

    Raises:
        CnnExplainError: Some of them failed.
    """
    assert outcomes.inputs is not None
    classifier = outcomes.inputs.classifier
    done = [outcomes.by_name[name] for name in outcomes.done]
    print_assumptions(classifier)
    explained = [each for each in done if each.images]
    if explained:
        # Preferably an analysis that explains a target, so that the table shows it.
        first = next((each for each in explained if each.targeted), explained[0])
        _print_changes(classifier, first, inverted_by_user=arguments.invert is True)
        _print_images(first)
    print_warnings(done)
    for analysis in outcomes.analyses if notes else ():
        if analysis.limitations and analysis.name in outcomes.done:
            console.say(f"Note ({analysis.name}): {shortened(analysis.limitations)}")
    for each in done:
        if each.verification is not None:
            verification_table.show(each.verification)
    _print_outcomes(outcomes)
    for each in explained:
        # Findings are printed only for a single image.
        for sentence in (each.findings[0], each.controls[0]) if each.images == 1 else ():
            if sentence is not None:
                console.say(f"{each.folder.name}: {sentence}")
    if done:
        console.say(f"Wrote the pictures and numbers to {arguments.out}/ANALYSIS")
    outcomes.check()


def print_assumptions(classifier: Classifier) -> None:
    """Prints what was assumed about the model, and the options to change it."""
    preprocess = classifier.preprocess
    if "range" in preprocess.assumed and preprocess.color == "bands":
        console.say(
            "The model's input range is unknown: the values of the files are used unchanged. Set it with --input-scale, "
            "--input-mean and --input-std, or in a sidecar."
        )
    elif "range" in preprocess.assumed:
        console.say(
            f"The model's input range is unknown: pixels were scaled to {preprocess.low:g} to {preprocess.high:g}. "
            "Set it with --input-scale, --input-mean and --input-std, or in a sidecar."
        )
    if "size" in preprocess.assumed:
        console.say(
            f"The model accepts inputs of any size: {preprocess.height}×{preprocess.width} was assumed. "
            "Set it with --input-size."
        )
    if classifier.logarithms:
        softmax = classifier.head == "softmax"
        console.say(
            f"The outputs are probabilities {'that sum to 1' if softmax else 'of independent classes'}: "
            f"the scores explained are {'log p' if softmax else 'log p − log(1 − p)'}."
        )
    if not classifier.certain:
        console.say(
            "The model ends without a softmax or sigmoid: its outputs are assumed to be scores before a "
            f"{classifier.head}. Confirm with --logits; if they are other numbers, use --values."
        )


def shortened(text: str) -> str:
    """A text up to its first semicolon or the end of its first sentence, as a sentence."""
    match = FIRST_CLAUSE.match(text)
    return f"{match[0]}." if match else text


def _print_changes(classifier: Classifier, result: Outcome, *, inverted_by_user: bool) -> None:
    """Prints which images were inverted and resized, and how."""
    inverted = "Inverted, as requested" if inverted_by_user else "Inverted because dark on light"
    for what, names in ((inverted, result.inverted), (_fitting(classifier.preprocess), result.resized)):
        if names.count:
            console.say(f"{what}: {names}.")


def _fitting(preprocess: Preprocess) -> str:
    size = f"the model's {preprocess.height} rows × {preprocess.width} columns"
    if preprocess.preset is not None:
        return preprocess.preset.fitted.format(size)
    share = "" if preprocess.crop == 1 else f" {100 * preprocess.crop:.3g}%"
    return {
        "stretch": f"Resized to {size}",
        "crop": f"Cropped to the center{share} and resized to {size}",
        "pad": f"Resized to fit {size}, padded with black",
    }[preprocess.fit]


def _print_images(result: Outcome) -> None:
    from cnnexplain.draw.wording import model_output

    if not result.first:
        return
    values = result.first[0].value is not None
    columns = ["Output", "Value"] if values else ["Prediction", "Probability"]
    columns += (["Target"] if values else ["Target", "Its probability"]) if result.targeted else []
    table = Table(Column("Image", no_wrap=True), *columns)
    for explained in result.first[: outcome.SHOWN]:
        answer = model_output(explained.probability, explained.value, explained.unit)
        cells = [explained.source.name, result.labels[explained.prediction], answer]
        if result.targeted and explained.target is not None:
            plain = [result.labels[explained.target], model_output(explained.target_probability)]
            cells += (plain if explained.objective is None else [explained.objective, ""])[: len(columns) - 2]
        table.add_row(*map(console.plain, cells))
    if result.images > outcome.SHOWN:
        table.add_row(f"… and {result.images - outcome.SHOWN} more")
    console.show(table)


def _print_findings(result: Outcome) -> None:
    """Prints the findings and the controls for the images that the table shows."""
    for explained, *sentences in list(zip(result.first, result.findings, result.controls, strict=True))[: outcome.SHOWN]:
        for sentence in sentences:
            if sentence is not None:
                console.say(sentence if result.images == 1 else f"{explained.source.name}: {sentence}")


def print_warnings(results: Sequence[Outcome]) -> None:
    """Prints the warnings of one or several analyses, each warning once."""
    # Analyses that search the same data set have the same warnings about its files.
    warned: dict[str, list[str]] = {}
    for each in results:
        for warning in each.warnings:
            warned.setdefault(warning, []).append(each.folder.name)
    several = len(results) > 1
    warnings = [f"{', '.join(names)}: {warning}" if several else warning for warning, names in warned.items()]
    skipped = next((each.skipped for each in results if each.skipped.count), None)
    if skipped is not None:
        words = "1 image can't be read and was" if skipped.count == 1 else f"{skipped.count} images can't be read and were"
        warnings.append(f"{words} skipped: {skipped}.")
    for warning in warnings:
        console.complain(f"Warning: {warning}", style="yellow")


def _print_outcomes(outcomes: Outcomes) -> None:
    failed = outcomes.failed
    verified = any(each.verification is not None for each in outcomes.by_name.values())
    columns = [*(["Verification"] if verified else []), *(["Reason"] if failed else [])]
    table = Table(Column("Analysis", no_wrap=True), "Outcome", Column("Seconds", justify="right"), *columns)
    for analysis in outcomes.analyses:
        if analysis.name in failed:
            reason = console.plain(failed[analysis.name])
            table.add_row(analysis.name, Text("failed", style="red"), "", *([""] if verified else []), reason)
            continue
        result = outcomes.by_name[analysis.name]
        text = _count(result.pictures.count, "picture")
        if result.kept and result.parts:
            text += f", {result.kept} images kept"
        checks = [] if result.verification is None else [verification_table.outcome(result.verification)]
        table.add_row(analysis.name, text if result.parts else "already done", f"{result.seconds:.1f}", *checks)
    console.out().print(table)


def _print_files(result: Outcome) -> None:
    """Prints one line with the files that were written."""
    pictures = result.pictures
    names = [Path(pictures.first[0]).name if pictures.count == 1 else _count(pictures.count, "picture")]
    names = names if pictures.count else []
    # Files of parts, which have numbers in their names, are not listed.
    names += [path.name for path in result.files if result.parts == 1 or not re.search(r"-\d{5}\.", path.name)]
    parts = f", and the numbers in {result.parts} parts" if result.parts > 1 else ""
    console.say(f"Wrote {', '.join(names[:-1])} and {names[-1]}{parts} to {result.folder}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def print_path(path: Path) -> None:
    """Prints that a file was written."""
    console.say(f"Wrote {path}")

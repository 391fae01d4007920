"""The table of conformance checks."""

from __future__ import annotations

from cnnexplain.plugin.analysis import Analysis
from cnnexplain.testing import declaration_checks, drawing_checks, model_checks, result_checks
from cnnexplain.testing.check import Check, takes_images

CHECKS = (
    Check(
        "declaration",
        "it states what it shows, how to read it, its limitations, and its source",
        declaration_checks.check_declaration,
    ),
    Check(
        "imports",
        "declaring it imports neither Keras nor a backend nor Matplotlib",
        declaration_checks.check_imports,
    ),
    Check("help", "its help shows every option", declaration_checks.check_help, ("imports",)),
    Check("results", "its numbers are finite, and its facts are JSON", result_checks.check_results),
    Check("images", "it does not modify the images", result_checks.check_images, ("results",), takes_images),
    Check("model", "it does not modify the model", result_checks.check_model, ("results",)),
    Check("repeats", "repeated runs give the same result", result_checks.check_repeats, ("images", "model")),
    Check(
        "maps",
        "the maps that it names are among its arrays",
        result_checks.check_maps,
        ("results",),
        lambda analysis: bool(analysis.maps),
    ),
    Check(
        "neighbors",
        "the numbers of an image do not depend on the other images",
        result_checks.check_neighbors,
        ("repeats",),
        takes_images,
    ),
    Check(
        "batch",
        "a batch gives the same results as single images",
        result_checks.check_batch,
        ("neighbors",),
        takes_images,
    ),
    Check(
        "target",
        "it explains the target that it is given",
        result_checks.check_target,
        ("repeats",),
        lambda analysis: bool({"targets", "objectives"} & set(analysis.inputs)),
    ),
    Check(
        "definition",
        "the checks that it declares pass",
        result_checks.check_definition,
        ("repeats",),
        lambda analysis: bool(analysis.checks),
    ),
    Check("drawing", "it draws every image without a warning", drawing_checks.check_drawing, ("results",)),
    Check(
        "finding",
        "it states its finding in one sentence",
        drawing_checks.check_finding,
        ("results",),
        lambda analysis: analysis.finding is not None,
    ),
    Check(
        "panels",
        "it provides small maps for every image",
        drawing_checks.check_panels,
        ("results",),
        lambda analysis: analysis.panels is not None,
    ),
    Check(
        "passes",
        "it states how many passes an image takes",
        result_checks.check_passes,
        applies=lambda analysis: analysis.passes is not None,
    ),
    Check(
        "saved",
        "it draws the same picture from saved results, without Keras",
        drawing_checks.check_saved,
        ("drawing",),
    ),
    Check("plain", "it handles a uniform gray image", drawing_checks.check_plain, ("drawing",), takes_images),
    Check(
        "options",
        "its options reject invalid values",
        declaration_checks.check_options,
        ("results",),
        lambda analysis: bool(analysis.options),
    ),
    Check(
        "choices",
        "its choices work, and have an effect",
        declaration_checks.check_choices,
        ("repeats", "drawing"),
        lambda analysis: any(map(declaration_checks.has_choices, analysis.options)),
    ),
    Check(
        "models",
        "it works for branches, batch normalization, and gray and color images that are not square",
        model_checks.check_models,
        ("plain",),
    ),
    Check("backends", "it gives the same results on every installed backend", model_checks.check_backends, ("models",)),
)
"""All checks, in the order in which they are run."""


def checks(analysis: Analysis) -> tuple[Check, ...]:
    """The checks that apply to an analysis."""
    return tuple(check for check in CHECKS if check.applies(analysis))

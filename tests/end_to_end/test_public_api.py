"""The public names: which there are, that they are documented, and that the built-in plugins import no others."""

import importlib
import inspect

import pytest

PUBLIC = {
    "cnnexplain": [
        "Array",
        "Axis",
        "Channel",
        "Classifier",
        "CnnExplainError",
        "Convolution",
        "Direction",
        "Field",
        "Floats",
        "ImageBatch",
        "ImageError",
        "Integers",
        "Layer",
        "Logit",
        "ModelError",
        "Neuron",
        "Objective",
        "OutputError",
        "PluginError",
        "Preprocess",
        "Record",
        "Spans",
        "Stream",
        "UsageError",
        "analyses",
        "check_hdf5",
        "explain",
        "explain_parts",
        "imagenet_labels",
        "linear_preprocessing",
        "load",
        "load_parts",
        "mnist",
        "open_stream",
        "read_images",
        "redraw",
        "write_report",
    ],
    "cnnexplain.draw": [
        "COLORBAR_WIDTH",
        "DEFAULT_PALETTE",
        "DEFAULT_STYLE",
        "GAP",
        "GRAY",
        "HEADER_HEIGHT",
        "HEADING_SIZE",
        "LABEL_SIZE",
        "LIMIT_PERCENTILE",
        "MIN_WIDTH",
        "Palette",
        "SMALL_SIZE",
        "STRONGEST_SHARE",
        "Style",
        "TITLE_SIZE",
        "caption",
        "class_name",
        "contour",
        "current_palette",
        "current_style",
        "display_channels",
        "enlarged",
        "findings",
        "fit_text",
        "formatting",
        "heading",
        "image_rgb",
        "image_values",
        "input_image",
        "map_figure",
        "max_limit",
        "objective_name",
        "overlay",
        "overlay_colormap",
        "overlay_rgb",
        "panel",
        "panel_size",
        "percentile_limit",
        "readable",
        "region_side",
        "region_sums",
        "regions_overlay",
        "row",
        "row_label",
        "sheet",
        "shorten",
        "signed_image",
        "signed_map",
        "signed_rgb",
        "smoothed",
        "smoothed_overlay",
        "source_name",
        "text_below",
        "text_width",
        "tiles",
        "title",
        "unsigned_map",
        "use_style",
        "wording",
    ],
    "cnnexplain.draw.findings": [
        "STRONGEST_SHARE",
        "TYPE_CHECKING",
        "change",
        "concentration",
        "largest_attribution",
        "most_telling",
        "ninth",
        "peak_place",
        "place",
        "target",
    ],
    "cnnexplain.draw.formatting": ["number", "number_pair", "percent", "probability", "signed_number"],
    "cnnexplain.draw.wording": [
        "TYPE_CHECKING",
        "fact_name",
        "has_values",
        "in_units",
        "layer_name",
        "model_output",
        "outputs",
        "score_sign",
    ],
    "cnnexplain.errors": [
        "CnnExplainError",
        "ImageError",
        "InterruptionError",
        "ModelError",
        "OutputError",
        "PluginError",
        "UsageError",
        "check_interrupted",
        "suggest",
    ],
    "cnnexplain.numerics": [
        "BASELINES",
        "Batch",
        "LUMA",
        "averaged",
        "baseline_function",
        "baseline_images",
        "batches",
        "bicubic",
        "bilinear",
        "blurred",
        "completeness_facts",
        "evenly_spaced",
        "gaussian",
        "peaks",
        "resize",
        "spectrum",
        "ten_crop_gradients",
        "ten_crops",
    ],
    "cnnexplain.numerics.spectrum": [
        "COLORS",
        "EPSILON",
        "TYPE_CHECKING",
        "colors",
        "falloff",
        "frequencies",
        "from_phases",
        "from_spectrum",
        "natural_magnitude",
    ],
    "cnnexplain.optimize": ["Optimum", "Step", "adam", "minimize", "momentum", "nadam"],
    "cnnexplain.plugin": [
        "Analysis",
        "LayerCall",
        "NamedModel",
        "Option",
        "Panel",
        "Pretrained",
        "Result",
        "hookimpl",
        "identity_with_pullback",
        "opaque_layers",
        "other_calls_warning",
        "smoothed_map",
        "summed_map",
        "with_pullback",
    ],
    "cnnexplain.testing": ["CHECKS", "Candidate", "Check", "Outcome", "TOLERANCE", "checks", "conformance", "find"],
}
"""What each public module exports. Everything else may change without notice."""


def exported(name):
    """`__all__` of a module, or the names that it defines itself and that have no underscore."""
    module = importlib.import_module(name)
    own = [key for key, value in vars(module).items() if not key.startswith("_") and _own(module, value)]
    return sorted(getattr(module, "__all__", own))


def _own(module, value):
    return not inspect.ismodule(value) and getattr(value, "__module__", module.__name__) == module.__name__


@pytest.mark.parametrize("module", PUBLIC)
def test_the_exported_names_are_these(module):
    assert exported(module) == PUBLIC[module]
    for name in PUBLIC[module]:
        assert getattr(importlib.import_module(module), name) is not None


def test_the_numerical_helpers_are_named_without_loading_keras(shell):
    program = (
        "import sys\nfrom cnnexplain import numerics, plugin\nnumerics.BASELINES\nprint({'keras', 'numpy'} & {*sys.modules})"
    )
    done = shell("-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "set()\n"

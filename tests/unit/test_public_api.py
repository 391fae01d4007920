"""The public names: which there are, that they are documented, and that the built-in plugins import no others."""

import ast
import re

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


@pytest.mark.parametrize("module", PUBLIC)
def test_every_exported_name_is_documented(module, folder):
    """By a heading of its own, or by that of its module, under which mkdocstrings puts all that has a docstring."""
    pages = "".join((folder / "docs" / name).read_text() for name in ("api.md", "api-plugins.md"))
    headings = set(re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE))
    elsewhere = {name: {f"{other}.{name}" for other in PUBLIC if name in PUBLIC[other]} for name in PUBLIC[module]}
    assert [name for name, places in elsewhere.items() if not headings & {module, *places}] == []


def imports(tree):
    """What a module imports, type checking included: (module, name), the name None for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            yield from ((node.module, alias.name) for alias in node.names)


def attributes(tree):
    """What a module takes of modules of ours that it has imported whole, such as `draw.title`: (module, name)."""
    known = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "cnnexplain"
        for alias in node.names
        if f"{node.module}.{alias.name}" in PUBLIC
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            yield known[node.value.id], node.attr


def test_the_built_in_plugins_import_public_names_only(folder):
    files = sorted((folder / "plugins").rglob("*.py"))
    files += sorted((folder / "examples").rglob("*.py"))
    files += sorted((folder / "cnnexplain").rglob("*.py.template"))
    assert len(files) > 40
    private = []
    for path in files:
        tree = ast.parse(path.read_text().replace("$module", "module"))
        for module, name in [*imports(tree), *attributes(tree)]:
            if module.partition(".")[0] != "cnnexplain" or f"{module}.{name}" in PUBLIC:
                continue
            if module not in PUBLIC or (name is not None and name not in PUBLIC[module]):
                private.append(f"{path.name}: {module} {name}")
    assert not private


def test_a_small_method_is_one_short_module(folder):
    assert len((folder / "plugins/cnnexplain_plugins/gradient_x_input.py").read_text().splitlines()) <= 80

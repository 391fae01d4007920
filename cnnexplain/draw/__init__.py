"""Functions for drawing figures in `Analysis.draw`: sheets of panels, images, maps with color bars, overlays, captions.

This is the only package that normalizes values; saved arrays stay raw. In addition to the functions, it has the modules
`findings` (parts of the sentence that states a result), `formatting` (numbers as text) and `wording` (terms and units
that depend on whether the model predicts probabilities or values).
"""

from cnnexplain.draw import findings, formatting, wording
from cnnexplain.draw.captions import caption, heading, row_label, text_below, title
from cnnexplain.draw.figures import map_figure
from cnnexplain.draw.images import display_channels, image_rgb, image_values, input_image, signed_image, signed_rgb
from cnnexplain.draw.layout import (
    COLORBAR_WIDTH,
    GAP,
    GRAY,
    HEADER_HEIGHT,
    HEADING_SIZE,
    LABEL_SIZE,
    MIN_WIDTH,
    SMALL_SIZE,
    TITLE_SIZE,
    panel,
    panel_size,
    row,
    sheet,
)
from cnnexplain.draw.map_values import (
    LIMIT_PERCENTILE,
    enlarged,
    max_limit,
    percentile_limit,
    readable,
    region_side,
    region_sums,
    smoothed,
    tiles,
)
from cnnexplain.draw.maps import map_rgb, signed_map, unsigned_map
from cnnexplain.draw.names import class_name, objective_name, source_name
from cnnexplain.draw.overlays import (
    STRONGEST_SHARE,
    contour,
    overlay,
    overlay_colormap,
    overlay_rgb,
    regions_overlay,
    smoothed_overlay,
)
from cnnexplain.draw.style import DEFAULT_PALETTE, DEFAULT_STYLE, Palette, Style, current_palette, current_style, use_style
from cnnexplain.draw.text import fit_text, shorten, text_width

__all__ = [
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
    "SMALL_SIZE",
    "STRONGEST_SHARE",
    "TITLE_SIZE",
    "Palette",
    "Style",
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
    "map_rgb",
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
]

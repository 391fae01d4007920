"""All that the author of a plugin imports.

A plugin is a module named by an entry point of the group `cnnexplain`; a function in it, marked with `hookimpl` and named
`cnnexplain_analyses`, returns the analyses that it offers. Importing this module imports neither Keras nor Matplotlib, and
a plugin keeps it so by importing its own mathematics inside `run`, and what it draws with inside `draw`.
"""

from cnnexplain.model.rules import LayerCall, identity_with_pullback, with_pullback
from cnnexplain.model.shared_layers import opaque_layers, other_calls_warning
from cnnexplain.plugin.analysis import Analysis, NamedModel, Panel, Pretrained, Result, hookimpl
from cnnexplain.plugin.options import Option
from cnnexplain.plugin.overlays import smoothed_map, summed_map

__all__ = [
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
]

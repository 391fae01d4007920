"""The plugin interface.

A plugin is a module that an entry point of the group `cnnexplain` refers to. Its function `cnnexplain_analyses`, marked with
`hookimpl`, returns its analyses; `cnnexplain_models` and `cnnexplain_metrics` return its models and metrics. Importing this
module imports neither Keras nor Matplotlib, and neither should importing a plugin: import the libraries for computing inside
`run`, and those for drawing inside `draw`.
"""

from cnnexplain.model.computation.rules import LayerCall, identity_with_pullback, with_pullback
from cnnexplain.model.structure.shared_layers import opaque_layers, other_calls_warning
from cnnexplain.plugin.analysis import Analysis, Panel, Result, hookimpl
from cnnexplain.plugin.check import Check, Measurement, Subject
from cnnexplain.plugin.metric import Metric
from cnnexplain.plugin.named_model import NamedModel, Pretrained
from cnnexplain.plugin.options import Option
from cnnexplain.plugin.overlays import smoothed_map, summed_map
from cnnexplain.plugin.reference import Reference
from cnnexplain.plugin.sampling import NOISE_LIMIT, Sampling

__all__ = [
    "NOISE_LIMIT",
    "Analysis",
    "Check",
    "LayerCall",
    "Measurement",
    "Metric",
    "NamedModel",
    "Option",
    "Panel",
    "Pretrained",
    "Reference",
    "Result",
    "Sampling",
    "Subject",
    "hookimpl",
    "identity_with_pullback",
    "opaque_layers",
    "other_calls_warning",
    "smoothed_map",
    "summed_map",
    "with_pullback",
]

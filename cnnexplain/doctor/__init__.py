"""Examines a model and its input settings for problems: `cnnexplain doctor`."""

from cnnexplain.doctor.examination import examine
from cnnexplain.doctor.reports import Examination, LayerReport, Trial

__all__ = ["Examination", "LayerReport", "Trial", "examine"]

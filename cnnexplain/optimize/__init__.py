"""The optimization loop of activation maximization and representation inversion, and its optimizers.

`minimize` takes a function of NumPy arrays. `minimize_compiled` takes functions of tensors, and computes many steps in each
call of a compiled function.
"""

from cnnexplain.optimize.compiled import NO_GRADIENT, compiled_is_faster, minimize_compiled, on_gpu
from cnnexplain.optimize.loop import Optimum, minimize
from cnnexplain.optimize.optimizers import Optimizer, Step, adam, momentum, nadam, normalized

__all__ = [
    "NO_GRADIENT",
    "Optimizer",
    "Optimum",
    "Step",
    "adam",
    "compiled_is_faster",
    "minimize",
    "minimize_compiled",
    "momentum",
    "nadam",
    "normalized",
    "on_gpu",
]

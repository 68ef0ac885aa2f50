"""A linear layer in oneDNN's own memory layout: on a CPU twice as fast as a plain product where MKL is slow (AMD).

On Intel's processors MKL is as fast, and faster on small matrices, so that float32 is not packed there. PyTorch reaches
the layout by two private operators, here and nowhere else. Where a build lacks them, a plain product takes their place
and gives the same numbers but for rounding.
"""

import contextlib
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

FEWEST_ROWS = 8
"""With fewer rows the call itself costs more than the layout saves."""


class PackedLinear:
    """y = x W^T + b, then perhaps a ReLU, for x [rows, inputs] of a fixed number of rows."""

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int, relu: bool = False) -> None:
        self._bias = bias
        self._relu = relu
        self._packed = pack(weight, rows)
        self._weight = weight.T.contiguous() if self._packed is None else None

    def __call__(self, x: Tensor) -> Tensor:
        """Map [rows, inputs] to [rows, outputs]."""
        if self._weight is not None:
            y = x @ self._weight if self._bias is None else torch.addmm(self._bias, x, self._weight)
            return y.relu_() if self._relu else y
        activation = "relu" if self._relu else "none"
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, activation, [], "")

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """Add x W^T to y [rows, outputs] in place, for a layer that has neither bias nor ReLU; returns y."""
        return y.add_(self(x)) if self._weight is None else y.addmm_(x, self._weight)


def pack(weight: Tensor, rows: int) -> Tensor | None:
    """Lay a weight [outputs, inputs] out for so many rows; None where it cannot or need not be done."""
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16) or rows < FEWEST_ROWS:
        return None
    if weight.dtype == torch.float32 and on_intel():
        return None
    try:
        return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
    except (AttributeError, RuntimeError):
        return None


@cache
def on_intel() -> bool:
    """Tell whether this is one of Intel's processors."""
    with contextlib.suppress(OSError):
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text()
    return False

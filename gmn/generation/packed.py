"""A linear layer in oneDNN's own memory layout: as fast as MKL's products on Intel's CPUs, twice as fast on AMD's.

PyTorch reaches it by two private operators, here and nowhere else. Where a build lacks them, a plain product takes
their place and gives the same numbers but for rounding.
"""

import torch
from torch import Tensor

FEWEST_ROWS = 8
"""With fewer rows the call itself costs more than the layout saves."""


class PackedLinear:
    """y = x W^T + b, then perhaps a ReLU, for x [rows, inputs] of a fixed number of rows."""

    def __init__(self, weight: Tensor, bias: Tensor, rows: int, relu: bool = False) -> None:
        self._bias = bias
        self._relu = relu
        self._packed = pack(weight, rows)
        self._weight = weight.T.contiguous() if self._packed is None else None

    def __call__(self, x: Tensor) -> Tensor:
        """Map [rows, inputs] to [rows, outputs]."""
        if self._weight is not None:
            y = torch.addmm(self._bias, x, self._weight)
            return y.relu_() if self._relu else y
        activation = "relu" if self._relu else "none"
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, activation, [], "")


def pack(weight: Tensor, rows: int) -> Tensor | None:
    """Lay a weight [outputs, inputs] out for so many rows; None where it cannot or need not be done."""
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16) or rows < FEWEST_ROWS:
        return None
    try:
        return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
    except (AttributeError, RuntimeError):
        return None

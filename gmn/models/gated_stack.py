"""WaveNet's gated layers as one differentiable operation: the arithmetic of `Layer.forward`, laid out for training.

Shapes: T samples, B clips, N = T * B rows, R residual, G gate, S skip channels, L layers, K taps, d dilation.

Time comes first: the input d samples ago is then the same rows d * B further up, a view. Each tap is one matrix product
on such a view that adds to what the others gave, where padding, concatenation or nn.Conv1d would copy:

    a[s:] += x[: N - s] W_k^T        s = (K - 1 - k) * d * B, rows without a past keep what they have

So is each step backwards, and autograd's own sums over the many uses of x fall away. benchmarks/training.py measures it
against the layers one by one.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

_tanh_backward = torch.ops.aten.tanh_backward.grad_input
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input


def gated_stack(
    x: Tensor,
    conditions: Tensor,
    taps: Tensor,
    residual: Tensor,
    residual_bias: Tensor,
    skip: Tensor,
    skip_bias: Tensor,
    dilations: Sequence[int],
) -> Tensor:
    """Map x [T, B, R] to the sum of all skips [T, B, S]; the past before the first sample is zero.

    conditions [L, B, 2G] are added to each layer's gates, their bias included; taps [L, K, 2G, R], oldest first;
    residual [L, R, G] and residual_bias [L, R], of which the last layer's go unused; skip [S, L * G]; skip_bias [S].
    Under autocast all but the sum along the residual path is computed in its type.
    """
    if torch.is_autocast_enabled(x.device.type):
        kind = torch.get_autocast_dtype(x.device.type)
        conditions, taps, residual, residual_bias, skip, skip_bias = (
            tensor.to(kind) for tensor in (conditions, taps, residual, residual_bias, skip, skip_bias)
        )
    with torch.autocast(x.device.type, enabled=False):
        return _GatedStack.apply(x, conditions, taps, residual, residual_bias, skip, skip_bias, dilations)


class _GatedStack(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        conditions: Tensor,
        taps: Tensor,
        residual: Tensor,
        residual_bias: Tensor,
        skip: Tensor,
        skip_bias: Tensor,
        dilations: Sequence[int],
    ) -> Tensor:
        T, B, R = x.shape
        L, K, G, N, kind = len(taps), taps.shape[1], taps.shape[2] // 2, T * B, taps.dtype
        path = x.reshape(N, R)
        gated = path.new_empty(N, L * G, dtype=kind)
        inputs, gates = [], []
        for layer, dilation in enumerate(dilations):
            given = path.to(kind)
            a = torch.mm(given, taps[layer, K - 1].T)
            for k, s in _shifts(K, dilation * B, N):
                a[s:].addmm_(given[: N - s], taps[layer, k].T)
            a.view(T, B, 2 * G).add_(conditions[layer])
            filters, sigmoids = a.split(G, dim=1)
            z = gated[:, layer * G : (layer + 1) * G]
            torch.mul(filters.tanh_(), sigmoids.sigmoid_(), out=z)
            inputs.append(given)
            gates.append(a)
            if layer < L - 1:
                path = path + torch.addmm(residual_bias[layer], z, residual[layer].T)
        ctx.save_for_backward(taps, residual, skip, gated, *inputs, *gates)
        ctx.dilations, ctx.shape = dilations, (T, B, R)
        return torch.addmm(skip_bias, gated, skip.T).view(T, B, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        taps, residual, skip, gated, *kept = ctx.saved_tensors
        T, B, R = ctx.shape
        L, K, G, N = len(taps), taps.shape[1], taps.shape[2] // 2, T * B
        inputs, gates = kept[:L], kept[L:]
        d_sum = gradients[0].reshape(N, -1)
        d_gated = torch.mm(d_sum, skip)
        d_conditions = taps.new_empty(L, B, 2 * G)
        d_taps, d_residual = torch.zeros_like(taps), torch.zeros_like(residual)
        d_residual_bias = residual.new_zeros(L, R)
        d_path = torch.zeros(N, R, dtype=torch.promote_types(taps.dtype, torch.float32), device=taps.device)
        d_a = taps.new_empty(N, 2 * G)
        ones = taps.new_ones(1, N)
        for layer in reversed(range(L)):
            d_z = d_gated[:, layer * G : (layer + 1) * G]
            if layer < L - 1:
                d_output = d_path.to(taps.dtype)
                d_z.addmm_(d_output, residual[layer])
                torch.mm(d_output.T, gated[:, layer * G : (layer + 1) * G], out=d_residual[layer])
                torch.mm(ones, d_output, out=d_residual_bias[layer : layer + 1])
            filters, sigmoids = gates[layer].split(G, dim=1)
            d_filters, d_sigmoids = d_a.split(G, dim=1)
            _tanh_backward(torch.mul(d_z, sigmoids, out=d_filters), filters, grad_input=d_filters)
            _sigmoid_backward(torch.mul(d_z, filters, out=d_sigmoids), sigmoids, grad_input=d_sigmoids)
            torch.mm(ones[:, :T], d_a.view(T, -1), out=d_conditions[layer].view(1, -1))
            given = inputs[layer]
            _add_product(d_path, d_a, taps[layer, K - 1])
            torch.mm(d_a.T, given, out=d_taps[layer, K - 1])
            for k, s in _shifts(K, ctx.dilations[layer] * B, N):
                _add_product(d_path[: N - s], d_a[s:], taps[layer, k])
                torch.mm(d_a[s:].T, given[: N - s], out=d_taps[layer, k])
        d_skip, d_skip_bias = torch.mm(d_sum.T, gated), torch.mm(ones, d_sum)[0]
        return d_path.view(T, B, R), d_conditions, d_taps, d_residual, d_residual_bias, d_skip, d_skip_bias, None


def _shifts(K: int, rows: int, N: int) -> list[tuple[int, int]]:
    """Return each past tap with the rows between it and the newest, as far back as there are rows."""
    return [(k, (K - 1 - k) * rows) for k in range(K - 1) if (K - 1 - k) * rows < N]


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a @ b to a total, which may have a wider type."""
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total += torch.mm(a, b)

"""The readable WaveNet step, which defines what is right, on ring buffers (Paine et al. 2016, Fast WaveNet).

Shapes: B slots, T samples, R residual channels, K kernel size, d dilation, C length of a condition vector.

A layer's output at t needs its input at t, t - d, ..., t - (K - 1) d, so that it keeps its last (K - 1) d inputs:

    slot of time u = u mod (K - 1) d      reading t - (K - 1) d comes before writing t, which takes its place
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from gmn.models.wavenet import WaveNet

PRIMED_AT_ONCE = 65_536
"""Samples, over all slots, that one pass of priming computes side by side: it bounds the memory."""


class ReferenceWaveNet:
    """A WaveNet with the state of B streams, in the model's own precision."""

    def __init__(self, model: WaveNet, conditions: Tensor) -> None:
        self._model = model
        self._conditions = conditions
        self._condition_bias = [layer.condition(conditions) for layer in model.stack]
        self._skip_weight = model.skip_weight().T.contiguous()
        lengths = [(layer.kernel_size - 1) * layer.dilation for layer in model.stack]
        self._rings = [
            conditions.new_zeros(length, len(conditions), model.config.residual_channels) for length in lengths
        ]
        self._time = 0

    def prime(self, codes: Tensor) -> Tensor:
        """Take past codes [B, T] into the state; returns the logits [B, 256] that follow them."""
        self._time = codes.shape[1]
        inputs, logits = look_back(self._model, codes, self._conditions)
        for ring, past in zip(self._rings, inputs, strict=True):
            ring[torch.arange(self._time - len(past), self._time) % len(ring)] = past
        return logits

    def step(self, codes: Tensor) -> Tensor:
        """Map the newest codes [B] to the logits [B, 256] of the next ones."""
        x = self._model.embedding(codes)
        gated = []
        for layer, ring, bias in zip(self._model.stack, self._rings, self._condition_bias, strict=True):
            taps = [ring[(self._time + k * layer.dilation) % len(ring)] for k in range(layer.kernel_size - 1)]
            z = layer.gate(torch.cat([*taps, x], dim=-1), bias)
            ring[self._time % len(ring)] = x
            x = x + layer.residual(z)
            gated.append(z)
        self._time += 1
        return self._model.head(torch.addmm(self._model.skip_bias, torch.cat(gated, dim=-1), self._skip_weight))


def look_back(model: WaveNet, codes: Tensor, conditions: Tensor) -> tuple[list[Tensor], Tensor]:
    """Run past codes [B, T] through the layers in one parallel pass, with an empty past before them.

    Returns the last inputs of each layer, up to (K - 1) d of them, [<= T, B, R], and the logits [B, 256] after the last
    code. Only the last receptive field of the codes plays a part; no more is computed.
    """
    codes = codes[:, -model.config.receptive_field :]
    at_once = max(1, PRIMED_AT_ONCE // codes.shape[1])
    inputs: list[list[Tensor]] = [[] for _ in model.stack]
    gated: list[list[Tensor]] = [[] for _ in model.stack]
    for some, condition in zip(codes.split(at_once), conditions.split(at_once), strict=True):
        x = model.embedding(some)
        for at, layer in enumerate(model.stack):
            inputs[at].append(x[:, -(layer.kernel_size - 1) * layer.dilation :].transpose(0, 1))
            x, z = layer(x, condition)
            gated[at].append(z[:, -1])
    skips = F.linear(torch.cat([torch.cat(parts) for parts in gated], dim=-1), model.skip_weight(), model.skip_bias)
    return [torch.cat(parts, dim=1) for parts in inputs], model.head(skips)

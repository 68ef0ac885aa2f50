"""Conditional WaveNet on 8-bit mu-law codes (van den Oord et al. 2016, "WaveNet: A Generative Model for Raw Audio").

Shapes: B clips, T samples, R residual, G gate, S skip channels, C length of a condition vector.

    codes [B, T] -> embedding [B, T, R] -> layers -> sum of skips [B, T, S] -> head -> logits [B, T, 256]

Each layer (section 2.3) sees its input at t, t - d, ..., t - (K - 1) d; before the start all is zero:

    z = tanh(W_f * x + V_f c) . sigmoid(W_g * x + V_g c)        x <- x + W_r z        skip <- skip + W_s z

The logits at t are those of the sample at t + 1. The condition c adds a bias to every gate (section 2.5, global).
`Layer` is the readable definition of one; training takes the same steps in gmn/models/gated_stack.py.
Departures: an embedding takes the place of the paper's first causal convolution; channels lie last, where matrix
products of this size run as plain GEMMs on a CPU.
"""

import math
from typing import Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gmn.config import Config
from gmn.models.embedding import code_embedding
from gmn.models.gated_stack import gated_stack

CLASSES = 256


class WaveNetConfig(Config):
    """The network's shape."""

    stacks: int = Field(2, ge=1)
    """How often the dilations 1, 2, 4, ... start over."""
    layers: int = Field(8, ge=1, le=16)
    """Layers in a stack; the last one's dilation is 2 ** (layers - 1)."""
    kernel_size: int = Field(2, ge=2)
    """Samples that one layer sees."""
    residual_channels: int = Field(48, ge=1)
    """Width of the residual path."""
    gate_channels: int | None = Field(None, ge=1)
    """Width of the gates; none: that of the residual path."""
    skip_channels: int = Field(128, ge=1)
    """Width of the skip path."""
    end_channels: int | None = Field(None, ge=1)
    """Width of the head's hidden layer; none: that of the skip path."""

    @property
    def dilations(self) -> list[int]:
        """The dilation of each layer, bottom up."""
        return [2**layer for _ in range(self.stacks) for layer in range(self.layers)]

    @property
    def receptive_field(self) -> int:
        """Number of given samples that one output depends on."""
        return (self.kernel_size - 1) * sum(self.dilations) + 1

    @property
    def state_size(self) -> int:
        """Number of values that one stream keeps from step to step: each layer's past inputs."""
        return (self.receptive_field - 1) * self.residual_channels

    @property
    def context_samples(self) -> int:
        """Given samples from which on a prediction is at its best: the receptive field."""
        return self.receptive_field


class Layer(nn.Module):
    """One gated, dilated causal convolution with its residual and skip outputs."""

    def __init__(self, config: WaveNetConfig, dilation: int, condition_size: int) -> None:
        super().__init__()
        residual, gate = config.residual_channels, config.gate_channels or config.residual_channels
        self.dilation = dilation
        self.kernel_size = config.kernel_size
        # Taps, oldest first: [G filter + G gate, K * R].
        self.taps = nn.Linear(config.kernel_size * residual, 2 * gate)
        self.condition = nn.Linear(condition_size, 2 * gate, bias=False)
        self.residual = nn.Linear(gate, residual)
        self.skip = nn.Linear(gate, config.skip_channels, bias=False)

    def gate(self, past: Tensor, condition: Tensor) -> Tensor:
        """Gate the taps [..., K * R] with the condition's bias [..., 2 * G] into z [..., G]."""
        filters, gates = (self.taps(past) + condition).chunk(2, dim=-1)
        return torch.tanh(filters) * torch.sigmoid(gates)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map x [B, T, R] and c [B, C] to the next x [B, T, R] and z [B, T, G]."""
        T = x.shape[1]
        padded = F.pad(x, (0, 0, (self.kernel_size - 1) * self.dilation, 0))
        taps = [padded[:, k * self.dilation : k * self.dilation + T] for k in range(self.kernel_size)]
        z = self.gate(torch.cat(taps, dim=-1), self.condition(condition)[:, None])
        return x + self.residual(z), z


class WaveNet(nn.Module):
    """The whole network; `forward` gives the logits of every next sample at once."""

    kind: Literal["wavenet"] = "wavenet"

    def __init__(self, config: WaveNetConfig, condition_size: int) -> None:
        super().__init__()
        self.config = config
        self.condition_size = condition_size
        self.embedding = code_embedding(config.residual_channels)
        self.layers = nn.ModuleList(Layer(config, dilation, condition_size) for dilation in config.dilations)
        self.skip_bias = nn.Parameter(torch.zeros(config.skip_channels))
        end = config.end_channels or config.skip_channels
        self.head = nn.Sequential(
            nn.ReLU(),
            nn.Linear(config.skip_channels, end),
            nn.ReLU(),
            nn.Linear(end, CLASSES),
        )
        # Skips of many layers add up: keep their sum at the scale of one.
        for layer in self.stack:
            nn.init.normal_(layer.skip.weight, std=1 / math.sqrt(layer.skip.in_features * len(self.layers)))

    @property
    def stack(self) -> list[Layer]:
        """The layers, bottom up."""
        return cast(list[Layer], list(self.layers))

    def matrices(self) -> list[Tensor]:
        """Return the weights that multiply what other layers gave."""
        return [part.weight for layer in self.stack for part in (layer.taps, layer.residual, layer.skip)]

    def skip_weight(self) -> Tensor:
        """Return the skip matrices of all layers side by side, [S, layers * G]: one product gives the sum of skips."""
        return torch.cat([layer.skip.weight for layer in self.stack], dim=1)

    def forward(self, codes: Tensor, condition: Tensor) -> Tensor:
        """Map codes [B, T], integers 0..255, and conditions [B, C] to the logits [B, T, 256] of the codes at t + 1."""
        # Time first, for the stack and the head; the result is a view of that.
        stack = self.stack
        taps = [layer.taps.weight.unflatten(1, (layer.kernel_size, -1)).movedim(1, 0) for layer in stack]
        skips = gated_stack(
            self.embedding(codes.T),
            torch.stack([layer.condition(condition) + layer.taps.bias for layer in stack]),
            torch.stack(taps),
            torch.stack([layer.residual.weight for layer in stack]),
            torch.stack([layer.residual.bias for layer in stack]),
            self.skip_weight(),
            self.skip_bias,
            self.config.dilations,
        )
        return self.head(skips).transpose(0, 1)

"""The WaveNet step with everything folded that can be folded exactly, in real arithmetic.

Shapes: B slots, L layers, R residual, G gate, S skip channels, K kernel size.

    past taps of all layers --one gather, one batched product--> gates [L, B, 2 G], with every bias and condition in it
    layer after layer:  gates += x W      h = tanh(gates)      z = h_f + h_f h_g      x <- x + z W_r
    all z at once, one product for all skips --> head

1. sigmoid(a) = (1 + tanh(a / 2)) / 2. So tanh(f) sigmoid(g) = (h_f + h_f h_g) / 2: one tanh for both. The inner half is
   in the gate's weights, the outer one in W_r and W_s.
2. Biases of the residual path: x is kept without the sum c of those below it, and the gates' biases have W c instead.
   The rings start at -c, which stands for a true zero: before the start all is zero.
3. The global condition is a bias of the gates, [L, B, 2 G], computed once a stream.
4. The skips of all layers are one product [B, L G] x [L G, S].

The head has a ReLU between its products and cannot be folded further.
"""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from gmn.generation.packed import PackedLinear
from gmn.generation.reference import look_back
from gmn.models.wavenet import WaveNet

TABLE_STEPS = 1024
"""Steps whose places in the rings are worked out together."""


class FoldedWaveNet:
    """A WaveNet with the state of B streams.

    Precision: `dtype` of the layers, the state and the last product, by default the model's own; `head_dtype` of the
    skip and the hidden product. The last one is small, and its rounding would reach the draws as it is.
    """

    def __init__(
        self,
        model: WaveNet,
        conditions: Tensor,
        dtype: torch.dtype | None = None,
        head_dtype: torch.dtype | None = None,
    ) -> None:
        self._model = model
        self._conditions = conditions
        dtype = dtype or conditions.dtype
        config, stack = model.config, model.stack
        B, L, R, K = len(conditions), len(stack), config.residual_channels, config.kernel_size
        G = config.gate_channels or R

        half = torch.ones(2 * G).to(conditions)
        half[G:] = 0.5
        taps = torch.stack([layer.taps.weight for layer in stack]) * half[:, None]  # [L, 2 G, K R]
        residual = [layer.residual for layer in stack]
        below = torch.stack([torch.zeros_like(residual[0].bias), *(r.bias for r in residual[:-1])]).cumsum(0)  # [L, R]
        bias = torch.stack([layer.taps.bias + layer.condition(conditions) for layer in stack]) * half
        bias = bias + torch.einsum("lgr,lr->lg", taps, below.tile(K))[:, None]

        self._below = below[:, None].to(dtype)
        self._embedding = model.embedding.weight.to(dtype)
        self._bias = bias.to(dtype)
        self._past_weight = taps[:, :, : (K - 1) * R].transpose(1, 2).to(dtype).contiguous()
        self._now_weight = taps[:, :, (K - 1) * R :].transpose(1, 2).to(dtype).contiguous().unbind()
        self._residual_weight = [(r.weight.T / 2).to(dtype).contiguous() for r in residual[:-1]]

        # What a step writes to, and views of it.
        self._gates = self._bias.clone()
        self._inputs = self._bias.new_zeros(L, B, R)
        self._gated = self._bias.new_zeros(B, L * G)
        self._of_layer = [
            (x, gates, gates[:, :G], gates[:, G:], z)
            for x, gates, z in zip(self._inputs, self._gates, self._gated.split(G, dim=1), strict=True)
        ]

        self._lengths = torch.tensor([(K - 1) * dilation for dilation in config.dilations], device=conditions.device)
        self._starts = self._lengths.cumsum(0) - self._lengths
        self._dilations = torch.tensor(config.dilations, device=conditions.device)
        self._rings = (-self._below).repeat_interleave(self._lengths, dim=0).repeat(1, B, 1)
        self._past_shape = (K - 1, L, B, R)
        self._places = self._places_from(0)

        hidden, last = (layer for layer in model.head if isinstance(layer, nn.Linear))
        head_dtype = head_dtype or dtype
        self._head_dtype, self._last_dtype = head_dtype, dtype
        self._logits_dtype = torch.promote_types(dtype, torch.float32)
        self._skip = PackedLinear(
            (model.skip_weight() / 2).to(head_dtype), model.skip_bias.to(head_dtype), B, relu=True
        )
        self._hidden = PackedLinear(hidden.weight.to(head_dtype), hidden.bias.to(head_dtype), B, relu=True)
        self._last = PackedLinear(last.weight.to(dtype), last.bias.to(dtype), B)

    def prime(self, codes: Tensor) -> Tensor:
        """Take past codes [B, T] into the state; returns the logits [B, 256] that follow them."""
        time = codes.shape[1]
        inputs, logits = look_back(self._model, codes, self._conditions)
        for ring, past, below in zip(self._rings.split(self._lengths.tolist()), inputs, self._below, strict=True):
            ring[torch.arange(time - len(past), time) % len(ring)] = (past - below).to(ring.dtype)
        self._places = self._places_from(time)
        return logits

    def step(self, codes: Tensor) -> Tensor:
        """Map the newest codes [B] to the logits [B, 256] of the next ones."""
        return self._run(codes, next(self._places))

    def _run(self, codes: Tensor, places: Tensor) -> Tensor:
        """Step at the given places [(K - 1) L] of the rings: those of the taps, oldest first, where the inputs go."""
        K_1, L, B, R = self._past_shape
        past = self._rings.index_select(0, places).view(self._past_shape).permute(1, 2, 0, 3).reshape(L, B, K_1 * R)
        torch.baddbmm(self._bias, past, self._past_weight, out=self._gates)
        torch.index_select(self._embedding, 0, codes, out=self._of_layer[0][0])
        for at, (x, gates, f, g, z) in enumerate(self._of_layer):
            gates.addmm_(x, self._now_weight[at]).tanh_()
            torch.addcmul(f, f, g, out=z)
            if at + 1 < L:
                torch.addmm(x, z, self._residual_weight[at], out=self._of_layer[at + 1][0])
        self._rings.index_copy_(0, places[:L], self._inputs)
        hidden = self._hidden(self._skip(self._gated.to(self._head_dtype)))
        return self._last(hidden.to(self._last_dtype)).to(self._logits_dtype)

    def _places_from(self, time: int) -> Iterator[Tensor]:
        """Yield for each step from `time` on where the taps lie in the rings, [(K - 1) L]."""
        delays = torch.arange(self._past_shape[0], device=self._lengths.device)[:, None] * self._dilations
        for start in itertools.count(time, TABLE_STEPS):
            times = torch.arange(start, start + TABLE_STEPS, device=self._lengths.device)[:, None, None]
            yield from (self._starts + (times + delays) % self._lengths).flatten(1).unbind()

"""Sampling from a WaveNet, one step at a time, on ring buffers (the queues of Paine et al. 2016, "Fast Wavenet").

Shapes: B slots, R residual channels, K kernel size, d dilation, C length of a condition vector.

A layer's output at t needs its input at t, t - d, ..., t - (K - 1) d, so that it keeps its last (K - 1) d inputs:

    slot of time u = u mod (K - 1) d      reading t - (K - 1) d comes before writing t, which takes its place

Streams lie in a fixed number of slots, empty ones padded, and every draw is keyed by (seed, index, attempt): a stream's
samples depend on nothing else that runs beside it. The number of slots, and a stream's place among them, is part of the
backend's identity: matrix products of other shapes, and of some shapes the odd rows, round otherwise. A library gives
the clip `index` the slot `index % slots`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gmn.audio.mulaw import SILENCE
from gmn.generation.lstm import ReferenceLSTM
from gmn.models.lstm import LSTM
from gmn.models.wavenet import CLASSES, WaveNet

BACKEND = "reference"
PRECISION = "float32"

DRAWN_AT_ONCE = 1024
"""Steps whose random numbers are drawn together."""


@dataclass(frozen=True)
class Stream:
    """One clip to be generated."""

    condition: npt.NDArray[np.float32]
    """[C], from Conditions.vector."""
    seed: int
    index: int
    attempt: int = 0


@dataclass(frozen=True)
class Generated:
    """What a stream became."""

    codes: npt.NDArray[np.uint8]
    """Mu-law codes [T]."""
    bits_per_sample: float
    """Mean of -log2 p of the drawn codes under the model at temperature 1."""


class Stepper:
    """A WaveNet with the state of B streams; `step` gives the logits that the full forward pass would give."""

    def __init__(self, model: WaveNet, conditions: Tensor) -> None:
        self._model = model
        self._stack = model.stack
        self._condition_bias = [layer.condition(conditions) for layer in self._stack]
        self._skip_weight = model.skip_weight().T.contiguous()
        lengths = [(layer.kernel_size - 1) * layer.dilation for layer in self._stack]
        residual = model.config.residual_channels
        self._rings = [conditions.new_zeros(length, len(conditions), residual) for length in lengths]
        self._time = 0

    def step(self, codes: Tensor) -> Tensor:
        """Map the newest codes [B] to the logits [B, 256] of the next ones."""
        x = self._model.embedding(codes)
        gated = []
        for layer, ring, bias in zip(self._stack, self._rings, self._condition_bias, strict=True):
            taps = [ring[(self._time + k * layer.dilation) % len(ring)] for k in range(layer.kernel_size - 1)]
            z = layer.gate(torch.cat([*taps, x], dim=-1), bias)
            ring[self._time % len(ring)] = x
            x = x + layer.residual(z)
            gated.append(z)
        self._time += 1
        return self._model.head(torch.addmm(self._model.skip_bias, torch.cat(gated, dim=-1), self._skip_weight))


STEPPERS: Mapping[str, Callable[[Any, Tensor], Stepper | ReferenceLSTM]] = {
    WaveNet.kind: Stepper,
    LSTM.kind: ReferenceLSTM,
}
"""Stepper of each kind of model."""


def draw(logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """Draw codes [B] from logits [B, 256] by inverting the distribution at uniform numbers [B] in [0, 1).

    Temperature 0 takes the likeliest code.
    """
    if temperature == 0:
        return logits.argmax(-1)
    cumulative = (logits / temperature).softmax(-1).cumsum(-1)
    below = cumulative <= (uniform * cumulative[:, -1])[:, None]
    return below.sum(-1).clamp_(max=CLASSES - 1)


@torch.inference_mode()
def generate(
    model: WaveNet | LSTM,
    streams: Sequence[Stream],
    n_samples: int,
    temperature: float,
    slots: int,
    progress: Callable[[int], None] = lambda samples: None,
) -> list[Generated]:
    """Generate at most `slots` streams side by side, each from silence with an empty past.

    `progress` is called now and then with the number of samples drawn since the last call, over all streams.
    """
    assert 0 < len(streams) <= slots
    conditions = np.zeros((slots, model.condition_size), np.float32)
    conditions[: len(streams)] = [stream.condition for stream in streams]
    stepper = STEPPERS[model.kind](model, torch.from_numpy(conditions))
    generators = [_generator(stream) for stream in streams]
    codes = torch.full((slots,), SILENCE)
    drawn = torch.empty(n_samples, slots, dtype=torch.uint8)
    nats = torch.zeros(slots, dtype=torch.float64)
    for start in range(0, n_samples, DRAWN_AT_ONCE):
        count = min(DRAWN_AT_ONCE, n_samples - start)
        uniform = np.full((count, slots), 0.5, np.float32)
        for slot, generator in enumerate(generators):
            uniform[:, slot] = generator.random(count, np.float32)
        for step, numbers in enumerate(torch.from_numpy(uniform), start):
            logits = stepper.step(codes)
            codes = draw(logits, numbers, temperature)
            drawn[step] = codes
            nats -= logits.log_softmax(-1).gather(-1, codes[:, None])[:, 0]
        progress(count * len(streams))
    bits = nats / n_samples / np.log(2)
    return [Generated(drawn[:, slot].numpy().copy(), float(bits[slot])) for slot in range(len(streams))]


def _generator(stream: Stream) -> np.random.Generator:
    """Return the random numbers of a stream: Philox (Salmon et al. 2011), keyed by what names the stream."""
    key = np.random.SeedSequence([stream.seed, stream.index, stream.attempt]).generate_state(2, np.uint64)
    return np.random.Generator(np.random.Philox(key=key))

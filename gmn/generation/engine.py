"""The sampling loop: streams in fixed slots, one sample of each at a time, by any of the backends that know the step.

Shapes: B slots, T samples, C length of a condition vector.

    past codes [B, T] --prime--> logits [B, 256] --draw--> codes [B] --step--> logits --draw--> codes ...

The stream of index i lies in slot i modulo the number of slots, empty slots are padded, and every draw is keyed by
(seed, index, attempt): a stream's samples depend on nothing that runs beside it. The number of slots is part of the
backend's identity: matrix products of other shapes, and of some shapes the odd rows, round otherwise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gmn.audio.mulaw import SILENCE
from gmn.errors import InputError
from gmn.generation.folded import FoldedWaveNet
from gmn.generation.graph import GraphWaveNet
from gmn.generation.lstm import FoldedLSTM, ReferenceLSTM
from gmn.generation.reference import ReferenceWaveNet
from gmn.generation.sampling import Sampling, draw, guide, uniforms
from gmn.models.lstm import LSTM
from gmn.models.wavenet import WaveNet

Generator = WaveNet | LSTM
"""The models that generate."""

DRAWN_AT_ONCE = 1024
"""Steps whose random numbers are drawn together."""

FROM_SILENCE = np.array([SILENCE], np.uint8)
"""The past of a clip without a prime: one silent sample, and nothing before it."""


class Stepper(Protocol):
    """A model with the state of B streams, made from the model and conditions [B, C]."""

    def prime(self, codes: Tensor) -> Tensor:
        """Take past codes [B, T] into the fresh state by one parallel pass; returns the logits [B, 256] after them."""

    def step(self, codes: Tensor) -> Tensor:
        """Map the newest codes [B], int64, to the logits [B, 256] of the next ones; at least float32."""


BACKENDS: Mapping[tuple[str, str, str], Callable[[Any, Tensor], Stepper]] = {
    ("wavenet", "reference", "float32"): ReferenceWaveNet,
    ("wavenet", "folded", "float32"): FoldedWaveNet,
    ("wavenet", "folded", "bf16"): partial(FoldedWaveNet, head_dtype=torch.bfloat16),
    ("wavenet", "graph", "float32"): GraphWaveNet,
    ("wavenet", "graph", "fp16"): partial(GraphWaveNet, dtype=torch.float16),
    ("lstm", "reference", "float32"): ReferenceLSTM,
    ("lstm", "folded", "float32"): FoldedLSTM,
}
"""Stepper of each kind of model, by backend and precision."""

ON_GPU = ("graph",)
"""Backends that need a CUDA device."""


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
    """Mu-law codes [T], without the prime."""
    bits_per_sample: float
    """Mean of -log2 p of the drawn codes under the conditional model as it is: temperature 1, no guidance."""
    bits_by_quarter: tuple[float, ...]
    """The same of each quarter of the clip."""


def find_backend(kind: str, backend: str, precision: str) -> Callable[[Any, Tensor], Stepper]:
    """Return the class of steppers of a model's kind.

    Raises InputError where there is none, with the ones that there are.
    """
    found = BACKENDS.get((kind, backend, precision))
    if found is None:
        known = ", ".join(f"{b} {p}" for k, b, p in BACKENDS if k == kind)
        raise InputError(f"backend {backend} with precision {precision}: not for a {kind}, which has: {known}")
    return found


@torch.inference_mode()
def generate(
    model: Generator,
    streams: Sequence[Stream],
    n_samples: int,
    slots: int,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    backend: str = "folded",
    precision: str = "float32",
    prime: npt.NDArray[np.uint8] = FROM_SILENCE,
    progress: Callable[[int], None] = lambda samples: None,
) -> list[Generated]:
    """Generate streams side by side, each as the continuation of the codes `prime` [T].

    No two streams may have the same place, their index modulo `slots`. `progress` is called now and then with the
    number of samples drawn since the last call, over all streams. Raises InputError where the model gives no numbers.
    """
    places = [stream.index % slots for stream in streams]
    assert streams
    assert len(set(places)) == len(places)
    device = torch.device("cuda" if backend in ON_GPU else "cpu")
    # With guidance, a second row for each slot hears the same codes without the condition.
    rows = 2 * slots if sampling.guided else slots
    conditions = np.zeros((rows, model.condition_size), np.float32)
    conditions[places] = [stream.condition for stream in streams]
    new_stepper = find_backend(model.kind, backend, precision)
    stepper = new_stepper(model.to(device), torch.from_numpy(conditions).to(device))
    generators = [uniforms(stream.seed, stream.index, stream.attempt) for stream in streams]
    drawn = torch.empty(n_samples, slots, dtype=torch.uint8, device=device)
    nats = torch.zeros(4, slots, dtype=torch.float64, device=device)
    logits = stepper.prime(torch.from_numpy(prime).to(device, torch.int64).expand(rows, -1))
    if not logits.isfinite().all():
        raise InputError(
            f"the model's logits are not finite in {precision}: its weights are broken, or too large for it"
        )
    for start in range(0, n_samples, DRAWN_AT_ONCE):
        count = min(DRAWN_AT_ONCE, n_samples - start)
        uniform = np.full((count, slots), 0.5, np.float32)
        for place, generator in zip(places, generators, strict=True):
            uniform[:, place] = generator.random(count, np.float32)
        for at, numbers in enumerate(torch.from_numpy(uniform).to(device), start):
            own = logits[:slots]
            guided = guide(own, logits[slots:], sampling.guidance) if sampling.guided else own
            codes = draw(guided, numbers, sampling)
            drawn[at] = codes
            nats[4 * at // n_samples] -= own.log_softmax(-1).gather(-1, codes[:, None])[:, 0]
            if at + 1 < n_samples:
                logits = stepper.step(codes.repeat(2) if sampling.guided else codes)
        progress(count * len(streams))
    lengths = torch.bincount(4 * torch.arange(n_samples) // n_samples, minlength=4).clamp(min=1)[:, None]
    by_quarter = (nats.cpu() / lengths / np.log(2)).T.tolist()
    bits = (nats.sum(0) / n_samples / np.log(2)).tolist()
    clips = drawn.T.cpu().contiguous().numpy()
    return [Generated(clips[place], bits[place], tuple(by_quarter[place])) for place in places]

"""What the generation job is asked for, and what of it cannot be done: found before any worker starts."""

import math
import os
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from gmn import runtime
from gmn.config import Config
from gmn.errors import InputError
from gmn.generation.engine import Generator, find_backend
from gmn.generation.sampling import Sampling
from gmn.models.bundle import LoadedBundle

Asked = tuple[str | None, str | None]
"""A clip's genre and emotion, as typed."""

GIB = 1 << 30


class GenerateSettings(Config):
    """What is generated."""

    clips: int = Field(32, ge=1)
    """Number of clips."""
    seconds: float = Field(3.0, gt=0, le=600)
    """Length of each, without the prime."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Another seed, other clips."""
    genres: tuple[str, ...] | None = None
    """Genres to ask for in turn; none: all that the model knows."""
    emotions: tuple[str, ...] | None = None
    """Emotions to ask for in turn, each by name or as nine rates, 0:0.2:...; none: all that the model knows."""
    prime: str | None = None
    """An audio file of any format and rate that every clip goes on from; none: clips start from silence."""
    prime_seconds: float | None = Field(None, gt=0)
    """How much of the prime is heard, from its start; none: all of it."""
    temperature: float = Field(1.0, ge=0, le=10)
    """Below 1 the likelier samples are favoured; 0 always takes the likeliest."""
    top_k: int | None = Field(None, ge=1, le=256)
    """Draw from the k likeliest samples only; none: from all 256."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Draw from the fewest likeliest samples whose probabilities reach p in sum; none: from all."""
    guidance: float = Field(1.0, ge=0, le=20)
    """Above 1 the condition is pushed further than the model itself would, at twice the time; 0 leaves it out."""
    slots: int = Field(16, ge=1, le=65_536)
    """Clips made side by side in one process, and in one part."""
    backend: Literal["reference", "folded", "graph"] = "folded"
    """How a step is computed: readable; fast on a CPU; as a CUDA graph on a GPU (untested)."""
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    """bf16: the head of folded, faster where the CPU multiplies bf16 itself; fp16: graph alone."""

    @property
    def sampling(self) -> Sampling:
        """How codes are drawn."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.guidance)


class GenerateConfig(GenerateSettings):
    """Generate a library of clips."""

    model: str
    """The generator's bundle."""
    output: str
    """The library to write."""


def plan(config: GenerateConfig, bundle: LoadedBundle) -> list[Asked]:
    """Give every clip its genre and emotion, so that all pairs come up in turn and few clips still cover both lists.

    Raises InputError for whatever of the request the model or this machine cannot do.
    """
    find_backend(bundle.model.kind, config.backend, config.precision)
    if round(config.seconds * bundle.sample_rate) < 1:
        raise InputError(f"seconds: {config.seconds:g} is less than one sample at {bundle.sample_rate} Hz")
    genres: Sequence[str | None] = bundle.conditions.genres if config.genres is None else config.genres
    emotions: Sequence[str | None] = tuple(bundle.conditions.emotions) if config.emotions is None else config.emotions
    genres, emotions = genres or (None,), emotions or (None,)
    for genre in genres:
        for emotion in emotions:
            bundle.conditions.vector(genre, emotion)
    _check_memory(config, bundle)
    cycle = math.lcm(len(genres), len(emotions))
    return [(genres[i % len(genres)], emotions[(i + i // cycle) % len(emotions)]) for i in range(config.clips)]


def _check_memory(config: GenerateConfig, bundle: LoadedBundle) -> None:
    """Refuse what the processes that run at once cannot hold: the streams' state, twice while primed, and their codes.

    The memory is that of the driver's machine.
    """
    assert isinstance(bundle.model, Generator)
    processes = min(-(-config.clips // config.slots), os.cpu_count() or 1)
    rows = config.slots * (2 if config.sampling.guided else 1)
    state = 2 * 4 * bundle.model.config.state_size * rows
    codes = 2 * config.slots * round(config.seconds * bundle.sample_rate)
    need, free = processes * (state + codes), runtime.available_memory()
    if need > free:
        raise InputError(
            f"slots: {config.slots} streams of {config.seconds:g} s need {need / GIB:.1f} GiB in {processes} "
            f"process{'es' * (processes > 1)}, and {free / GIB:.1f} GiB are free: ask for fewer slots or seconds"
        )

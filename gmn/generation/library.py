"""The generation job: a grid of conditions becomes a library of clips.

    plan: clips 0..N-1, a part for every `slots` of them --> [plain Ray tasks: sample, check, write audio, write part]
    --> library.json

Which clips a part holds, and every sample of them, is fixed by the settings: a rerun makes only the parts that lack.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from pydantic import Field

from gmn import __version__, runtime
from gmn.audio.mulaw import decode
from gmn.audio.write import encode_clip
from gmn.config import Config
from gmn.datasets.library import CLIPS, LIBRARY
from gmn.errors import InputError
from gmn.generation.engine import BACKEND, PRECISION, Generated, Stream, generate
from gmn.metrics.health import check_health
from gmn.models.bundle import LoadedBundle, load_bundle
from gmn.models.resnet import ResNet
from gmn.storage import Folder, digest, digest_json


class GenerateSettings(Config):
    """What is generated."""

    clips: int = Field(32, ge=1)
    """Number of clips."""
    seconds: float = Field(3.0, gt=0, le=600)
    """Length of each."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Another seed, other clips."""
    genres: tuple[str, ...] | None = None
    """Genres to ask for in turn; none: all that the model knows."""
    emotions: tuple[str, ...] | None = None
    """Emotions to ask for in turn, by name; none: all that the model knows."""
    temperature: float = Field(1.0, ge=0, le=10)
    """Below 1 the likelier samples are favoured; 0 always takes the likeliest."""
    slots: int = Field(16, ge=1, le=4096)
    """Clips made side by side in one process, and in one part."""


class GenerateConfig(GenerateSettings):
    """Generate a library of clips."""

    model: str
    """The generator's bundle."""
    output: str
    """The library to write."""


@dataclass(frozen=True)
class GenerateSummary:
    """What was generated."""

    clips: int
    seconds: float
    bits_per_sample: float
    health: dict[str, int]


def generate_library(
    config: GenerateConfig, progress: Callable[[int, int], None] = lambda done, total: None
) -> GenerateSummary:
    """Write the clip library `config.output`, or finish one that was interrupted.

    `progress` is called with (samples done, samples in all). Raises InputError before any worker starts where the
    model, a condition or the output cannot be used.
    """
    bundle = load_bundle(config.model, "generator")
    grid = _grid(config, bundle)
    if round(config.seconds * bundle.sample_rate) < 1:
        raise InputError(f"seconds: {config.seconds:g} is less than one sample at {bundle.sample_rate} Hz")
    output = Folder(config.output)
    request = config.model_dump(exclude={"output", "model"}) | {"model": bundle.digest}
    with LIBRARY.claim(output, request) as whole:
        if not whole:
            clips = range(config.clips)
            parts = [clips[start : start + config.slots] for start in clips[:: config.slots]]
            _run_parts(config, bundle, grid, parts, progress)
            _commit(config, bundle, output, [_name(part) for part in parts])
        return GenerateSummary(**LIBRARY.read(output)["counts"])


def _grid(config: GenerateConfig, bundle: LoadedBundle) -> list[tuple[str | None, str | None]]:
    """Give every clip its genre and emotion, so that all pairs come up in turn and few clips still cover both lists."""
    genres: Sequence[str | None] = bundle.conditions.genres if config.genres is None else config.genres
    emotions: Sequence[str | None] = tuple(bundle.conditions.emotions) if config.emotions is None else config.emotions
    genres, emotions = genres or (None,), emotions or (None,)
    for genre in genres:
        for emotion in emotions:
            bundle.conditions.vector(genre, emotion)
    cycle = math.lcm(len(genres), len(emotions))
    return [(genres[i % len(genres)], emotions[(i + i // cycle) % len(emotions)]) for i in range(config.clips)]


def _name(part: range) -> str:
    return f"part-{part.start:08d}.parquet"


def _run_parts(
    config: GenerateConfig,
    bundle: LoadedBundle,
    grid: Sequence[tuple[str | None, str | None]],
    parts: Sequence[range],
    progress: Callable[[int, int], None],
) -> None:
    """Make the parts that lack, as plain Ray tasks of one core each."""
    done = set((Folder(config.output) / "clips").names())
    todo = [part for part in parts if _name(part) not in done]
    n_samples = round(config.seconds * bundle.sample_rate)
    drawn, total = (config.clips - sum(map(len, todo))) * n_samples, config.clips * n_samples
    progress(drawn, total)
    if not todo:
        return
    runtime.connect()
    import ray

    # A worker may run in another directory, where a relative path would mean something else.
    addresses = {"model": Folder(config.model).address, "output": Folder(config.output).address}
    absolute = config.model_copy(update=addresses)

    def hear(samples: int) -> None:
        nonlocal drawn
        drawn += samples
        progress(drawn, total)

    with runtime.listening(hear) as mailbox:

        @ray.remote(num_cpus=1, max_retries=3)
        def task(part: range) -> int:
            asked = [grid[index] for index in part]
            return generate_part(absolute, part, asked, lambda samples: mailbox.put.remote(samples))

        pending = [task.remote(part) for part in todo]
        while pending:
            ready, pending = ray.wait(pending)
            ray.get(ready)


def generate_part(
    config: GenerateConfig,
    part: range,
    asked: Sequence[tuple[str | None, str | None]],
    progress: Callable[[int], None] = lambda samples: None,
) -> int:
    """Generate some clips and write their audio, then their rows, as one part; returns their number."""
    torch.set_num_threads(1)
    bundle, output = load_bundle(config.model, "generator"), Folder(config.output)
    assert not isinstance(bundle.model, ResNet)
    streams = [
        Stream(bundle.conditions.vector(genre, emotion), config.seed, index)
        for index, (genre, emotion) in zip(part, asked, strict=True)
    ]
    n_samples = round(config.seconds * bundle.sample_rate)
    generated = generate(bundle.model, streams, n_samples, config.temperature, config.slots, progress)
    rows = [
        _write_clip(config, bundle, output, stream, condition, clip)
        for stream, condition, clip in zip(streams, asked, generated, strict=True)
    ]
    (output / "clips").write_table(_name(part), pa.Table.from_pylist(rows, CLIPS))
    return len(rows)


def _write_clip(
    config: GenerateConfig,
    bundle: LoadedBundle,
    output: Folder,
    stream: Stream,
    condition: tuple[str | None, str | None],
    clip: Generated,
) -> dict[str, Any]:
    """Write one clip's audio and return its row; the name is made of all that the samples depend on."""
    genre, emotion = condition
    row: dict[str, Any] = {
        "model": bundle.digest,
        "genre": genre,
        "emotion": emotion,
        "seed": stream.seed,
        "index": stream.index,
        "attempt": stream.attempt,
        "temperature": config.temperature,
        "backend": BACKEND,
        "precision": PRECISION,
        "slots": config.slots,
        "prime": None,
        "sample_rate": bundle.sample_rate,
        "n_samples": len(clip.codes),
    }
    clip_id = digest_json(row)[:16]
    waveform = decode(clip.codes)
    title = f"{genre or 'any genre'}, {emotion or 'any emotion'}"
    tags = {"title": title, "gmn": json.dumps(row | {"clip_id": clip_id})}
    path = f"audio/{clip_id[:2]}/{clip_id}.flac"
    audio = encode_clip(waveform, bundle.sample_rate, tags)
    output.write_bytes(path, audio)
    return row | {
        "clip_id": clip_id,
        "path": path,
        "bits_per_sample": clip.bits_per_sample,
        "health": check_health(waveform, bundle.sample_rate).status.value,
        "digest": digest(audio),
    }


def _commit(config: GenerateConfig, bundle: LoadedBundle, output: Folder, names: Sequence[str]) -> None:
    table = pa.concat_tables([output.read_table(f"clips/{name}") for name in names])
    if len(set(table["clip_id"].to_pylist())) != config.clips:
        raise InputError(f"output {output}: its parts do not hold {config.clips} different clips; remove it")
    summary = GenerateSummary(
        clips=table.num_rows,
        seconds=config.seconds,
        bits_per_sample=round(sum(table["bits_per_sample"].to_pylist()) / table.num_rows, 4),
        health=dict(Counter(table["health"].to_pylist()).most_common()),
    )
    LIBRARY.write(
        output,
        {
            "model": {
                "digest": bundle.digest,
                "uri": bundle.uri,
                "kind": bundle.model.kind,
                "conditions": bundle.conditions.to_json(),
                **bundle.facts,
            },
            "digest": digest(*(name.encode() for name in table["digest"].to_pylist())),
            "settings": config.model_dump(mode="json", exclude={"output", "model"}),
            "sample_rate": bundle.sample_rate,
            "counts": summary.__dict__,
            "clips": [f"clips/{name}" for name in names],
            "gmn_version": __version__,
        },
    )

"""The generation job: a grid of conditions becomes a library of clips.

    plan: clips 0..N-1, a part for every `slots` of them --> [plain Ray tasks: sample, check, write audio, write part]
    --> library.json

Which clips a part holds, and every sample of them, is fixed by the settings: a rerun makes only the parts that lack.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from gmn import __version__, runtime
from gmn.audio.mulaw import decode
from gmn.audio.write import encode_clip
from gmn.datasets.library import CLIPS, LIBRARY
from gmn.errors import InputError
from gmn.generation.engine import FROM_SILENCE, ON_GPU, Generated, Generator, Stream, generate
from gmn.generation.prime import Prime, read_prime
from gmn.generation.settings import Asked, GenerateConfig, plan
from gmn.metrics.health import check_health
from gmn.models.bundle import LoadedBundle, load_bundle
from gmn.storage import Folder, digest, digest_json, writable


@dataclass(frozen=True)
class GenerateSummary:
    """What was generated."""

    clips: int
    seconds: float
    bits_per_sample: float
    health: dict[str, int]
    prime: str | None = None
    """What the clips go on from."""


def generate_library(
    config: GenerateConfig, progress: Callable[[int, int], None] = lambda done, total: None
) -> GenerateSummary:
    """Write the clip library `config.output`, or finish one that was interrupted.

    `progress` is called with (samples done, samples in all). Raises InputError before any worker starts where the
    model, a condition, the prime or the output cannot be used, or the memory does not suffice.
    """
    bundle = load_bundle(config.model, "generator")
    grid, prime = plan(config, bundle), _prime(config, bundle)
    output = Folder(config.output)
    request = config.model_dump(exclude={"output", "model"}) | {"model": bundle.digest}
    if prime is not None:
        request["prime"] = prime.digest
    with LIBRARY.claim(output, request) as whole:
        if not whole:
            clips = range(config.clips)
            parts = [clips[start : start + config.slots] for start in clips[:: config.slots]]
            _run_parts(config, bundle, grid, prime, parts, progress)
            _commit(config, bundle, prime, output, [_name(part) for part in parts])
        return GenerateSummary(**LIBRARY.read(output)["counts"])


def _prime(config: GenerateConfig, bundle: LoadedBundle) -> Prime | None:
    if config.prime is None:
        return None
    assert isinstance(bundle.model, Generator)
    field = bundle.model.config.context_samples
    return read_prime(config.prime, config.prime_seconds, bundle.sample_rate, field)


def _name(part: range) -> str:
    return f"part-{part.start:08d}.parquet"


def _run_parts(
    config: GenerateConfig,
    bundle: LoadedBundle,
    grid: Sequence[Asked],
    prime: Prime | None,
    parts: Sequence[range],
    progress: Callable[[int, int], None],
) -> None:
    """Make the parts that lack, as plain Ray tasks of one core each, or of one GPU."""
    done = set((Folder(config.output) / "clips").names())
    todo = [part for part in parts if _name(part) not in done]
    n_samples = round(config.seconds * bundle.sample_rate)
    drawn, total = (config.clips - sum(map(len, todo))) * n_samples, config.clips * n_samples
    progress(drawn, total)
    if not todo:
        return
    runtime.connect()
    import ray

    gpus = int(config.backend in ON_GPU)
    if gpus and not ray.cluster_resources().get("GPU"):
        raise InputError(f"backend {config.backend}: needs a GPU, and Ray finds none here")
    # A worker may run in another directory, where a relative path would mean something else.
    addresses = {"model": Folder(config.model).address, "output": Folder(config.output).address}
    absolute = config.model_copy(update=addresses)

    def hear(samples: int) -> None:
        nonlocal drawn
        drawn += samples
        progress(drawn, total)

    with runtime.listening(hear) as mailbox:

        @ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3)
        def task(part: range) -> int:
            asked = [grid[index] for index in part]
            with writable(config.output):
                return generate_part(absolute, part, asked, prime, lambda samples: mailbox.put.remote(samples))

        for _ in runtime.results(task.remote(part) for part in todo):
            pass


def generate_part(
    config: GenerateConfig,
    part: range,
    asked: Sequence[Asked],
    prime: Prime | None = None,
    progress: Callable[[int], None] = lambda samples: None,
) -> int:
    """Generate some clips and write their audio, then their rows, as one part; returns their number."""
    torch.set_num_threads(1)
    bundle, output = load_bundle(config.model, "generator"), Folder(config.output)
    assert isinstance(bundle.model, Generator)
    streams = [
        Stream(bundle.conditions.vector(genre, emotion), config.seed, index)
        for index, (genre, emotion) in zip(part, asked, strict=True)
    ]
    n_samples = round(config.seconds * bundle.sample_rate)
    generated = generate(
        bundle.model,
        streams,
        n_samples,
        config.slots,
        config.sampling,
        config.backend,
        config.precision,
        FROM_SILENCE if prime is None else prime.codes,
        progress,
    )
    rows = [
        _write_clip(config, bundle, prime, output, stream, condition, clip)
        for stream, condition, clip in zip(streams, asked, generated, strict=True)
    ]
    (output / "clips").write_table(_name(part), pa.Table.from_pylist(rows, CLIPS))
    return len(rows)


def _write_clip(
    config: GenerateConfig,
    bundle: LoadedBundle,
    prime: Prime | None,
    output: Folder,
    stream: Stream,
    condition: Asked,
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
        "top_k": config.top_k,
        "top_p": config.top_p,
        "guidance": config.guidance,
        "backend": config.backend,
        "precision": config.precision,
        "slots": config.slots,
        "prime": None if prime is None else prime.digest,
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
        "health": check_health(waveform, bundle.sample_rate, clip.bits_by_quarter).status.value,
        "digest": digest(audio),
    }


def _commit(
    config: GenerateConfig, bundle: LoadedBundle, prime: Prime | None, output: Folder, names: Sequence[str]
) -> None:
    table = pa.concat_tables([output.read_table(f"clips/{name}") for name in names])
    if len(set(table["clip_id"].to_pylist())) != config.clips:
        raise InputError(f"output {output}: its parts do not hold {config.clips} different clips; remove it")
    summary = GenerateSummary(
        clips=table.num_rows,
        seconds=config.seconds,
        bits_per_sample=round(sum(table["bits_per_sample"].to_pylist()) / table.num_rows, 4),
        health=dict(Counter(table["health"].to_pylist()).most_common()),
        prime=None if prime is None else prime.note,
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

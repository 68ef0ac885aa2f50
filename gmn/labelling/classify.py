"""The labelling job: classifiers say what they hear in files, in a library's clips or in a dataset's tracks.

    source --listing--> chunks --[plain Ray tasks: decode once a sample rate, judge by every model, write a part a
    model]--> labels.json

One row for every input and head; an input that cannot be read is a row too, with its reason. A worker loads the models
once. The driver holds one chunk of the listing at a time, and of the others only where they lie.
"""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import torch
from pydantic import Field

from gmn import __version__, runtime
from gmn.config import Config
from gmn.datasets.library import LABEL_ROWS, LABELS, LABELS_FOLDER
from gmn.datasets.listing import Chunk, read_chunk, write_chunks
from gmn.errors import InputError
from gmn.labelling.inputs import INPUTS, Source
from gmn.labelling.label import Heard, hear, label, load_classifiers, make_fast
from gmn.models.bundle import LoadedBundle
from gmn.storage import Folder, writable


class ClassifyConfig(Config):
    """Label audio with trained classifiers."""

    models: tuple[str, ...] = Field(min_length=1)
    """The classifiers' bundles, separated by commas."""
    source: str
    """An audio file, a directory of them, a clip library, or a dataset, of which the tracks are labelled."""
    output: str | None = None
    """Where the labels go; none: into the library itself, and for one file nowhere, they are only shown."""
    format: Literal["text", "json"] = "text"
    """How the labels of one file, or the counts of many, are shown."""


@dataclass(frozen=True)
class ClassifySummary:
    """What was heard: how often each label of each head came out on top."""

    inputs: int
    rejected: dict[str, int]
    labels: dict[str, dict[str, int]]


Progress = Callable[[int, int], None]
"""Called with (inputs done, inputs in all)."""


def classify(config: ClassifyConfig, progress: Progress = lambda done, total: None) -> ClassifySummary | list[Heard]:
    """Label the source; returns the summary of what was written, or what was heard where there is no output.

    Raises InputError before any worker starts where a model, the source or the output cannot be used.
    """
    bundles = load_classifiers(config.models)
    source = Source(config.source)
    target = _target(config, source)
    if target is None:
        return hear(source, bundles)
    output = Folder(target)
    request = {"source": config.source, "models": [bundle.digest for bundle in bundles]}
    with LABELS.claim(output, request) as whole:
        if not whole:
            chunks = list(write_chunks(output, source.chunks(), INPUTS, source.address))
            _run_chunks(chunks, source, output, bundles, progress)
            commit(output, bundles, chunks)
        return ClassifySummary(**LABELS.read(output)["counts"])


def _target(config: ClassifyConfig, source: Source) -> str | None:
    if config.output is not None:
        return config.output
    if source.is_library:
        return f"{config.source}/{LABELS_FOLDER}"
    if source.is_file:
        return None
    raise InputError(f"output: is required for a {'dataset' if source.is_dataset else 'directory'}")


def _run_chunks(
    chunks: Sequence[Chunk], source: Source, output: Folder, bundles: Sequence[LoadedBundle], progress: Progress
) -> None:
    """Label the chunks that lack, as plain Ray tasks: of a core each, or of a GPU each where the cluster has some."""
    done = set.intersection(*(set((output / bundle.digest[:12]).names()) for bundle in bundles))
    todo = [chunk for chunk in chunks if f"{chunk.stem}.parquet" not in done]
    total = sum(chunk.files for chunk in chunks)
    n_done = total - sum(chunk.files for chunk in todo)
    progress(n_done, total)
    if not todo:
        return
    runtime.connect()
    import ray

    # A worker may run in another directory, where a relative path would mean something else.
    models = tuple((Folder(bundle.uri).address, bundle.digest) for bundle in bundles)
    gpus = ray.cluster_resources().get("GPU", 0) >= 1
    needs: dict[str, int] = {"num_gpus": 1, "max_calls": 0} if gpus else {}  # 0: the worker stays, with its models

    @ray.remote(num_cpus=1, max_retries=3, **needs)
    def task(chunk: Chunk) -> int:
        with writable(output.uri):
            return label_chunk(models, source.address, output.address, chunk, "cuda" if gpus else "cpu")

    for count in runtime.results(task.remote(chunk) for chunk in todo):
        n_done += count
        progress(n_done, total)


def label_chunk(models: tuple[tuple[str, str], ...], address: str, output: str, chunk: Chunk, device: str) -> int:
    """Label a chunk's inputs and write a part a model; returns their number. A model is its address and digest."""
    bundles, folder = _ready(models, device), Folder(output)
    labels = label(address, read_chunk(folder, chunk), bundles)
    for bundle in bundles:
        mine = [row for row in labels if row["model"] == bundle.digest]
        (folder / bundle.digest[:12]).write_table(f"{chunk.stem}.parquet", pa.Table.from_pylist(mine, LABEL_ROWS))
    return chunk.files


@functools.lru_cache(maxsize=1)
def _ready(models: tuple[tuple[str, str], ...], device: str) -> list[LoadedBundle]:
    """Load the models of a worker's tasks."""
    bundles = load_classifiers([uri for uri, _ in models])
    for bundle, (uri, digest) in zip(bundles, models, strict=True):
        if bundle.digest != digest:
            raise InputError(f"{uri}: was changed while it labelled: run the job again")
    make_fast(bundles, torch.device(device))
    return bundles


def commit(output: Folder, bundles: Sequence[LoadedBundle], chunks: Sequence[Chunk]) -> None:
    """Count what the parts say, one at a time, and write the root."""
    n_inputs = sum(chunk.files for chunk in chunks)
    heads = {head: bundle for bundle in bundles for head in bundle.heads}
    parts = [f"{bundle.digest[:12]}/{chunk.stem}.parquet" for bundle in bundles for chunk in chunks]
    said: Counter[tuple[str, str | None, str | None]] = Counter()
    for part in parts:
        columns = output.read_table(part, ["head", "label", "reason"], LABEL_ROWS).to_pydict()
        said.update(zip(columns["head"], columns["label"], columns["reason"], strict=True))
    assert said.total() == n_inputs * len(heads), f"{said.total()} rows for {n_inputs} inputs and {len(heads)} heads"
    first = next(iter(heads))
    counts = {
        "inputs": n_inputs,
        "rejected": {reason: n for (head, _, reason), n in said.most_common() if head == first and reason},
        "labels": {
            head: {label: n for (of, label, _), n in said.most_common() if of == head and label} for head in heads
        },
    }
    models = [
        {"digest": bundle.digest, "uri": bundle.uri, "head": head, "labels": list(bundle.heads[head])}
        | dict(bundle.facts)
        | {"test": bundle.facts["test"].get(head, {})}
        for head, bundle in heads.items()
    ]
    LABELS.write(output, {"models": models, "counts": counts, "parts": parts, "gmn_version": __version__})

"""The labelling job: classifiers say what they hear in files or in a library's clips.

    inputs --chunks--> [plain Ray tasks: decode once a sample rate, judge by every model, write a part a model]
    --> labels.json

One row for every input and model; an input that cannot be read is a row too, with its reason.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pydantic import Field

from gmn import __version__, runtime
from gmn.audio.decode import SUFFIXES, read_waveform
from gmn.audio.rejection import DecodeError, Rejection
from gmn.config import Config
from gmn.datasets.library import CLIPS, LABEL_ROWS, LABELS, LABELS_FOLDER, LIBRARY, read_rows
from gmn.datasets.path_text import path_text
from gmn.datasets.walk import AudioSource, walk
from gmn.errors import InputError
from gmn.models.bundle import Generator, LoadedBundle, load_bundle
from gmn.storage import Folder, digest_json, writable

CHUNK_INPUTS = 32


class ClassifyConfig(Config):
    """Label audio with trained classifiers."""

    models: tuple[str, ...] = Field(min_length=1)
    """The classifiers' bundles, separated by commas."""
    source: str
    """An audio file, a directory of them, or a clip library."""
    output: str | None = None
    """Where the labels go; none: into the library itself, and for one file nowhere, they are only shown."""


@dataclass(frozen=True)
class Input:
    """One thing to be labelled: its name in the result, and its file's path in the source's folder."""

    name: str
    folder: str
    path: str
    reason: str | None = None
    """Why it cannot even be opened; None for a file."""


@dataclass(frozen=True)
class ClassifySummary:
    """What was heard: how often each label of each head came out on top."""

    inputs: int
    rejected: dict[str, int]
    labels: dict[str, dict[str, int]]


def classify(
    config: ClassifyConfig, progress: Callable[[int, int], None] = lambda done, total: None
) -> ClassifySummary | list[dict[str, Any]]:
    """Label the source; returns the summary of what was written, or the rows where there is no output.

    Raises InputError before any worker starts where a model, the source or the output cannot be used.
    """
    bundles = _load(config)
    inputs = list_inputs(config.source)
    target = _target(config)
    if target is None:
        return [row for item in inputs for row in judge(item, bundles)]
    output = Folder(target)
    request = {"source": config.source, "models": [bundle.digest for bundle in bundles]}
    with LABELS.claim(output, request) as whole:
        if not whole:
            chunks = [inputs[start : start + CHUNK_INPUTS] for start in range(0, len(inputs), CHUNK_INPUTS)]
            names = [
                f"part-{digest_json([[item.name, item.folder, item.path] for item in chunk])[:16]}.parquet"
                for chunk in chunks
            ]
            _run_chunks(config, output, bundles, chunks, names, progress)
            _commit(output, bundles, names, len(inputs))
        return ClassifySummary(**LABELS.read(output)["counts"])


def list_inputs(source: str) -> list[Input]:
    """List what a source holds: a file itself, a directory's audio, or a library's clips by their id.

    Raises InputError where there is nothing to label.
    """
    folder = Folder(source)
    if LIBRARY.whole(folder):
        rows = read_rows(folder, LIBRARY.read(folder)["clips"], CLIPS)
        return [Input(row["clip_id"], folder.address, row["path"]) for row in rows]
    file = Path(source).absolute()  # a worker may run in another directory
    if file.is_file():
        if file.suffix.lower() not in SUFFIXES:
            raise InputError(f"source {source}: not an audio file by its name (looked for {' '.join(SUFFIXES)})")
        return [Input(file.name, str(file.parent), path_text(os.fsencode(file.name)))]
    inputs = [Input(found.path, folder.address, found.path, found.reason) for found in walk(source)]
    if not inputs:
        raise InputError(f"source {source}: no audio in it (looked for {' '.join(SUFFIXES)})")
    return inputs


def judge(item: Input, bundles: Sequence[LoadedBundle]) -> list[dict[str, Any]]:
    """Say what each model hears in one input, a row a head; the file is decoded once for each sample rate."""
    waveforms: dict[int, torch.Tensor] = {}
    rows = []
    for bundle in bundles:
        row: dict[str, Any] = {"input": item.name, "model": bundle.digest, "status": "rejected"}
        try:
            if bundle.sample_rate not in waveforms:
                waveforms[bundle.sample_rate] = torch.from_numpy(_read(item, bundle.sample_rate))
        except DecodeError as error:
            rows += [row | {"head": head, "reason": error.reason.value} for head in bundle.heads]
            continue
        assert not isinstance(bundle.model, Generator)
        for head, heard in bundle.model.judge(waveforms[bundle.sample_rate]).items():
            probabilities, labels = heard.tolist(), bundle.heads[head]
            top = bundle.conditions.top_emotion(probabilities) if head == "emotion" else labels[int(heard.argmax())]
            said = {"head": head, "label": top, "confidence": probabilities[labels.index(top)]}
            rows.append(row | said | {"probabilities": probabilities, "status": "ok"})
    return rows


def _read(item: Input, sample_rate: int) -> npt.NDArray[np.float32]:
    """Decode an input's file."""
    if item.reason is not None:
        raise DecodeError(Rejection(item.reason), "found so by the walk")
    try:
        with AudioSource(item.folder).open(item.path) as stream:
            return read_waveform(stream, sample_rate)
    except OSError as error:
        raise DecodeError(Rejection.UNREADABLE, str(error)) from error


def _load(config: ClassifyConfig) -> list[LoadedBundle]:
    bundles = [load_bundle(uri, "classifier") for uri in config.models]
    for head, count in Counter(head for bundle in bundles for head in bundle.heads).items():
        if count > 1:
            raise InputError(f"models: {count} of them tell the {head}; give one model a head")
    return bundles


def _target(config: ClassifyConfig) -> str | None:
    if config.output is not None:
        return config.output
    if LIBRARY.whole(Folder(config.source)):
        return f"{config.source}/{LABELS_FOLDER}"
    if Path(config.source).is_file():
        return None
    raise InputError("output: is required for a directory")


def _run_chunks(
    config: ClassifyConfig,
    output: Folder,
    bundles: Sequence[LoadedBundle],
    chunks: Sequence[Sequence[Input]],
    names: Sequence[str],
    progress: Callable[[int, int], None],
) -> None:
    """Label the chunks that lack, as plain Ray tasks of one core each."""
    done = set.intersection(*(set((output / bundle.digest[:12]).names()) for bundle in bundles))
    todo = [(chunk, name) for chunk, name in zip(chunks, names, strict=True) if name not in done]
    total = sum(map(len, chunks))
    n_done = total - sum(len(chunk) for chunk, _ in todo)
    progress(n_done, total)
    if not todo:
        return
    runtime.connect()
    import ray

    # A worker may run in another directory, where a relative path would mean something else.
    absolute = config.model_copy(update={"models": tuple(Folder(uri).address for uri in config.models)})

    @ray.remote(num_cpus=1, max_retries=3)
    def task(chunk: Sequence[Input], name: str) -> int:
        with writable(output.uri):
            return label_chunk(absolute, output.address, chunk, name)

    for count in runtime.results(task.remote(chunk, name) for chunk, name in todo):
        n_done += count
        progress(n_done, total)


def label_chunk(config: ClassifyConfig, output: str, chunk: Sequence[Input], name: str) -> int:
    """Label some inputs and write a part for each model; returns their number."""
    torch.set_num_threads(1)
    bundles = _load(config)
    rows = [row for item in chunk for row in judge(item, bundles)]
    for bundle in bundles:
        mine = [row for row in rows if row["model"] == bundle.digest]
        (Folder(output) / bundle.digest[:12]).write_table(name, pa.Table.from_pylist(mine, LABEL_ROWS))
    return len(chunk)


def _commit(output: Folder, bundles: Sequence[LoadedBundle], names: Sequence[str], n_inputs: int) -> None:
    parts = [f"{bundle.digest[:12]}/{name}" for bundle in bundles for name in names]
    rows = read_rows(output, parts, LABEL_ROWS)
    heads = {head: bundle for bundle in bundles for head in bundle.heads}
    assert len(rows) == n_inputs * len(heads), f"{len(rows)} rows for {n_inputs} inputs and {len(heads)} heads"
    first = next(iter(heads))
    counts = {
        "inputs": n_inputs,
        "rejected": dict(Counter(row["reason"] for row in rows if row["head"] == first and row["reason"])),
        "labels": {
            head: dict(Counter(row["label"] for row in rows if row["head"] == head and row["label"]).most_common())
            for head in heads
        },
    }
    models = [
        {"digest": bundle.digest, "uri": bundle.uri, "head": head, "labels": list(bundle.heads[head])}
        | dict(bundle.facts)
        | {"test": bundle.facts["test"].get(head, {})}
        for head, bundle in heads.items()
    ]
    LABELS.write(output, {"models": models, "counts": counts, "parts": parts, "gmn_version": __version__})

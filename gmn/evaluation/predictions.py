"""What classifiers predict for tracks that they did not learn from: by the bundles, or by their recipes on folds.

A piece of work is one model on one fold, or a bundle on a dataset's test tracks. Its predictions are a part, named by
all that they depend on: a killed comparison goes on from the parts that it has.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from gmn import runtime
from gmn.datasets.dataset import Dataset, Track
from gmn.evaluation.folds import By, make_fold
from gmn.models.bundle import Generator, LoadedBundle, load_bundle
from gmn.storage import Folder, digest_json
from gmn.training import knn
from gmn.training.classifier import CNNSettings, ResNetSettings, fit_and_predict
from gmn.training.knn import KNNSettings
from gmn.training.labelled import Predictions, label_of

RECIPES: dict[str, type[ResNetSettings | CNNSettings | KNNSettings]] = {
    "resnet": ResNetSettings,
    "cnn": CNNSettings,
    "knn": KNNSettings,
}
"""Settings of each kind of model."""

ROWS = pa.schema(
    [
        ("track_id", pa.string()),
        ("head", pa.string()),
        ("probabilities", pa.list_(pa.float64())),
    ]
)


@dataclass(frozen=True)
class Work:
    """One model on one fold; without folds, a bundle on the test tracks."""

    uri: str
    """The model's bundle."""
    dataset: str
    by: By | None
    folds: int
    fold: int
    seed: int

    def part(self, bundle: LoadedBundle, dataset: Dataset) -> str:
        """Return the name of its part."""
        key = [bundle.digest, dataset.digest, self.by, self.folds, self.fold, self.seed]
        return f"predictions/{digest_json(key)[:16]}.parquet"

    def size(self, bundle: LoadedBundle, dataset: Dataset) -> int:
        """Return how much it is: segments to judge, or steps of training."""
        if self.by is None:
            return len(dataset.segments("test", labelled(dataset, bundle)))
        return int(bundle.facts["training"].get("fit", {}).get("steps", 1))


def labelled(dataset: Dataset, bundle: LoadedBundle) -> set[str]:
    """Return the tracks, by id, that have a label for any head of a bundle."""
    return {t.track_id for t in dataset.tracks if any(label_of(t, head) is not None for head in bundle.heads)}


def make_parts(works: Sequence[tuple[Work, str, int]], output: Folder, progress: Callable[[int, int], None]) -> None:
    """Make the parts that lack, given with their names and sizes, as plain Ray tasks of one core each."""
    there = {f"predictions/{name}" for name in (output / "predictions").names()}
    total = sum(size for _, _, size in works)
    done = {part: size for _, part, size in works if part in there}
    progress(sum(done.values()), total)
    todo = [entry for entry in works if entry[1] not in there]
    if not todo:
        return
    runtime.connect()
    import ray

    def hear(message: tuple[str, int]) -> None:
        done.update([message])
        progress(sum(done.values()), total)

    with runtime.listening(hear) as mailbox:

        @ray.remote(num_cpus=1, max_retries=3)
        def task(work: Work, part: str, size: int) -> None:
            torch.set_num_threads(1)
            said = time.monotonic()

            def tick(count: int) -> None:
                nonlocal said
                if count == size or time.monotonic() - said > 1:
                    said = time.monotonic()
                    mailbox.put.remote((part, count))

            Folder(output.address).write_table(part, pa.Table.from_pylist(predict(work, tick), ROWS))

        for _ in runtime.results(task.remote(*entry) for entry in todo):
            pass


def predict(work: Work, tick: Callable[[int], None] = lambda count: None) -> list[dict[str, Any]]:
    """Make one piece of work's predictions; `tick` is called with how much of it is done."""
    dataset, bundle = Dataset(work.dataset), load_bundle(work.uri, "classifier")
    if work.by is None:
        tracks, predictions = _judge_test_tracks(dataset, bundle, tick)
    else:
        tracks, predictions = _train_anew(work, dataset, bundle, tick)
    return [
        {"track_id": track.track_id, "head": head, "probabilities": row.tolist()}
        for head, rows in predictions.items()
        for track, row in zip(tracks, rows, strict=True)
    ]


def _train_anew(
    work: Work, dataset: Dataset, bundle: LoadedBundle, tick: Callable[[int], None]
) -> tuple[list[Track], Predictions]:
    assert work.by is not None
    readers = make_fold(dataset, labelled(dataset, bundle), work.by, work.folds, work.fold, work.seed)
    recipe = RECIPES[bundle.model.kind]
    known = {key: value for key, value in bundle.facts["training"].items() if key in recipe.model_fields}
    settings = recipe(**known | {"heads": tuple(bundle.heads)})
    if isinstance(settings, KNNSettings):
        return knn.fit_and_predict(dataset, settings, readers)
    return fit_and_predict(dataset, settings, readers, tick)


def _judge_test_tracks(
    dataset: Dataset, bundle: LoadedBundle, tick: Callable[[int], None]
) -> tuple[list[Track], Predictions]:
    """Judge each test track as a whole, its segments joined, as jobs.classify would."""
    assert not isinstance(bundle.model, Generator)
    reader = dataset.segments("test", labelled(dataset, bundle))
    pieces: dict[str, list[np.ndarray]] = {}
    tracks = {segment.track.track_id: segment.track for segment in reader.segments}
    heard: dict[str, dict[str, torch.Tensor]] = {}
    for index, segment in enumerate(reader.segments):
        pieces.setdefault(segment.track.track_id, []).append(reader.pcm(index))
        # Segments are sorted by track.
        if index + 1 == len(reader) or reader.segments[index + 1].track != segment.track:
            waveform = np.concatenate(pieces.pop(segment.track.track_id)).astype(np.float32) / 32768
            heard[segment.track.track_id] = bundle.model.judge(torch.from_numpy(waveform))
        tick(index + 1)
    return list(tracks.values()), {
        head: torch.stack([heard[name][head] for name in tracks]).double().numpy() for head in bundle.heads
    }

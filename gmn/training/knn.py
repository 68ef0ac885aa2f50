"""Fitting a k-NN: the hand-made features of the training tracks and their labels are all that it is.

    segments --windows_of--> windows --fit_windows--> KNN --evaluate--> figures

Each segment is described by itself, and may be anywhere.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from gmn.audio.handmade import handmade_features
from gmn.config import Config
from gmn.datasets.dataset import Dataset, SegmentReader, Track
from gmn.datasets.labels import GEMS
from gmn.errors import InputError
from gmn.metrics.agreement import accuracy, mean_pearson
from gmn.models.knn import KNN, KNNConfig


class KNNSettings(Config):
    """A k-NN; it draws nothing, so it has no seed."""

    kind: Literal["knn"] = "knn"
    """The model to train."""
    heads: tuple[Literal["genre", "emotion"], ...] | None = Field(None, min_length=1)
    """What it tells: genre, one of the dataset's; emotion, the nine GEMS rates. None: all that there are labels for."""
    model: KNNConfig = KNNConfig()
    """How neighbours are found. Windows are never longer than the dataset's segments."""


@dataclass(frozen=True)
class Window:
    """A stretch of a track, by its hand-made features [57]."""

    track: Track
    n_samples: int
    features: npt.NDArray[np.float64]


def windows_of(reader: SegmentReader, items: Iterable[int], sample_rate: int, window_samples: int) -> list[Window]:
    """Cut some segments of a reader into windows and describe each; a segment's last window may be shorter."""
    windows = []
    for item in items:
        waveform = reader.pcm(item).astype(np.float32) / np.float32(32768)
        for start in range(0, len(waveform), window_samples):
            samples = waveform[start : start + window_samples]
            windows.append(Window(reader.segments[item].track, len(samples), handmade_features(samples, sample_rate)))
    return windows


def fit_knn(dataset: Dataset, settings: KNNSettings) -> KNN:
    """Describe the training tracks and fit a k-NN to them.

    Raises InputError where a head has no labels, there is but one genre, or there are too few examples.
    """
    heads = choose_heads(dataset, settings.heads)
    labelled = {track.track_id for track in dataset.tracks if not np.isnan(_targets(track, heads)).all()}
    reader = dataset.segments("train", labelled)
    windows = windows_of(reader, range(len(reader)), dataset.sample_rate, window_samples(dataset, settings))
    return fit_windows(dataset, settings, windows)


def fit_windows(dataset: Dataset, settings: KNNSettings, windows: Sequence[Window]) -> KNN:
    """Fit a k-NN to windows of the training tracks.

    A track's windows of less than half its longest are left out.

    Raises InputError as `fit_knn` does.
    """
    heads = choose_heads(dataset, settings.heads)
    longest: dict[str, int] = defaultdict(int)
    for window in windows:
        longest[window.track.track_id] = max(longest[window.track.track_id], window.n_samples)
    kept = [window for window in windows if 2 * window.n_samples >= longest[window.track.track_id]]
    seconds = window_samples(dataset, settings) / dataset.sample_rate
    return KNN.fit(
        settings.model.model_copy(update={"window_seconds": seconds}),
        dataset.sample_rate,
        heads,
        np.stack([window.features for window in kept]),
        np.stack([_targets(window.track, heads) for window in kept]),
    )


def window_samples(dataset: Dataset, settings: KNNSettings) -> int:
    """Return the length of a window: no longer than the dataset's segments."""
    seconds = min(settings.model.window_seconds, float(dataset.root["segment_seconds"]))
    return max(1, round(seconds * dataset.sample_rate))


def judge_tracks(model: KNN, windows: Sequence[Window]) -> tuple[list[Track], dict[str, npt.NDArray[np.float64]]]:
    """Return the tracks of the windows, N, and each head's probabilities [N, labels]: the mean by length."""
    tracks = {window.track.track_id: window.track for window in windows}
    row_of = {track_id: row for row, track_id in enumerate(tracks)}
    rows = np.array([row_of[window.track.track_id] for window in windows])
    lengths = np.array([window.n_samples for window in windows], np.float64)
    shares = lengths / np.bincount(rows, lengths)[rows]
    judged = {}
    for head, of_window in model(np.stack([window.features for window in windows])).items():
        judged[head] = np.zeros((len(tracks), of_window.shape[1]))
        np.add.at(judged[head], rows, shares[:, None] * of_window.double().numpy())
    return list(tracks.values()), judged


def evaluate(model: KNN, windows: Sequence[Window]) -> dict[str, dict[str, Any]]:
    """Judge windows by track: genre by `accuracy`, emotion by `mean_r`, over `tracks` that have a label."""
    tracks, judged = judge_tracks(model, windows)
    figures: dict[str, dict[str, Any]] = {}
    for head, probabilities in judged.items():
        targets = np.stack([_targets(track, {head: model.heads[head]}) for track in tracks])
        known = ~np.isnan(targets).any(1)
        true, found = targets[known], probabilities[known]
        if head == "genre":
            figures[head] = {"accuracy": accuracy(true.argmax(1), found.argmax(1)), "tracks": len(true)}
        else:
            figures[head] = {"mean_r": mean_pearson(true, found), "tracks": len(true)}
    return figures


def choose_heads(
    dataset: Dataset, asked: Sequence[Literal["genre", "emotion"]] | None
) -> Mapping[str, tuple[str, ...]]:
    """Return the heads asked for, or all that the dataset has labels for, with their labels; genre comes first.

    Raises InputError where a head has no labels, or there is nothing to tell apart.
    """
    chosen = dataset.heads if asked is None else [head for head in ("genre", "emotion") if head in asked]
    heads = {head: dataset.genres if head == "genre" else GEMS for head in chosen}
    for head, labels in heads.items():
        if all(np.isnan(_targets(track, {head: labels})).all() for track in dataset.tracks):
            raise InputError(f"dataset {dataset.folder}: no track has a label for {head}")
    if not heads or len(heads.get("genre", ())) == 1:
        raise InputError(f"dataset {dataset.folder}: nothing to tell apart: no emotions, and fewer than two genres")
    return heads


def _targets(track: Track, heads: Mapping[str, tuple[str, ...]]) -> npt.NDArray[np.float64]:
    """Return a track's targets [K], the heads side by side; NaN where a label is not known."""
    targets: list[float] = []
    for head, labels in heads.items():
        if head == "genre":
            targets += [float(track.genre == label) if track.genre else np.nan for label in labels]
        else:
            targets += track.emotion or [np.nan] * len(labels)
    return np.array(targets)

"""Fitting a k-NN: the hand-made features of the training tracks and their labels are all that it is.

    segments --windows_of--> windows --fit_windows--> KNN --predict--> probabilities, a row a track

Each segment is described by itself, and may be anywhere.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from gmn.audio.handmade import handmade_features
from gmn.config import Config
from gmn.datasets.dataset import Dataset, SegmentReader, Track
from gmn.models.classifier import Head, Heads
from gmn.models.knn import KNN, KNNConfig
from gmn.training.labelled import Predictions, choose_heads, targets_of


class KNNSettings(Config):
    """A k-NN; it draws nothing, so it has no seed."""

    kind: Literal["knn"] = "knn"
    """The model to train."""
    heads: tuple[Head, ...] | None = Field(None, min_length=1)
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


def fit_windows(dataset: Dataset, settings: KNNSettings, windows: Sequence[Window]) -> KNN:
    """Fit a k-NN to windows of the training tracks.

    A track's windows of less than half its longest are left out.

    Raises InputError where a head has no labels, there is but one genre, or there are too few examples.
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


def predict(model: KNN, windows: Sequence[Window]) -> tuple[list[Track], Predictions]:
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


def fit_and_predict(
    dataset: Dataset, settings: KNNSettings, readers: Mapping[str, SegmentReader]
) -> tuple[list[Track], Predictions]:
    """Fit in this process alone and return what the k-NN predicts for the test tracks.

    Raises InputError as `fit_windows` does.
    """
    length = window_samples(dataset, settings)
    train, test = (
        windows_of(readers[split], range(len(readers[split])), dataset.sample_rate, length)
        for split in ("train", "test")
    )
    return predict(fit_windows(dataset, settings, train), test)


def _targets(track: Track, heads: Heads) -> npt.NDArray[np.float64]:
    """Return a track's targets [K], the heads side by side; NaN where a label is not known."""
    targets, weights = targets_of(track, heads)
    known = np.repeat(weights > 0, [len(labels) for labels in heads.values()])
    return np.where(known, targets.astype(np.float64), np.nan)

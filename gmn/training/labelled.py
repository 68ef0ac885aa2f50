"""What a classifier learns from and is judged by: a dataset's heads, its labelled segments, a track's targets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gmn.datasets.dataset import Dataset, SegmentReader, Track
from gmn.datasets.labels import GEMS
from gmn.datasets.schemas import SPLITS
from gmn.errors import InputError
from gmn.metrics.judgement import judge_genres, judge_rates
from gmn.models.classifier import HEADS, Head, Heads

Predictions = Mapping[str, npt.NDArray[np.float64]]
"""Head -> probabilities [N, labels], a row a track."""


def choose_heads(dataset: Dataset, asked: Sequence[Head] | None) -> Heads:
    """Return the heads asked for, or all that the dataset has labels for, with their labels.

    Raises InputError where a head has no labels, or there is nothing to tell apart.
    """
    if asked is None and not dataset.heads:
        raise InputError(f"dataset {dataset.folder}: nothing to tell apart: no emotions, and fewer than two genres")
    chosen = dataset.heads if asked is None else [head for head in HEADS if head in asked]
    for head in chosen:
        if all(label_of(track, head) is None for track in dataset.tracks):
            raise InputError(f"dataset {dataset.folder}: no track has a label for {head}")
    if "genre" in chosen and len(dataset.genres) < 2:
        raise InputError(f"dataset {dataset.folder}: one genre only ({dataset.genres[0]}), nothing to tell apart")
    return {head: dataset.genres if head == "genre" else GEMS for head in chosen}


def open_readers(dataset: Dataset, asked: Sequence[Head] | None = None) -> dict[str, SegmentReader]:
    """Open the segments of each split's tracks that have a label for any of the heads.

    Raises InputError as `choose_heads` does; where a split has no track for a head; and for emotion, where validation
    or test has but one, which has no correlation.
    """
    heads = choose_heads(dataset, asked)
    labelled = {track.track_id for track in dataset.tracks if any(label_of(track, head) is not None for head in heads)}
    readers = {split: dataset.segments(split, labelled) for split in SPLITS}
    for split, reader in readers.items():
        tracks = {segment.track.track_id: segment.track for segment in reader.segments}
        for head in heads:
            count = sum(label_of(track, head) is not None for track in tracks.values())
            needed = 2 if head == "emotion" else 1
            if count < needed:
                raise InputError(
                    f"dataset {dataset.folder}: {count} {split} tracks have a label for {head}, which needs {needed}"
                )
    return readers


def judge_tracks(tracks: Sequence[Track], predictions: Predictions, heads: Heads) -> dict[str, dict[str, Any]]:
    """Judge each head's predictions on the tracks that have its label; see gmn/metrics/judgement.py."""
    judged = {}
    for head, labels in heads.items():
        known = [i for i, track in enumerate(tracks) if label_of(track, head) is not None]
        truths, predicted = [label_of(tracks[i], head) for i in known], predictions[head][known]
        if head == "genre":
            judged[head] = judge_genres(np.array([labels.index(str(genre)) for genre in truths]), predicted)
        else:
            judged[head] = judge_rates(np.array(truths, np.float64), predicted, labels)
    return judged


def label_of(track: Track, head: str) -> str | tuple[float, ...] | None:
    """Return a track's genre or rates, None where they are not known."""
    return track.genre if head == "genre" else track.emotion


def targets_of(track: Track, heads: Heads) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return a track's targets [K], all heads side by side, and a weight for each head.

    A genre weighs 1, rates the root of their annotators; a label that is not known has zeros, and weighs nothing.
    """
    targets, weights = [], []
    for head, labels in heads.items():
        label = label_of(track, head)
        if label is None:
            targets.append(np.zeros(len(labels)))
        elif head == "genre":
            targets.append(np.array([name == label for name in labels]))
        else:
            targets.append(np.array(label))
        trusted = 1.0 if head == "genre" else float(track.n_annotators or 1) ** 0.5
        weights.append(0.0 if label is None else trusted)
    return np.concatenate(targets).astype(np.float32), np.array(weights, np.float32)

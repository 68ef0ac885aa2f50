"""The audit of a dataset: its labels, its copies, and what a leaking split would have claimed.

    segments --mean and deviation of log-mel--> k-NN, five-fold, twice: folds of random segments, folds of whole groups

A segment's neighbours from its own track are nearly itself. Under a random split the classifier finds them in training,
and the accuracy says nothing about music that it has not heard.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gmn.audio.features import LogMel, LogMelConfig
from gmn.config import Config
from gmn.datasets.dataset import Dataset
from gmn.errors import InputError
from gmn.evaluation.comparison import ceilings
from gmn.metrics.agreement import accuracy, wilson_interval

FOLDS = 5
NEIGHBOURS = 5
MOST_SEGMENTS = 6000
"""Segments that the k-NN sees, spread evenly: enough for the comparison, and quick."""


class AuditConfig(Config):
    """Audit a dataset's labels and splits."""

    dataset: str
    """The dataset to audit: a folder that jobs.ingest wrote."""
    seed: int = 0
    """Decides the folds of random segments."""


@dataclass(frozen=True)
class Leak:
    """Accuracy of one classifier on one set of segments, judged twice."""

    segments: int
    random: float
    """Under folds of random segments: what a leaking split claims."""
    grouped: float
    """Under folds of whole groups."""
    grouped_interval: tuple[float, float]
    """95 %, counting groups, not segments, as what was drawn."""
    majority: float
    """Always naming the commonest genre."""


@dataclass(frozen=True)
class Audit:
    """What the audit found."""

    tracks: int
    genres: dict[str, int]
    rated: int
    """Tracks with an emotion."""
    ceilings: dict[str, float]
    """Emotion -> the largest r that a perfect model would show, from split-half reliability."""
    copies: int
    conflicts: list[list[str]]
    """Files that hold one recording under different genres, a list for each recording."""
    bridges: list[list[str]]
    """Files that hold one recording in several splits, a list for each recording."""
    groups: int
    leak: Leak | None
    """None where there are fewer than two genres, or groups than folds."""


def audit(config: AuditConfig) -> Audit:
    """Audit a dataset; needs no Ray."""
    dataset = Dataset(config.dataset)
    counts = dataset.root["counts"]
    rated = [track for track in dataset.tracks if track.emotion is not None]
    return Audit(
        tracks=len(dataset.tracks),
        genres=counts["genres"],
        rated=len(rated),
        ceilings=ceilings(dataset),
        copies=counts["copies"],
        conflicts=counts["conflicts"],
        bridges=counts.get("bridges", []),  # since 1.1
        groups=counts["groups"],
        leak=_leak(dataset, config.seed),
    )


def _leak(dataset: Dataset, seed: int) -> Leak | None:
    labelled = {track.track_id for track in dataset.tracks if track.genre is not None}
    groups = {track.group for track in dataset.tracks if track.genre is not None}
    if len(dataset.genres) < 2 or len(groups) < FOLDS:
        return None
    x, genre, group = _features(dataset, labelled)
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(NEIGHBOURS))
    random = cross_val_predict(model, x, genre, cv=KFold(FOLDS, shuffle=True, random_state=seed))
    grouped = cross_val_predict(model, x, genre, groups=group, cv=GroupKFold(FOLDS))
    share = accuracy(genre, grouped)
    n_groups = len(set(group.tolist()))
    return Leak(
        segments=len(genre),
        random=accuracy(genre, random),
        grouped=share,
        grouped_interval=wilson_interval(round(share * n_groups), n_groups),
        majority=float(np.bincount(genre).max() / len(genre)),
    )


def _features(
    dataset: Dataset, labelled: set[str]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each segment's features [N, 2 M], genre [N] and group [N]."""
    reader = dataset.segments(tracks=labelled)
    log_mel = LogMel(LogMelConfig(dataset.sample_rate, n_fft=1024, hop_length=512, n_mels=40))
    picked = sorted({int(i) for i in np.linspace(0, len(reader) - 1, MOST_SEGMENTS)})
    picked = [i for i in picked if reader.segments[i].n_samples >= dataset.sample_rate // 2]
    if not picked:
        raise InputError(f"dataset {dataset.folder}: its segments are shorter than half a second")
    names = sorted({track.group for track in dataset.tracks})
    rows, genres, groups = [], [], []
    for index in picked:
        frames = log_mel(torch.from_numpy(reader.pcm(index).astype(np.float32) / 32768)).numpy()
        rows.append(np.concatenate([frames.mean(1), frames.std(1)]))
        track = reader.segments[index].track
        genres.append(dataset.genres.index(str(track.genre)))
        groups.append(names.index(track.group))
    return np.stack(rows), np.array(genres), np.array(groups)


def to_lines(found: Audit) -> list[str]:
    """Say it to a person."""
    genres = ", ".join(f"{name} {count}" for name, count in found.genres.items())
    lines = [
        f"labels    {found.tracks} tracks; genres: {genres or 'none'}; with emotions: {found.rated}",
        f"copies    {found.copies} tracks hold a recording that another holds as well; {found.groups} groups",
    ]
    lines += [f"conflict  one recording, several genres: {', '.join(paths)}" for paths in found.conflicts]
    lines += [f"bridge    one recording, several splits: {', '.join(paths)}" for paths in found.bridges]
    if found.ceilings:
        top = ", ".join(f"{name} {r:.2f}" for name, r in found.ceilings.items())
        lines.append(f"ceilings  on r, from the annotators' split-half agreement: {top}")
    if found.leak is None:
        lines.append(f"leak      not measured: that takes two genres and {FOLDS} groups of tracks with one")
    else:
        leak, (low, high) = found.leak, found.leak.grouped_interval
        lines += [
            f"leak      accuracy of a k-NN on {leak.segments} segments: {leak.random:.3f} by a random split of them,",
            f"          {leak.grouped:.3f} ({low:.2f} to {high:.2f}) by a split of whole groups; "
            f"always the commonest genre {leak.majority:.3f}",
        ]
    return lines


def to_json(found: Audit) -> dict[str, Any]:
    """Write the findings as JSON values."""
    return {**found.__dict__, "leak": found.leak.__dict__ if found.leak is not None else None}

"""Folds: every track is tested once, and what belongs together stays together."""

from collections import Counter

import pytest

from gmn.datasets.dataset import Dataset
from gmn.errors import InputError
from gmn.evaluation.folds import By, make_fold

FOLDS = 4


def every(dataset: Dataset) -> set[str]:
    return {track.track_id for track in dataset.tracks}


@pytest.mark.parametrize("by", ["group", "track", "random"])
def test_every_segment_is_tested_once_and_never_trained_on(dataset: Dataset, by: By) -> None:
    tested: Counter[tuple[str, int]] = Counter()
    for fold in range(FOLDS):
        parts = make_fold(dataset, every(dataset), by, FOLDS, fold, seed=0)
        names = {split: {(s.track.track_id, s.index) for s in reader.segments} for split, reader in parts.items()}
        assert not names["train"] & names["test"]
        assert not names["train"] & names["validation"]
        assert not names["validation"] & names["test"]
        assert len(names["train"]) > len(names["test"]) > len(names["validation"]) > 0
        tested.update(names["test"])
        key = {"group": lambda s: s.track.group, "track": lambda s: s.track.track_id, "random": id}[by]
        kept = [{key(s) for s in reader.segments} for reader in parts.values()]
        assert not kept[0] & kept[1]
        assert not (kept[0] | kept[1]) & kept[2]
    assert tested == {(s.track.track_id, s.index): 1 for s in dataset.segments().segments}


def test_random_segments_leak_tracks(dataset: Dataset) -> None:
    parts = make_fold(dataset, every(dataset), "random", FOLDS, 0, seed=0)
    trained = {s.track.track_id for s in parts["train"].segments}
    assert {s.track.track_id for s in parts["test"].segments} & trained


def test_genres_are_even_and_the_seed_decides(dataset: Dataset) -> None:
    first = make_fold(dataset, every(dataset), "track", FOLDS, 0, seed=0)["test"].segments
    genres = Counter(s.track.genre for s in first)
    assert set(genres) == set(dataset.genres)
    assert make_fold(dataset, every(dataset), "track", FOLDS, 0, seed=0)["test"].segments == first
    assert make_fold(dataset, every(dataset), "track", FOLDS, 0, seed=1)["test"].segments != first


def test_too_few_tracks_are_told(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="are too few for 50 folds"):
        make_fold(dataset, every(dataset), "track", 50, 0, seed=0)

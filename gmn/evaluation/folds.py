"""Folds of a dataset's tracks, made three ways, so that what a split leaks can be seen.

    group     whole groups: artists, or what the dataset grouped by; copies stay together
    track     whole tracks; an artist's others may be trained on
    random    segments; a track's others are trained on, as when a set is split without thought

Of what is not tested, about an eighth is for validation.
"""

from collections import defaultdict
from typing import Literal

from gmn.datasets.dataset import Dataset, Segment, SegmentReader
from gmn.datasets.splits import Group, SplitConfig, fold_groups, majority, split_groups
from gmn.errors import InputError

By = Literal["group", "track", "random"]


def make_fold(
    dataset: Dataset, labelled: set[str], by: By, folds: int, fold: int, seed: int
) -> dict[str, SegmentReader]:
    """Return the segments of train, validation and test in one of so many folds of the tracks named by id.

    Genres are even over the parts. Depends on the seed and the tracks alone. Raises InputError where a part would be
    empty.
    """
    units: dict[str, list[Segment]] = defaultdict(list)
    for segment in dataset.segments(tracks=labelled).segments:
        track = segment.track
        units[
            {"group": track.group, "track": track.track_id, "random": f"{track.track_id} {segment.index}"}[by]
        ].append(segment)
    groups = {name: Group(majority([s.track.genre for s in members]), len(members)) for name, members in units.items()}
    role = fold_groups(groups, SplitConfig(folds=folds, seed=seed))[fold]
    rest = {name: group for name, group in groups.items() if role[name] != "test"}
    split = split_groups(rest, SplitConfig(validation=0.125, seed=seed))
    names = {
        "train": {name for name, part in split.items() if part != "validation"},
        "validation": {name for name, part in split.items() if part == "validation"},
        "test": set(groups) - set(rest),
    }
    if len(groups) < folds or not all(names.values()):
        raise InputError(f"folds: {len(groups)} parts by {by} are too few for {folds} folds and a validation part")
    readers = {}
    for part, chosen in names.items():
        members = [segment for name in chosen for segment in units[name]]
        readers[part] = SegmentReader(dataset, sorted(members, key=lambda s: (s.track.path, s.index)))
    return readers

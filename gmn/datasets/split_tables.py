"""The split tables of a dataset: each track's split, by draw, by published lists, or as blocks of one recording.

default            a row a track; of one recording that is cut into blocks, a row a block
fold-0, fold-1 ..  where `split.folds` asks for them
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from gmn.datasets.groups import Grouping, Standing
from gmn.datasets.schemas import SPLIT, SPLITS
from gmn.datasets.settings import IngestConfig
from gmn.datasets.split_lists import SplitLists
from gmn.datasets.splits import Group, fold_groups, majority, split_blocks, split_groups
from gmn.errors import InputError
from gmn.storage import Folder, digest_json

Track = Mapping[str, Any]
"""A row of the manifest."""
Row = dict[str, Any]
Rows = list[Row]


def split_tracks(
    tracks: Sequence[Track],
    grouping: Grouping,
    standing: Mapping[str, Standing],
    lists: SplitLists | None,
    within: bool,
    config: IngestConfig,
) -> dict[str, Rows]:
    """Return the rows of each split table by its name; a track that stands in a split keeps it.

    `within` says that the dataset is one recording cut into blocks. Raises InputError where another recording would
    join it, and for more folds than groups.
    """
    group_of = grouping.group_of
    groups = _groups(tracks, group_of)
    if config.split.folds is not None and len(groups) < config.split.folds:
        held = "one recording, which is cut into blocks" if len(groups) == 1 else f"{len(groups)} groups of tracks"
        raise InputError(
            f"split.folds={config.split.folds}: each fold needs a group of tracks to test on; source {config.source} "
            f"holds {held} (by {grouping.rule} and copies): ask for fewer folds or none"
        )
    tables: dict[str, Rows] = {}
    if lists is not None:
        stands = {track_id: held.split for track_id, held in standing.items()}
        split_of = {t["track_id"]: stands.get(t["track_id"]) or lists.split(t["path"]) for t in tracks}
        tables["default"] = [_row(track_id, group_of, str(split_of[track_id])) for track_id in sorted(split_of)]
    elif len(groups) == 1 and (within or not standing):
        first = min(tracks, key=lambda track: (track["track_id"] not in standing, track["path"]))
        n_segments = -(-first["n_samples"] // config.segment_samples)
        blocks = split_blocks(n_segments, config.split)
        tables["default"] = [_row(first["track_id"], group_of, *block) for block in blocks]
    elif within:
        raise InputError(
            f"output {config.output}: is one recording cut into blocks, which other recordings cannot join: "
            "ingest all of them into another output"
        )
    else:
        tables["default"] = _by_group(tracks, group_of, split_groups(groups, config.split, grouping.taken))
    if config.split.folds is not None:
        for fold, part_of in enumerate(fold_groups(groups, config.split)):
            tables[f"fold-{fold}"] = _by_group(tracks, group_of, part_of)
    return tables


def remarks(tracks: Sequence[Track], rows: Rows) -> list[str]:
    """Say how many groups a split takes apart, and which genres it cannot train, validate or test."""
    said = []
    splits_of = defaultdict(set)
    for row in rows:
        if row["end_segment"] is None:  # blocks of one recording are told as such
            splits_of[row["group"]].add(row["split"])
    apart = sum(len(splits) > 1 for splits in splits_of.values())
    if apart:
        said.append(f"{apart} of {len(splits_of)} groups stand in more than one split: figures on it are too high")
    genre_of = {track["track_id"]: track["genre"] for track in tracks if track["genre"] is not None}
    genres = set(genre_of.values())
    if len(genres) == 1:
        said.append(f"one genre only ({', '.join(genres)}): nothing to tell apart")
    for split in SPLITS:
        absent = sorted(genres - {genre_of.get(row["track_id"]) for row in rows if row["split"] == split})
        if absent:
            said.append(f"{len(absent)} of {len(genres)} genres have no {split} track (first: {absent[0]})")
    return said


def write_tables(output: Folder, tables: Mapping[str, Rows], parts: Sequence[str]) -> dict[str, str]:
    """Write the tables; returns the file of each.

    They are named by the manifest parts that they split, so that no table is ever written over.
    """
    files = {name: f"{name}-{digest_json(sorted(parts))[:12]}.parquet" for name in tables}
    for name, rows in tables.items():
        (output / "splits").write_table(files[name], pa.Table.from_pylist(rows, SPLIT))
    return {name: f"splits/{file}" for name, file in files.items()}


def _groups(tracks: Sequence[Track], group_of: Mapping[str, str]) -> dict[str, Group]:
    genres: dict[str, list[str | None]] = defaultdict(list)
    for track in tracks:
        genres[group_of[track["track_id"]]].append(track["genre"])
    return {name: Group(majority(held), len(held)) for name, held in genres.items()}


def _by_group(tracks: Sequence[Track], group_of: Mapping[str, str], split_of: Mapping[str, str]) -> Rows:
    ordered = sorted(track["track_id"] for track in tracks)
    return [_row(track_id, group_of, split_of[group_of[track_id]]) for track_id in ordered]


def _row(track_id: str, group_of: Mapping[str, str], split: str, first: int = 0, end: int | None = None) -> Row:
    group = group_of[track_id]
    return {"track_id": track_id, "group": group, "split": split, "first_segment": first, "end_segment": end}

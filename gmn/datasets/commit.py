"""The commit of ingest: the manifest's rows are grouped and split, and the root names the parts that count."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa

from gmn import __version__
from gmn.audio.fingerprint import from_bytes
from gmn.datasets.duplicates import find_links
from gmn.datasets.groups import Grouping, Member, Standing, bridges, conflicts, group_tracks
from gmn.datasets.labels import GEMS
from gmn.datasets.schemas import DATASET, MANIFEST, SPLITS
from gmn.datasets.settings import IngestConfig
from gmn.datasets.split_lists import SplitLists
from gmn.datasets.split_tables import remarks, split_tracks, write_tables
from gmn.errors import InputError
from gmn.storage import Folder, digest_json

LEFT_OUT = ("bytes", "codec", "native_rate", "channels", "duration_seconds", "loudness_dbfs")
COLUMNS = [name for name in MANIFEST.names if name not in LEFT_OUT]
SHOWN = 20
"""Files that are listed by name for a person."""


@dataclass(frozen=True)
class IngestSummary:
    """What became of the files."""

    files: int
    tracks: int
    segments: int
    hours: float
    groups: int
    rule: str
    """What grouped the tracks beside copies."""
    within_recording: bool
    """Whether one recording was cut into blocks, for want of others."""
    copies: int
    """Tracks that hold a recording which another track holds as well."""
    rejected: dict[str, int]
    genres: dict[str, int]
    splits: dict[str, int]
    removed: list[str] = field(default_factory=list)
    """Files of an earlier ingest that the source no longer has, or has with other contents."""
    conflicts: list[list[str]] = field(default_factory=list)
    """Pairs of files with one recording under different genres."""
    bridges: list[list[str]] = field(default_factory=list)
    """Pairs of files with one recording that published lists put into two splits."""
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Say it to a person."""
        rejects = ", ".join(f"{reason} {count}" for reason, count in self.rejected.items())
        genres = ", ".join(f"{genre} {count}" for genre, count in self.genres.items())
        said = [
            f"files     {self.files}, rejected: {rejects or 'none'}",
            f"tracks    {self.tracks} ({self.hours:.2f} hours, {self.segments} segments), {self.copies} of them copies",
            f"genres    {genres or 'no labels'}",
            "splits    "
            + ", ".join(f"{name} {self.splits.get(name, 0)}" for name in SPLITS)
            + (" blocks within one recording" if self.within_recording else f" ({self.groups} groups by {self.rule})"),
        ]
        said += [f"gone      {path}" for path in self.removed[:SHOWN]]
        said += [f"conflict  one recording, several genres: {', '.join(paths)}" for paths in self.conflicts[:SHOWN]]
        said += [f"bridge    one recording, in two splits: {', '.join(paths)}" for paths in self.bridges[:SHOWN]]
        return said + [f"warning   {warning}" for warning in self.warnings]


def commit(
    output: Folder,
    stems: Sequence[str],
    config: IngestConfig,
    gone: Collection[str],
    warnings: Sequence[str],
    lists: SplitLists | None = None,
) -> IngestSummary:
    """Group and split the tracks of the manifest parts, old and new, and write the splits and the root.

    `gone` are the paths of an earlier ingest that the source no longer has as they were. `lists` are those of
    `split.lists`. Raises InputError where no file could be read, or the tracks cannot be split as asked.
    """
    before = DATASET.read(output) if DATASET.whole(output) else None
    old_parts = list(before["manifest"]) if before else []
    new_parts = [f"manifest/{stem}.parquet" for stem in stems]
    new_parts = [name for name in new_parts if name not in old_parts]
    rows = list(_rows(output, [*old_parts, *new_parts]))
    # A file that changed has two rows: the older recording stays known, but no longer counts.
    latest = {row["path"]: row["track_id"] for row in rows}
    tracks = [row for row in rows if row["status"] == "ok" and latest[row["path"]] == row["track_id"]]
    if not tracks:
        first = rows[0]
        raise InputError(
            f"source {config.source}: none of its {len(rows)} audio files can be read "
            f"(first: {first['path']}: {first['detail']})"
        )
    standing = _standing(output, before)
    gaps: list[str] = []
    if lists is not None:
        tracks, gaps = _listed(tracks, rows, lists, standing)
    rule = before["split"]["rule"] if before else config.split.group
    members = [Member(t["track_id"], t["path"], t["genre"], t["artist"], t["group"]) for t in tracks]
    copies = _copies(tracks)
    # Published lists are taken as they are: what would join two of their splits is told, not left out.
    grouping = group_tracks(members, rule, copies, standing if lists is None else None)
    new_parts = _reject(output, new_parts, set(grouping.bridging))
    tracks = [track for track in tracks if track["track_id"] in grouping.group_of]
    copies = [pair for pair in copies if set(pair) <= grouping.group_of.keys()]
    within = bool(before and before["counts"]["within_recording"])
    tables = split_tracks(tracks, grouping, standing, lists, within, config)
    split_rows = tables["default"]
    summary = replace(
        _summarise(rows, tracks, grouping, split_rows, copies, config),
        removed=sorted(gone),
        conflicts=conflicts(members, copies),
        bridges=bridges(members, copies, {row["track_id"]: row["split"] for row in split_rows}),
        warnings=[*warnings, *gaps, *remarks(tracks, split_rows)],
    )
    content = sorted([t["track_id"], t["genre"], t["emotion"], t["n_annotators"]] for t in tracks)
    DATASET.write(
        output,
        {
            "digest": digest_json([content, split_rows, config.sample_rate, config.segment_seconds]),
            "sample_rate": config.sample_rate,
            "segment_seconds": config.segment_seconds,
            "labels": {
                "genre": sorted(summary.genres),
                "emotion": list(GEMS) if any(track["emotion"] for track in tracks) else [],
            },
            "source": Folder(config.source).address,
            "split": config.split.model_dump() | {"rule": grouping.rule},
            "counts": asdict(summary),
            "manifest": [*old_parts, *new_parts],
            "segments": [*(before["segments"] if before else []), *(f"segments/{stem}.parquet" for stem in stems)],
            "splits": write_tables(output, tables, new_parts),
            "gmn_version": __version__,
        },
    )
    return summary


def _rows(output: Folder, parts: Sequence[str]) -> Iterator[dict[str, Any]]:
    for name in parts:
        yield from output.read_table(name, COLUMNS).to_pylist()


def _standing(output: Folder, before: Mapping[str, Any] | None) -> dict[str, Standing]:
    """Return where the tracks of an earlier ingest stand."""
    if before is None:
        return {}
    rows = output.read_table(before["splits"]["default"]).to_pylist()
    return {row["track_id"]: Standing(row["group"], row["split"]) for row in rows}


def _listed(
    tracks: Sequence[dict[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    lists: SplitLists,
    standing: Mapping[str, Standing],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the tracks that published lists name, and what to say of the others and of names without a track."""
    listed = [t for t in tracks if t["track_id"] in standing or lists.split(t["path"]) is not None]
    if not listed:
        raise InputError(f"{lists.title}: none of the tracks that it names can be read")
    others = len(tracks) - len(listed)
    said = [f"{others} tracks stand in none of the lists of {lists.title}, and so in no split"] if others else []
    return listed, said + lists.gaps({row["path"]: row["status"] for row in rows})


def _copies(tracks: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Find the pairs of tracks that hold one recording, by their bytes or by ear."""
    first: dict[str, str] = {}
    same = []
    for track in sorted(tracks, key=lambda track: str(track["track_id"])):
        if first.setdefault(track["digest"], track["track_id"]) != track["track_id"]:
            same.append((first[track["digest"]], track["track_id"]))
    links = find_links({track["track_id"]: from_bytes(track["fingerprint"]) for track in tracks})
    return sorted({*same, *((link.first, link.second) for link in links)})


def _reject(output: Folder, parts: Sequence[str], bridging: set[str]) -> list[str]:
    """Write the manifest parts again in which a newcomer turned out to join two splits; returns the parts' names."""
    names = []
    for name in parts:
        rows = output.read_table(name).to_pylist() if bridging else []
        if not any(row["track_id"] in bridging for row in rows):
            names.append(name)
            continue
        for row in rows:
            if row["track_id"] in bridging:
                detail = "holds a recording, or is by an artist, of two different splits"
                row |= {"status": "rejected", "reason": "bridges_splits", "detail": detail}
        names.append(name.replace(".parquet", "-bridged.parquet"))
        output.write_table(names[-1], pa.Table.from_pylist(rows, MANIFEST))
    return names


def _summarise(
    rows: Sequence[Mapping[str, Any]],
    tracks: Sequence[Mapping[str, Any]],
    grouping: Grouping,
    split_rows: Sequence[Mapping[str, Any]],
    copies: Sequence[tuple[str, str]],
    config: IngestConfig,
) -> IngestSummary:
    reasons = [row["reason"] for row in rows if row["status"] != "ok"] + ["bridges_splits"] * len(grouping.bridging)
    return IngestSummary(
        files=len(rows),
        tracks=len(tracks),
        segments=sum(-(-track["n_samples"] // config.segment_samples) for track in tracks),
        hours=round(sum(track["n_samples"] for track in tracks) / config.sample_rate / 3600, 4),
        groups=len(set(grouping.group_of.values())),
        rule=grouping.rule,
        within_recording=len({row["track_id"] for row in split_rows}) < len(split_rows),
        copies=len({track_id for pair in copies for track_id in pair}),
        rejected=dict(Counter(reasons).most_common()),
        genres=dict(sorted(Counter(track["genre"] for track in tracks if track["genre"]).items())),
        splits=dict(Counter(row["split"] for row in split_rows)),
    )

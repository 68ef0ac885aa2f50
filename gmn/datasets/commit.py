"""The commit of ingest: the manifest's rows are grouped and split, and the root names the parts that count."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa

from gmn import __version__
from gmn.audio.fingerprint import from_bytes
from gmn.datasets.duplicates import find_links
from gmn.datasets.groups import Member, Standing, bridges, conflicts, group_tracks
from gmn.datasets.labels import GEMS
from gmn.datasets.schemas import DATASET, MANIFEST
from gmn.datasets.settings import IngestConfig
from gmn.datasets.split_lists import SplitLists
from gmn.datasets.split_tables import remarks, split_tracks, write_tables
from gmn.datasets.summary import IngestSummary, not_read_again, summarise
from gmn.errors import InputError
from gmn.storage import Folder, digest_json

LEFT_OUT = ("bytes", "codec", "native_rate", "channels", "duration_seconds", "loudness_dbfs")
COLUMNS = [name for name in MANIFEST.names if name not in LEFT_OUT]


def commit(
    output: Folder,
    stems: Sequence[str],
    config: IngestConfig,
    missing: Collection[str],
    warnings: Sequence[str],
    lists: SplitLists | None = None,
) -> IngestSummary:
    """Group and split the tracks of the manifest parts, old and new, and write the splits and the root.

    Of a file's rows the latest counts. `missing` are the paths of an earlier ingest that were not found as they were:
    where no part of `stems` has them, a track stays and is told, a rejected file's row goes. `lists` are those of
    `split.lists`. Raises InputError where no file could be read, or the tracks cannot be split as asked.
    """
    before = DATASET.read(output) if DATASET.whole(output) else None
    old_parts, old_segments = (before["manifest"], before["segments"]) if before else ([], [])
    new_parts = {f"manifest/{stem}.parquet": None for stem in stems}
    seen = list(_rows(output, [*old_parts, *new_parts]))
    latest = {row["path"]: row for row in seen}
    gone = {path for path in missing if latest[path]["part"] not in new_parts}
    rows = [row for row in latest.values() if row["status"] == "ok" or row["path"] not in gone]
    tracks = [row for row in rows if row["status"] == "ok"]
    replaced = {row["path"]: row for row in seen if row["status"] == "ok" and row is not latest[row["path"]]}
    if not tracks:
        first = rows[0]
        raise InputError(
            f"source {config.source}: none of its {len(rows)} audio files can be read "
            f"(first: {first['path']}: {first['reason']}: {first['detail']})"
        )
    standing = _standing(output, before)
    gaps: list[str] = []
    if lists is not None:
        tracks, gaps = _listed(tracks, rows, lists, standing)
    rule = before["split"]["rule"] if before else config.split.group
    stood = {path: standing[row["track_id"]].group for path, row in replaced.items() if row["track_id"] in standing}
    members = [
        Member(t["track_id"], t["path"], t["genre"], t["artist"], t["group"], stood.get(t["path"])) for t in tracks
    ]
    copies = _copies(tracks)
    # Published lists are taken as they are: what would join two of their splits is told, not left out.
    grouping = group_tracks(members, rule, copies, standing if lists is None else None)
    parts = _settle(output, seen, rows, set(grouping.bridging))
    tracks = [track for track in tracks if track["track_id"] in grouping.group_of]
    copies = [pair for pair in copies if set(pair) <= grouping.group_of.keys()]
    within = bool(before and before["counts"]["within_recording"])
    tables = split_tracks(tracks, grouping, standing, lists, within, config)
    split_rows = tables["default"]
    summary = replace(
        summarise(rows, tracks, grouping, split_rows, copies, config),
        removed=sorted(track["path"] for track in tracks if track["path"] in gone),
        changed=sorted(path for path, row in replaced.items() if row["track_id"] != latest[path]["track_id"]),
        conflicts=conflicts(members, copies),
        bridges=bridges(members, copies, {row["track_id"]: row["split"] for row in split_rows}),
        warnings=[*warnings, *not_read_again(tracks), *gaps, *remarks(tracks, split_rows)],
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
            "manifest": parts,
            "segments": list(dict.fromkeys([*old_segments, *(f"segments/{stem}.parquet" for stem in stems)])),
            "splits": write_tables(output, tables, parts),
            "gmn_version": __version__,
        },
    )
    return summary


def _rows(output: Folder, parts: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Read the rows of the manifest, each with the part that it is in."""
    for name in parts:
        yield from (row | {"part": name} for row in output.read_table(name, COLUMNS, MANIFEST).to_pylist())


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


def _settle(
    output: Folder, seen: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], bridging: set[str]
) -> list[str]:
    """Write the manifest parts again in which not all rows count, or a newcomer turned out to join two splits.

    `rows` are those of `seen` that count. Returns the names of the parts that now hold them.
    """
    n_seen, kept = Counter(row["part"] for row in seen), defaultdict(set)
    for row in rows:
        kept[row["part"]].add(row["track_id"])
    names = []
    for name, n_rows in n_seen.items():
        bridged = kept[name] & bridging
        if len(kept[name]) == n_rows and not bridged:
            names.append(name)
        elif kept[name]:
            content = [
                row for row in output.read_table(name, schema=MANIFEST).to_pylist() if row["track_id"] in kept[name]
            ]
            for row in content:
                if row["track_id"] in bridged:
                    detail = "holds a recording, or is by an artist, of two different splits"
                    row |= {"status": "rejected", "reason": "bridges_splits", "detail": detail}
            names.append(f"manifest/part-{digest_json([name, sorted(kept[name]), sorted(bridged)])[:16]}.parquet")
            output.write_table(names[-1], pa.Table.from_pylist(content, MANIFEST))
    return names

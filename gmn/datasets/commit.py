"""The commit of ingest: the manifest's rows are grouped and split, and the root names the parts that count."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa

from gmn import __version__
from gmn.audio.fingerprint import from_bytes
from gmn.datasets.duplicates import find_links
from gmn.datasets.groups import Grouping, Member, Standing, conflicts, group_tracks
from gmn.datasets.labels import GEMS
from gmn.datasets.schemas import DATASET, MANIFEST, SPLIT
from gmn.datasets.settings import IngestConfig
from gmn.datasets.splits import Group, fold_groups, majority, split_blocks, split_groups
from gmn.datasets.summary import IngestSummary, not_read_again, summarise
from gmn.errors import InputError
from gmn.storage import Folder, digest_json

LEFT_OUT = ("bytes", "codec", "native_rate", "channels", "duration_seconds", "loudness_dbfs")
COLUMNS = [name for name in MANIFEST.names if name not in LEFT_OUT]


def commit(
    output: Folder, stems: Sequence[str], config: IngestConfig, missing: Collection[str], warnings: Sequence[str]
) -> IngestSummary:
    """Group and split the tracks of the manifest parts, old and new, and write the splits and the root.

    Of a file's rows the latest counts. `missing` are the paths of an earlier ingest that were not found as they were:
    where no part of `stems` has them, a track stays and is told, a rejected file's row goes. Raises InputError where no
    file could be read.
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
    rule = before["split"]["rule"] if before else config.split.group
    stood = {path: standing[row["track_id"]].group for path, row in replaced.items() if row["track_id"] in standing}
    members = [
        Member(t["track_id"], t["path"], t["genre"], t["artist"], t["group"], stood.get(t["path"])) for t in tracks
    ]
    copies = _copies(tracks)
    grouping = group_tracks(members, rule, copies, standing)
    parts = _settle(output, seen, rows, set(grouping.bridging))
    tracks = [track for track in tracks if track["track_id"] in grouping.group_of]
    copies = [pair for pair in copies if set(pair) <= grouping.group_of.keys()]
    within = bool(before and before["counts"]["within_recording"])
    split_rows = _split(tracks, grouping, standing, within, config)
    (output / "splits").write_table(_split_name(parts), pa.Table.from_pylist(split_rows, SPLIT))
    names = {"default": f"splits/{_split_name(parts)}"} | _write_folds(output, tracks, grouping, config, parts)
    summary = replace(
        summarise(rows, tracks, grouping, split_rows, copies, config),
        removed=sorted(track["path"] for track in tracks if track["path"] in gone),
        changed=sorted(path for path, row in replaced.items() if row["track_id"] != latest[path]["track_id"]),
        conflicts=conflicts(members, copies),
        warnings=[*warnings, *not_read_again(tracks)],
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
            "splits": names,
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


def _groups(tracks: Sequence[Mapping[str, Any]], group_of: Mapping[str, str]) -> dict[str, Group]:
    genres: dict[str, list[str | None]] = defaultdict(list)
    for track in tracks:
        genres[group_of[track["track_id"]]].append(track["genre"])
    return {name: Group(majority(held), len(held)) for name, held in genres.items()}


def _split(
    tracks: Sequence[Mapping[str, Any]],
    grouping: Grouping,
    standing: Mapping[str, Standing],
    within: bool,
    config: IngestConfig,
) -> list[dict[str, Any]]:
    """Give every track its split, old ones the one they had; one recording alone is cut into blocks for good."""
    group_of = grouping.group_of
    groups = _groups(tracks, group_of)
    if len(groups) == 1 and (within or not standing):
        first = min(tracks, key=lambda track: (track["track_id"] not in standing, track["path"]))
        n_segments = -(-first["n_samples"] // config.segment_samples)
        return [
            _split_row(first["track_id"], group_of, split, start, end)
            for split, start, end in split_blocks(n_segments, config.split)
        ]
    if within:
        raise InputError(
            f"output {config.output}: is one recording cut into blocks, which other recordings cannot join: "
            "ingest all of them into another output"
        )
    split_of = split_groups(groups, config.split, grouping.taken)
    ordered = sorted(track["track_id"] for track in tracks)
    return [_split_row(track_id, group_of, split_of[group_of[track_id]]) for track_id in ordered]


def _split_row(
    track_id: str, group_of: Mapping[str, str], split: str, first: int = 0, end: int | None = None
) -> dict[str, Any]:
    group = group_of[track_id]
    return {"track_id": track_id, "group": group, "split": split, "first_segment": first, "end_segment": end}


def _split_name(parts: Sequence[str]) -> str:
    """Name the split table by the manifest parts that it splits, so that no table is ever written over."""
    return f"default-{digest_json(sorted(parts))[:12]}.parquet"


def _write_folds(
    output: Folder, tracks: Sequence[Mapping[str, Any]], grouping: Grouping, config: IngestConfig, parts: Sequence[str]
) -> dict[str, str]:
    if config.split.folds is None:
        return {}
    names = {}
    for fold, split_of in enumerate(fold_groups(_groups(tracks, grouping.group_of), config.split)):
        rows = [
            _split_row(t["track_id"], grouping.group_of, split_of[grouping.group_of[t["track_id"]]]) for t in tracks
        ]
        name = _split_name(parts).replace("default", f"fold-{fold}")
        (output / "splits").write_table(name, pa.Table.from_pylist(rows, SPLIT))
        names[f"fold-{fold}"] = f"splits/{name}"
    return names

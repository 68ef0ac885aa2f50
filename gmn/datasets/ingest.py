"""Ingest: a directory of audio becomes a dataset of labelled, split segments.

    files --chunks--> [plain Ray tasks: decode, cut, write their own two parts] --> splits --> dataset.json

Audio never crosses the object store: a task writes the segments that it cut and returns counts.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from gmn import __version__, runtime
from gmn.audio.decode import SUFFIXES, DecodeError, read_mono
from gmn.config import Config
from gmn.datasets.labels import GEMS, Label, LabelsConfig, label_files
from gmn.datasets.schemas import DATASET, MANIFEST, SEGMENTS, SPLIT, SPLITS
from gmn.datasets.splits import SplitConfig, split_groups
from gmn.errors import InputError
from gmn.storage import Folder, digest, digest_json

CHUNK_FILES = 16
CHUNK_BYTES = 64 << 20
ROW_GROUP_BYTES = 1 << 20
"""Small row groups: a training window reads one of them, not the whole part."""


class IngestSettings(Config):
    """What ingest does with the audio."""

    sample_rate: int = Field(16000, ge=1000, le=192000)
    """Rate of the stored audio, in Hz."""
    segment_seconds: float = Field(6.0, gt=0, le=600)
    """Length of a segment; a track's last one may be shorter."""
    labels: LabelsConfig = LabelsConfig()
    """Where labels come from."""
    split: SplitConfig = SplitConfig()
    """How tracks are split."""


class IngestConfig(IngestSettings):
    """Turn a directory of audio into a dataset."""

    source: str
    """The directory; its audio files are found by their suffix, at any depth."""
    output: str
    """The dataset to write."""


@dataclass(frozen=True)
class SourceFile:
    """One file of the source with the label that it is to carry."""

    path: str
    bytes: int
    label: Label


@dataclass(frozen=True)
class IngestSummary:
    """What became of the files."""

    files: int
    tracks: int
    segments: int
    hours: float
    rejected: dict[str, int]
    genres: dict[str, int]
    splits: dict[str, int]

    def lines(self) -> list[str]:
        """Say it to a person."""
        rejects = ", ".join(f"{reason} {count}" for reason, count in self.rejected.items())
        genres = ", ".join(f"{genre} {count}" for genre, count in self.genres.items())
        return [
            f"files     {self.files}, of which rejected {sum(self.rejected.values())}"
            + (f" ({rejects})" * bool(rejects)),
            f"tracks    {self.tracks} ({self.hours:.2f} hours, {self.segments} segments)",
            f"genres    {genres or 'no labels'}",
            "splits    " + ", ".join(f"{name} {self.splits.get(name, 0)}" for name in SPLITS),
        ]


def ingest(config: IngestConfig, progress: Callable[[int, int], None] = lambda done, total: None) -> IngestSummary:
    """Write the dataset `config.output` from the audio in `config.source`, or finish one that was interrupted.

    `progress` is called with (files done, files in all). Raises InputError before any worker starts where the source
    or the output cannot be used, and afterwards where no file could be read.
    """
    source = Path(config.source)
    output = Folder(config.output)
    files = list_audio(source)
    if output.local is not None and output.local.resolve().is_relative_to(source.resolve()):
        raise InputError(f"output {output}: lies inside the source {source}, whose files it would join")
    labels = label_files(config.labels, [path for path, _ in files])
    with DATASET.claim(output, config.model_dump(exclude={"output"})) as whole:
        if whole:
            return IngestSummary(**DATASET.read(output)["counts"])
        chunks = _chunks([SourceFile(path, size, labels[path]) for path, size in files])
        stems = [_stem(chunk, config) for chunk in chunks]
        done = set((output / "manifest").names())
        todo = [i for i, stem in enumerate(stems) if f"{stem}.parquet" not in done]
        n_done = len(files) - sum(len(chunks[i]) for i in todo)
        progress(n_done, len(files))
        for count in _run_chunks([(chunks[i], stems[i]) for i in todo], config):
            n_done += count
            progress(n_done, len(files))
        return _commit(output, stems, config)


def list_audio(source: Path) -> list[tuple[str, int]]:
    """List the audio files below a folder as (path relative to it, bytes), sorted by path; litter (.name) is ignored.

    Raises InputError where the folder is missing, holds no audio, or a name in it is not UTF-8.
    """
    if not source.is_dir():
        raise InputError(f"source {source}: {'not a folder' if source.exists() else 'no such folder'}")
    found = []
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            file = Path(folder, name)
            if file.suffix.lower() in SUFFIXES and not name.startswith(".") and file.is_file():
                found.append((file.relative_to(source).as_posix(), file.stat().st_size))
    if not found:
        raise InputError(f"source {source}: no audio in it (looked for {' '.join(SUFFIXES)})")
    for path, _ in found:
        if path.encode(errors="replace").decode() != path:
            escaped = path.encode(errors="backslashreplace").decode()
            raise InputError(f"source {source}: the file name {escaped} is not UTF-8; rename it")
    return sorted(found)


def _chunks(files: Sequence[SourceFile]) -> list[list[SourceFile]]:
    chunks: list[list[SourceFile]] = []
    room = 0
    for file in files:
        if not chunks or len(chunks[-1]) == CHUNK_FILES or file.bytes > room:
            chunks.append([])
            room = CHUNK_BYTES
        chunks[-1].append(file)
        room -= file.bytes
    return chunks


def _stem(chunk: Sequence[SourceFile], config: IngestConfig) -> str:
    """Name a chunk's parts by all that they depend on, so that a rerun knows which are done."""
    key = digest_json([[asdict(file) for file in chunk], config.sample_rate, config.segment_seconds])
    return f"part-{key[:16]}"


def _run_chunks(todo: Sequence[tuple[list[SourceFile], str]], config: IngestConfig) -> Iterator[int]:
    """Run the decode stage.

    INPUT  one row a chunk. OUTPUT one row a chunk: the number of its files. Fan-out 1, plain tasks.
    """
    if not todo:
        return
    runtime.connect()
    # A worker may run in another directory, where a relative path would mean something else.
    addresses = {"source": str(Path(config.source).absolute()), "output": Folder(config.output).address}
    config = config.model_copy(update=addresses)
    rows = runtime.ray_data().range(len(todo), override_num_blocks=len(todo))
    for row in rows.map(
        lambda row: {"files": ingest_chunk(todo[row["id"]][0], todo[row["id"]][1], config)}
    ).iter_rows():
        yield row["files"]


def ingest_chunk(chunk: Sequence[SourceFile], stem: str, config: IngestConfig) -> int:
    """Decode some files and write their segments, then their manifest rows, as one part each; returns their number."""
    output = Folder(config.output)
    manifest, segments = [], []
    for file in chunk:
        row, cut = _ingest_file(file, config)
        manifest.append(row)
        segments += cut
    if segments:
        bytes_per_row = _segment_samples(config) * 2
        (output / "segments").write_table(
            f"{stem}.parquet",
            pa.Table.from_pylist(segments, SEGMENTS),
            row_group_size=max(1, ROW_GROUP_BYTES // bytes_per_row),
            compression="none",
            use_dictionary=False,
            write_statistics=False,
        )
    (output / "manifest").write_table(f"{stem}.parquet", pa.Table.from_pylist(manifest, MANIFEST))
    return len(chunk)


def _ingest_file(file: SourceFile, config: IngestConfig) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Decode one file into its manifest row and its segment rows."""
    path = Path(config.source, file.path)
    row: dict[str, Any] = {"path": file.path, "bytes": file.bytes, "track_id": digest(file.path.encode())[:16]}
    row |= asdict(file.label) | {"status": "rejected"}
    try:
        row["digest"] = digest(path.read_bytes())
        row["track_id"] = digest(file.path.encode(), row["digest"].encode())[:16]
        decoded = read_mono(path, config.sample_rate)
    except DecodeError as error:
        return row | {"reason": error.reason.value, "detail": str(error)}, []
    except OSError as error:
        return row | {"reason": "unreadable", "detail": str(error)}, []
    row |= {
        "codec": decoded.codec,
        "native_rate": decoded.native_rate,
        "channels": decoded.channels,
        "duration_seconds": decoded.duration_seconds,
        "loudness_dbfs": decoded.loudness_dbfs,
        "group": row["digest"][:16],
        "status": "ok",
    }
    length = _segment_samples(config)
    starts = range(0, len(decoded.pcm), length)
    cuts = [np.ascontiguousarray(decoded.pcm[start : start + length], "<i2") for start in starts]
    return row, [
        {"track_id": row["track_id"], "segment_index": index, "n_valid_samples": len(cut), "pcm": cut.tobytes()}
        for index, cut in enumerate(cuts)
    ]


def _segment_samples(config: IngestSettings) -> int:
    return max(1, round(config.segment_seconds * config.sample_rate))


def _commit(output: Folder, stems: Sequence[str], config: IngestConfig) -> IngestSummary:
    """Split the accepted tracks and write the root."""
    rows = [row for stem in stems for row in (output / "manifest").read_table(f"{stem}.parquet").to_pylist()]
    tracks = [row for row in rows if row["status"] == "ok"]
    if not tracks:
        first = rows[0]
        raise InputError(
            f"source {config.source}: none of its {len(rows)} audio files can be read "
            f"(first: {first['path']}: {first['detail']})"
        )
    groups: dict[str, str | None] = {}
    for row in sorted(tracks, key=lambda row: row["path"]):
        groups.setdefault(row["group"], row["genre"])
    split_of = split_groups(groups, config.split)
    splits = [{"track_id": row["track_id"], "split": split_of[row["group"]]} for row in tracks]
    (output / "splits").write_table("default.parquet", pa.Table.from_pylist(splits, SPLIT))
    written = set((output / "segments").names())
    lengths = [
        (output / "segments").read_table(f"{stem}.parquet", ["n_valid_samples"])["n_valid_samples"].to_numpy()
        for stem in stems
        if f"{stem}.parquet" in written
    ]
    summary = IngestSummary(
        files=len(rows),
        tracks=len(tracks),
        segments=sum(map(len, lengths)),
        hours=round(sum(int(part.sum()) for part in lengths) / config.sample_rate / 3600, 4),
        rejected=dict(Counter(row["reason"] for row in rows if row["status"] != "ok").most_common()),
        genres=dict(sorted(Counter(row["genre"] for row in tracks if row["genre"]).items())),
        splits=dict(Counter(row["split"] for row in splits)),
    )
    named = ("track_id", "genre", "emotion", "n_annotators")
    content = [[row[key] for key in named] for row in sorted(tracks, key=lambda row: row["track_id"])]
    DATASET.write(
        output,
        {
            "digest": digest_json([content, config.sample_rate, config.segment_seconds, config.split.model_dump()]),
            "sample_rate": config.sample_rate,
            "segment_seconds": config.segment_seconds,
            "labels": {
                "genre": sorted(summary.genres),
                "emotion": list(GEMS) if any(row["emotion"] for row in tracks) else [],
            },
            "source": str(Path(config.source).absolute()),
            "split": config.split.model_dump(),
            "counts": asdict(summary),
            "manifest": [f"manifest/{stem}.parquet" for stem in stems],
            "segments": [f"segments/{stem}.parquet" for stem in stems if f"{stem}.parquet" in written],
            "splits": ["splits/default.parquet"],
            "gmn_version": __version__,
        },
    )
    return summary

"""The map stage of ingest: a chunk of files becomes one part of segments and one part of the manifest.

    rows of the listing --decode, fingerprint, cut--> segments/STEM.parquet, then manifest/STEM.parquet

INPUT a chunk. OUTPUT its number of files. Fan-out 1, a plain function: Ray only decides where it runs. Memory is that
of one decoded file and one row group. A chunk whose manifest part is there is done.
"""

import functools
import hashlib
import io
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gmn.audio.decode import read_mono
from gmn.audio.fingerprint import fingerprint, to_bytes
from gmn.audio.rejection import DecodeError
from gmn.datasets.listing import Chunk, read_chunk
from gmn.datasets.schemas import MANIFEST, SEGMENTS
from gmn.datasets.tags import read_artist
from gmn.datasets.walk import AudioSource
from gmn.storage import Folder, digest

ROW_GROUP_BYTES = 1 << 20
"""Small row groups: a training window reads one of them, not the whole part."""


def ingest_chunk(chunk: Chunk, source: str, output: Folder, sample_rate: int, segment_samples: int) -> int:
    """Ingest one chunk's files; returns their number."""
    manifest: list[dict[str, Any]] = []

    @functools.lru_cache(maxsize=4)  # known files come in about the order that they were listed in
    def rows(part: str) -> dict[str, dict[str, Any]]:
        return {row["path"]: row for row in output.read_table(part, schema=MANIFEST).to_pylist()}

    def segments() -> Iterator[dict[str, Any]]:
        audio = AudioSource(source)
        for file in read_chunk(output, chunk):
            before = rows(file["known"])[file["path"]] if file["known"] else None
            row, pcm = _ingest_file(file, before, audio, sample_rate)
            manifest.append(row)
            for index, start in enumerate(range(0, len(pcm), segment_samples)):
                cut = pcm[start : start + segment_samples]
                yield {
                    "track_id": row["track_id"],
                    "segment_index": index,
                    "n_valid_samples": len(cut),
                    "pcm": np.ascontiguousarray(cut, "<i2").tobytes(),
                }

    _write_segments(output / "segments", f"{chunk.stem}.parquet", segments())
    (output / "manifest").write_table(f"{chunk.stem}.parquet", pa.Table.from_pylist(manifest, MANIFEST))
    return len(manifest)


def _write_segments(folder: Folder, name: str, rows: Iterator[dict[str, Any]]) -> None:
    """Write rows as they come, a row group whenever a megabyte is there."""
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    with folder.writing(name) as stream, pq.ParquetWriter(stream, SEGMENTS, **options) as writer:
        waiting: list[dict[str, Any]] = []
        size = 0
        for row in rows:
            waiting.append(row)
            size += len(row["pcm"])
            if size >= ROW_GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(waiting, SEGMENTS))
                waiting, size = [], 0
        if waiting:
            writer.write_table(pa.Table.from_pylist(waiting, SEGMENTS))


def _ingest_file(
    file: dict[str, Any], before: dict[str, Any] | None, source: AudioSource, sample_rate: int
) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
    """Decode one file into its manifest row and its samples; a rejected file has none.

    `before` is the row that the dataset has of it: it stays where the content is the same, without samples, since the
    dataset has them, and where a track cannot be read again, so that the next update tries once more.
    """
    row = {key: file[key] for key in ("path", "bytes", "mtime_ns", "genre", "emotion", "n_annotators", "group")}
    row["status"], nothing = "rejected", np.zeros(0, np.int16)
    unread = row | {"track_id": digest(file["path"].encode())[:16]}
    if file["reason"] is not None:
        return unread | {"reason": file["reason"], "detail": file["detail"]}, nothing
    try:
        with source.open(file["path"]) as stream:
            row["digest"] = hashlib.file_digest(cast(io.BufferedReader, stream), "sha256").hexdigest()
            row["track_id"] = digest(file["path"].encode(), row["digest"].encode())[:16]
            if before is not None and before["digest"] == row["digest"]:
                detail = before["detail"] if before["status"] == "rejected" else None
                return before | {"mtime_ns": row["mtime_ns"], "detail": detail}, nothing
            stream.seek(0)
            decoded = read_mono(stream, sample_rate)
            stream.seek(0)
            artist = read_artist(stream)
            landmarks = to_bytes(fingerprint(decoded.pcm, sample_rate))
    except DecodeError as error:
        return row | {"reason": error.reason.value, "detail": error.detail}, nothing
    except OSError as error:
        if before is not None and before["status"] == "ok":
            return before | {"detail": str(error)}, nothing
        return unread | {"reason": "unreadable", "detail": str(error)}, nothing
    row |= {
        "codec": decoded.codec,
        "native_rate": decoded.native_rate,
        "channels": decoded.channels,
        "duration_seconds": decoded.duration_seconds,
        "n_samples": len(decoded.pcm),
        "loudness_dbfs": decoded.loudness_dbfs,
        "fingerprint": landmarks,
        "artist": artist,
        "status": "ok",
    }
    return row, decoded.pcm

"""The listing: what is to be done, streamed from a source into chunks of about a second's work.

    walk --> labels --> listing/part-*.parquet, a row group for each chunk

The driver holds one chunk's files at a time, and of a chunk that is done with, only where it lies.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from gmn.datasets.labels import Labeller
from gmn.datasets.schemas import LISTING
from gmn.datasets.walk import Found, walk
from gmn.storage import Folder, digest_json

FILE_COST = 0.0005
BYTE_COST = {"mp3": 55e-9, "ogg": 55e-9, "opus": 150e-9, "flac": 15e-9}
"""CPU-seconds to ingest a file, and each byte of it by suffix; other formats cost 5 ns a byte."""
CHUNK_COST = 1.5
CHUNK_BYTES = 256 << 20
CHUNKS_A_PART = 1000


@dataclass(frozen=True)
class Chunk:
    """Some files for one task: where their rows lie, and the name of the parts that they become."""

    listing: str
    row_group: int
    stem: str
    files: int


class Known(NamedTuple):
    """What a dataset says of a file, by the manifest part that holds its row."""

    part: str
    bytes: int
    mtime_ns: int | None
    read: bool
    """Whether its content could be read."""


def write_listing(
    source: str, output: Folder, labeller: Labeller, key: object, known: dict[str, Known]
) -> Iterator[Chunk]:
    """List a source's audio in chunks, leaving out the files in `known`, by path, that are as they were.

    Those are taken from `known`. A file of another size or time is listed, and one that could not be read before; not
    one that was read and cannot be reached now.

    `key` is what the parts depend on beside the files: a chunk's name is made of both, so that a rerun knows it.
    """
    rows = ([_row(file, labeller, known.get(file.path)) for file in found] for found in _cut(source, labeller, known))
    return write_chunks(output, rows, LISTING, key)


def write_chunks(
    output: Folder, chunks: Iterator[list[dict[str, Any]]], schema: pa.Schema, key: object
) -> Iterator[Chunk]:
    """Write the rows of chunks into parts of the folder `listing`, as they come; yields where each lies."""
    for part in itertools.count():
        first = next(chunks, None)
        if first is None:
            return
        # The listing goes on while a part is written; that part's chunks count once it is whole.
        of_part = itertools.chain([first], itertools.islice(chunks, CHUNKS_A_PART - 1))
        yield from _write(output, f"listing/part-{part:05d}.parquet", of_part, schema, key)


def read_chunk(output: Folder, chunk: Chunk) -> list[dict[str, Any]]:
    """Read a chunk's rows."""
    rows: list[dict[str, Any]] = output.open_parquet(chunk.listing).read_row_group(chunk.row_group).to_pylist()
    return rows


def _cut(source: str, labeller: Labeller, known: dict[str, Known]) -> Iterator[list[Found]]:
    chunk: list[Found] = []
    cost, size = 0.0, 0
    for found in walk(source):
        if (seen := known.get(found.path)) is not None:
            if seen.read and found.reason is not None:
                continue
            unchanged = (seen.bytes, seen.mtime_ns) == (found.bytes, found.mtime_ns)
            if unchanged and (seen.read or found.reason is not None):
                del known[found.path]
                labeller(found.path)
                continue
        chunk.append(found)
        size += found.bytes
        cost += FILE_COST + found.bytes * BYTE_COST.get(found.path.rpartition(".")[2].lower(), 5e-9)
        if cost >= CHUNK_COST or size >= CHUNK_BYTES:
            yield chunk
            chunk, cost, size = [], 0.0, 0
    if chunk:
        yield chunk


def _row(found: Found, labeller: Labeller, seen: Known | None) -> dict[str, Any]:
    return asdict(found) | {"known": seen.part if seen else None} | asdict(labeller(found.path))


def _write(
    output: Folder, name: str, chunks: Iterable[list[dict[str, Any]]], schema: pa.Schema, key: object
) -> list[Chunk]:
    """Write one part of the listing, a row group a chunk, as they come."""
    written = []
    with output.writing(name) as stream, pq.ParquetWriter(stream, schema) as writer:
        for row_group, rows in enumerate(chunks):
            writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=len(rows))
            written.append(Chunk(name, row_group, f"part-{digest_json([rows, key])[:16]}", len(rows)))
    return written

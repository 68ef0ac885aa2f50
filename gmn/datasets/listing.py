"""The listing: what is to be ingested, streamed from the source into chunks of about a second's work.

    walk --> labels --> listing/part-*.parquet, a row group for each chunk

The driver holds one chunk's files at a time, and of a chunk that is done with, only where it lies.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

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


def write_listing(
    source: str, output: Folder, labeller: Labeller, key: object, known: set[tuple[str, int]]
) -> Iterator[Chunk]:
    """List a source's audio in chunks, leaving out the files in `known` (path, bytes), which are taken from it.

    `key` is what the parts depend on beside the files: a chunk's name is made of both, so that a rerun knows it.
    """
    cut = _cut(source, labeller, known)
    for part in itertools.count():
        first = next(cut, None)
        if first is None:
            return
        # The walk goes on while a part is written; that part's chunks count once it is whole.
        cuts = itertools.chain([first], itertools.islice(cut, CHUNKS_A_PART - 1))
        yield from _write(output, f"listing/part-{part:05d}.parquet", cuts, labeller, key)


def read_chunk(output: Folder, chunk: Chunk) -> list[dict[str, Any]]:
    """Read a chunk's rows."""
    rows: list[dict[str, Any]] = output.open_parquet(chunk.listing).read_row_group(chunk.row_group).to_pylist()
    return rows


def _cut(source: str, labeller: Labeller, known: set[tuple[str, int]]) -> Iterator[list[Found]]:
    chunk: list[Found] = []
    cost, size = 0.0, 0
    for found in walk(source):
        if (found.path, found.bytes) in known:
            known.remove((found.path, found.bytes))
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


def _row(found: Found, labeller: Labeller) -> dict[str, Any]:
    stated = {"path": found.path, "bytes": found.bytes, "reason": found.reason, "detail": found.detail}
    return stated | asdict(labeller(found.path))


def _write(output: Folder, name: str, cuts: Iterable[list[Found]], labeller: Labeller, key: object) -> list[Chunk]:
    """Write one part of the listing, a row group a chunk, as the walk finds them."""
    chunks = []
    with output.writing(name) as stream, pq.ParquetWriter(stream, LISTING) as writer:
        for row_group, found in enumerate(cuts):
            rows = [_row(file, labeller) for file in found]
            writer.write_table(pa.Table.from_pylist(rows, LISTING), row_group_size=len(rows))
            chunks.append(Chunk(name, row_group, f"part-{digest_json([rows, key])[:16]}", len(rows)))
    return chunks

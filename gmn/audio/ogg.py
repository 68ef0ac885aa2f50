"""How much sound an Ogg file (Vorbis, Opus) holds, counted from its page headers, without decoding.

    OggS|version|flags|granule position|serial|sequence|checksum|n|n sizes|payload      (RFC 3533)

The granule position of a page is the number of samples up to its end. libsndfile reads only the first of several
streams that were joined, and skips damaged pages without a word; this count is what its answer is held against.
"""

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

_HEADER = struct.Struct("<4sBBqIIIB")
_FIRST_PAGE = 2
_BLOCK = 1 << 16


@dataclass
class OggCount:
    """What the pages of a file hold."""

    streams: int = 0
    """Streams of sound, one after the other or side by side."""
    seconds: float = 0.0
    """Sound from the end of each stream's first page with sound to the end of its last."""
    cut: bool = False
    """The last page is not whole."""
    lost: int = 0
    """Bytes in no page."""


def count_pages(file: BinaryIO) -> OggCount | None:
    """Count a whole file; None where it does not start with an Ogg page."""
    count = OggCount()
    rates: list[int] = []  # of each stream
    granules: list[tuple[int, int]] = []  # of each stream, its first and its last
    stream_of: dict[int, int] = {}  # by serial, which the next stream may use again
    at, size = 0, file.seek(0, os.SEEK_END)
    while at < size:
        file.seek(at)
        head = file.read(_HEADER.size + 255 + 20)
        if not head.startswith(b"OggS"):
            if at == 0:
                return None
            found = _next_page(file, at)
            if found is None:
                count.cut = b"OggS".startswith(head)
                count.lost += size - at
                break
            count.lost += found - at
            at = found
            continue
        if len(head) < _HEADER.size:
            count.cut = True
            break
        _, _, flags, granule, serial, _, _, n = _HEADER.unpack_from(head)
        sizes = head[_HEADER.size : _HEADER.size + n]
        if flags & _FIRST_PAGE:
            stream_of.pop(serial, None)
            if rate := _rate(head[_HEADER.size + n :]):
                stream_of[serial] = len(rates)
                rates.append(rate)
                granules.append((0, 0))
        if serial in stream_of and granule > 0:
            first, _ = granules[stream_of[serial]]
            granules[stream_of[serial]] = (first or granule, granule)
        at += _HEADER.size + n + sum(sizes)
        count.cut = at > size or len(sizes) < n
    count.streams = len(rates)
    count.seconds = sum((last - first) / rate for rate, (first, last) in zip(rates, granules, strict=True))
    return count


def _rate(payload: bytes) -> int:
    """Return how many granules a stream counts a second, from its first packet; 0 for what is not known as sound."""
    if payload.startswith(b"\x01vorbis") and len(payload) >= 16:
        return int.from_bytes(payload[12:16], "little")
    return 48_000 if payload.startswith(b"OpusHead") else 0


def _next_page(file: BinaryIO, at: int) -> int | None:
    file.seek(at)
    while len(block := file.read(_BLOCK)) >= 4:
        if (found := block.find(b"OggS")) >= 0:
            return at + found
        at += len(block) - 3
        file.seek(at)
    return None

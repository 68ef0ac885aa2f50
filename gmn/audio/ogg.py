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
_NONE = -1
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


def count_pages(file: BinaryIO) -> OggCount | None:
    """Count a whole file; None where it does not start with an Ogg page."""
    count = OggCount()
    rates: dict[int, int] = {}
    granules: dict[int, tuple[int, int]] = {}
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
                break
            at = found
            continue
        if len(head) < _HEADER.size:
            count.cut = True
            break
        _, _, flags, granule, serial, _, _, n = _HEADER.unpack_from(head)
        sizes = head[_HEADER.size : _HEADER.size + n]
        payload = head[_HEADER.size + n :]
        if flags & 2 and (rate := _rate(payload)):
            rates[serial] = rate
        if serial in rates and granule > 0:
            granules[serial] = (granules.get(serial, (granule, granule))[0], granule)
        at += _HEADER.size + n + sum(sizes)
        count.cut = at > size or len(sizes) < n
    count.streams = len(rates)
    count.seconds = sum((last - first) / rates[serial] for serial, (first, last) in granules.items())
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

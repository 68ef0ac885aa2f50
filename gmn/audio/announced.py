"""How much of the sound that a header announces a file really holds.

libsndfile quietly shortens a WAV, AIFF or AU that was cut, so a broken download would pass as a short track. These
formats state the size of their sound in bytes; this module compares that with the file's size. Formats that it does
not know are left to the decoder.

    WAV   RIFF|size|WAVE  then chunks  id|size|payload, the sound in `data`  (little-endian; RIFX: big-endian)
    AIFF  FORM|size|AIFF  then chunks  id|size|payload, the sound in `SSND`  (big-endian)
    AU    .snd|offset|size|...                                               (big-endian; dns.: little-endian)

Payloads are padded to an even length.
"""

import os
from typing import BinaryIO, Literal

_UNKNOWN = (0, 0xFFFFFFFF)
"""What a program writes as the size when it cannot seek back to fill it in, as in a pipe."""


def missing_share(file: BinaryIO, size: int) -> float:
    """Return which share of the announced bytes of sound lies beyond the end of a file of `size` bytes.

    In [0, 1]; 0 where all is there, where the size is stated as unknown, and for formats not listed above.
    """
    file.seek(0)
    head = file.read(12)
    if len(head) < 12:
        return 0.0
    order: Literal["little", "big"] = "little" if head[:4] in (b"RIFF", b"dns.") else "big"
    if head[:4] in (b".snd", b"dns."):
        start, announced = (int.from_bytes(head[at : at + 4], order) for at in (4, 8))
        return _beyond(start, announced, size)
    if head[:4] in (b"RIFF", b"RIFX") and head[8:] == b"WAVE":
        wanted = b"data"
    elif head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        wanted = b"SSND"
    else:
        return 0.0
    while len(chunk := file.read(8)) == 8:
        announced = int.from_bytes(chunk[4:], order)
        if chunk[:4] == wanted:
            return _beyond(file.tell(), announced, size)
        file.seek(announced + announced % 2, os.SEEK_CUR)
    return 0.0


def _beyond(start: int, announced: int, size: int) -> float:
    if announced in _UNKNOWN:
        return 0.0
    return max(0.0, 1 - max(0, size - start) / announced)

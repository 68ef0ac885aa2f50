"""The artist of a track, from the file's own tags: tracks of one artist must not stand in two splits.

The album artist counts first: it is the same for all tracks of an album, where the artists change with each guest.
Compilations state none that would help ("Various Artists"); there, and where the album artist is missing, the track's
artist counts. Guests are left out ("X feat. Y" is X).

mutagen reads the tags; libsndfile reads those of WAV and AIFF that mutagen does not know (LIST/INFO, AUTH).
"""

import io
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, Literal

import soundfile
from mutagen.apev2 import APEv2
from mutagen.flac import VCFLACDict
from mutagen.id3 import ID3, TP1, TP2, TPE1, TPE2, ParseID3v1
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

from gmn.audio.mpeg import skip_tags
from gmn.audio.window import Window

TAG_BYTES = 1 << 20
"""As much of a tag as is looked at: text stands before pictures in nearly all of them."""

_TAIL_BYTES = 1 << 16
_ID3V1_BYTES = 128
_NOBODY = re.compile(r"(unknown|various)( artists?)?|<unknown>|\[unknown]|v\.?a\.?|n/?a|artist|no artist")
_GUESTS = re.compile(r"\s[(\[]?(feat\.?|ft\.?|featuring)\s.*")
_NAMES = (("albumartist", "album artist", "album_artist", "ensemble"), ("artist",))


def read_artist(file: BinaryIO) -> str | None:
    """Return the artist whom an open audio file names in its tags, as `normalised` writes it; None where it names none.

    Never raises because of what the file holds, nor where it cannot be read, which decoding will tell; reads at most
    1 MiB of a tag, and no picture.
    """
    for candidates in _READERS:
        try:
            file.seek(0)
            found = list(candidates(file))
        except Exception:  # a broken tag, on which mutagen raises nearly anything, must not cost the track
            continue
        for name in found:
            if (artist := normalised(name)) is not None:
                return artist
    return None


def normalised(name: str) -> str | None:
    """Return a name in one form for all its spellings; None where it names nobody.

    NFKC, case folded, white space single, without guests.

    >>> normalised("  The  BEATLES feat. Billy Preston"), normalised("Unknown Artist")
    ('the beatles', None)
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    printable = "".join(" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in folded)
    single = _GUESTS.sub("", " ".join(printable.split())).strip()
    return None if not single or _NOBODY.fullmatch(single) else single


def _id3(file: BinaryIO) -> Iterable[str]:
    """ID3v2 at the start (MP3, at times FLAC), or in a chunk (WAV, AIFF)."""
    head = file.read(12)
    if head[:4] in (b"RIFF", b"FORM"):
        if not _find_chunk(file, b"id3 ", "little" if head[:4] == b"RIFF" else "big"):
            return ()
    elif head[:3] == b"ID3":
        file.seek(0)
    else:
        return ()
    header = bytearray(file.read(10))
    size = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
    body = file.read(min(size, TAG_BYTES))
    header[6:10] = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
    known = {"TPE1": TPE1, "TPE2": TPE2, "TP1": TP1, "TP2": TP2}  # the others stay bytes
    tags = ID3(io.BytesIO(bytes(header) + body), known_frames=known)
    return [text for name in ("TPE2", "TPE1") for frame in tags.getall(name) for text in frame.text]


def _flac(file: BinaryIO) -> Iterable[str]:
    mark = file.read(4)
    if mark[:3] == b"ID3":
        file.seek(skip_tags(file))
        mark = file.read(4)
    if mark != b"fLaC":
        return ()
    while len(head := file.read(4)) == 4:
        size = int.from_bytes(head[1:], "big")
        if head[0] & 127 == 4:
            return _named(VCFLACDict(io.BytesIO(file.read(min(size, TAG_BYTES)))))
        if head[0] & 128:
            break
        file.seek(size, os.SEEK_CUR)
    return ()


def _ogg(file: BinaryIO) -> Iterable[str]:
    start = file.read(4)
    if start != b"OggS":
        return ()
    start += file.read(TAG_BYTES)
    kind = OggOpus if b"OpusHead" in start[:100] else OggVorbis
    return _named(kind(io.BytesIO(start)))


def _ape(file: BinaryIO) -> Iterable[str]:
    tail = _tail(file, _TAIL_BYTES)
    if b"APETAGEX" not in tail:
        return ()
    return _named({key.lower(): list(value) for key, value in APEv2(io.BytesIO(tail)).items()})


def _id3v1(file: BinaryIO) -> Iterable[str]:
    frames = ParseID3v1(_tail(file, _ID3V1_BYTES)) or {}
    return frames["TPE1"].text if "TPE1" in frames else ()


def _libsndfile(file: BinaryIO) -> Iterable[str]:
    form = file.read(12)[:4]
    if form not in (b"RIFF", b"FORM"):
        return ()
    if not (_find_chunk(file, b"list", "little") if form == b"RIFF" else _find_chunk(file, b"auth", "big")):
        return ()  # opening it costs as much as decoding a second of sound
    with Window(file).buffered() as window, soundfile.SoundFile(window) as sound:
        return (sound.artist,)


_READERS: tuple[Callable[[BinaryIO], Iterable[str]], ...] = (_id3, _flac, _ogg, _ape, _libsndfile, _id3v1)


def _named(tags: Mapping[str, Any]) -> list[str]:
    """Return the artists that Vorbis or APE comments name, in the order in which they count."""
    return [str(text) for names in _NAMES for name in names if name in tags for text in tags[name]]


def _find_chunk(file: BinaryIO, wanted: bytes, order: Literal["little", "big"]) -> bool:
    """Go to the payload of a chunk of a WAV or AIFF file, from behind its header of 12 bytes."""
    while len(chunk := file.read(8)) == 8:
        if chunk[:4].lower() == wanted:
            return True
        size = int.from_bytes(chunk[4:], order)
        file.seek(size + size % 2, os.SEEK_CUR)
    return False


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, file.seek(0, os.SEEK_END) - size))
    return file.read(size)

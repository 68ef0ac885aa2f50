"""The artist of a file, from its own tags."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from mutagen.aiff import AIFF
from mutagen.apev2 import APEv2
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, TPE1, TPE2
from mutagen.mp3 import MP3
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from gmn.datasets.tags import TAG_BYTES, normalised, read_artist

RATE = 48_000


def silence(format: str, subtype: str | None = None, artist: str | None = None) -> io.BytesIO:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, subtype, format=format) as sound:
        if artist is not None:
            sound.artist = artist
        sound.write(np.zeros(RATE // 10))
    file.seek(0)
    return file


def id3_tagged(kind: type[MP3] | type[WAVE] | type[AIFF], format: str, **frames: str) -> io.BytesIO:
    file = silence(format)
    tagged = kind(file)
    tagged.add_tags()
    for name, text in frames.items():
        tagged.tags.add({"TPE1": TPE1, "TPE2": TPE2}[name](text=[text]))
    file.seek(0)
    tagged.save(file)
    return file


def comments(kind: Callable[..., FLAC | OggVorbis | OggOpus], file: io.BytesIO, **tags: str) -> io.BytesIO:
    tagged = kind(file)
    tagged.update({name: [text] for name, text in tags.items()})
    file.seek(0)
    tagged.save(file)
    return file


@pytest.mark.parametrize(("kind", "format"), [(MP3, "MP3"), (WAVE, "WAV"), (AIFF, "AIFF")])
def test_id3(kind: type[MP3], format: str) -> None:
    assert read_artist(id3_tagged(kind, format, TPE1="Nina Simone")) == "nina simone"
    assert read_artist(id3_tagged(kind, format, TPE1="Guest", TPE2="The Band")) == "the band"
    assert read_artist(id3_tagged(kind, format, TPE1="Real", TPE2="Various Artists")) == "real"


@pytest.mark.parametrize(
    ("kind", "format", "subtype"),
    [(FLAC, "FLAC", None), (OggVorbis, "OGG", "VORBIS"), (OggOpus, "OGG", "OPUS")],
)
def test_vorbis_comments(kind: Callable[..., FLAC], format: str, subtype: str | None) -> None:
    assert read_artist(comments(kind, silence(format, subtype), artist="Björk")) == "björk"
    assert read_artist(comments(kind, silence(format, subtype), artist="Guest", albumartist="Band")) == "band"


@pytest.mark.parametrize("format", ["WAV", "AIFF"])
def test_tags_of_the_format_itself(format: str) -> None:
    assert read_artist(silence(format, artist="Someone")) == "someone"


def test_tags_at_the_end_of_an_mp3() -> None:
    file = silence("MP3")
    ape = APEv2()
    ape["Artist"] = "Aphex Twin"
    ape.save(file)
    assert read_artist(file) == "aphex twin"
    id3v1 = b"TAG" + b"Title".ljust(30, b"\0") + b"Old Timer".ljust(30, b"\0") + bytes(65)
    assert read_artist(io.BytesIO(silence("MP3").getvalue() + id3v1)) == "old timer"


@pytest.mark.parametrize("format", ["MP3", "WAV", "FLAC", "OGG", "AIFF", "AU"])
def test_no_tag_is_no_artist(format: str) -> None:
    assert read_artist(silence(format)) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("  The\t BEATLES ", "the beatles"),
        ("Straße", "strasse"),
        ("\uff21\uff22", "ab"),  # full-width
        ("Cafe\u0301", "café"),
        ("X feat. Y", "x"),
        ("X (ft. Y & Z)", "x"),
        ("Ft. Worth", "ft. worth"),
        ("Various", None),
        ("VA", None),
        ("<Unknown>", None),
        ("Unknown Artist", None),
        (" \0", None),
        ("", None),
    ],
)
def test_normalised(name: str, expected: str | None) -> None:
    assert normalised(name) == expected


def test_a_huge_picture_behind_the_name_is_not_read() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            got = super().read(size)
            self.taken += len(got)
            return got

    tag = ID3()
    tag.add(TPE1(text=["Cover Band"]))
    tag.add(APIC(mime="image/png", type=3, data=bytes(20 << 20)))
    file = io.BytesIO()
    tag.save(file, padding=lambda info: 0)
    counting = Counting(file.getvalue() + silence("MP3").getvalue())
    assert read_artist(counting) == "cover band"
    assert counting.taken < 2 * TAG_BYTES
    flac = silence("FLAC")
    picture = Picture()
    picture.data = bytes(12 << 20)
    tagged = FLAC(flac)
    tagged["artist"] = ["Cover Band"]
    tagged.add_picture(picture)
    flac.seek(0)
    tagged.save(flac)
    counting = Counting(flac.getvalue())
    assert read_artist(counting) == "cover band"
    assert counting.taken < 2 * TAG_BYTES


def test_broken_tags_never_raise() -> None:
    rng = np.random.default_rng(0)
    files = [
        id3_tagged(MP3, "MP3", TPE1="Name"),
        id3_tagged(WAVE, "WAV", TPE1="Name"),
        comments(FLAC, silence("FLAC"), artist="Name"),
        comments(OggVorbis, silence("OGG", "VORBIS"), artist="Name"),
        comments(OggOpus, silence("OGG", "OPUS"), artist="Name"),
        silence("AIFF", artist="Name"),
    ]
    for file in files:
        content = file.getvalue()
        for _ in range(40):
            broken = bytearray(content[: int(rng.integers(1, len(content)))])
            for at in rng.integers(0, min(len(broken), 200), 5):
                broken[at] = rng.integers(256)
            artist = read_artist(io.BytesIO(bytes(broken)))
            assert artist is None or artist == normalised(artist)
    assert read_artist(io.BytesIO()) is None
    assert read_artist(io.BytesIO(b"\xff" * 100_000)) is None

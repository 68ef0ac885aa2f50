"""The rules of docs/audio-rules.md for all kinds of input but mp3, which has a file of its own."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gmn.audio import mono as mono_module
from gmn.audio.decode import DecodeError, Rejection, read_mono
from gmn.audio.ogg import count_pages
from tests.audio.test_decode import RATE, encoded, reason_of, sound

ID3 = b"ID3\x03\0\0" + bytes([0, 0, 8, 0]) + bytes(1024)
OGG = [("VORBIS", 44_100), ("OPUS", 48_000), ("OPUS", 16_000)]


def detail_of(content: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        read_mono(io.BytesIO(content), RATE)
    return caught.value.detail


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_nan_and_inf_are_rejected(bad: float, channels: int) -> None:
    x = np.zeros((200_000, channels), np.float32)
    x[150_000, 0] = bad
    assert reason_of(encoded(x, "WAV", "FLOAT")) is Rejection.NON_FINITE


def test_one_sample_is_kept_where_it_survives() -> None:
    one = encoded(np.array([0.5]), "WAV", "PCM_16")
    assert read_mono(io.BytesIO(one), RATE).pcm.tolist() == [16384]
    assert reason_of(one, 8000) is Rejection.TOO_SHORT


def test_eight_channels_are_mixed() -> None:
    x = np.zeros((5000, 8))
    x[:, 3] = 0.8
    decoded = read_mono(io.BytesIO(encoded(x, "WAV", "PCM_24")), RATE)
    assert (decoded.channels, set(decoded.pcm.tolist())) == (8, {3277})


def test_192_khz_is_resampled() -> None:
    x = 0.5 * np.sin(2 * np.pi * 440 * np.arange(192_000) / 192_000)
    decoded = read_mono(io.BytesIO(encoded(x, "FLAC", "PCM_24", 192_000)), 16_000)
    assert (decoded.native_rate, decoded.pcm.size) == (192_000, 16_000)
    assert np.abs(np.fft.rfft(decoded.pcm)).argmax() == 440


@pytest.mark.parametrize("rate", [1, 999, 1_000_001])
def test_rates_that_are_none_of_music_are_rejected(rate: int) -> None:
    assert reason_of(encoded(np.zeros(100), "WAV", "PCM_16", rate)) is Rejection.UNSUPPORTED


@pytest.mark.parametrize("rate", [RATE, 16_000])
def test_1e30_is_clipped(rate: int) -> None:
    x = np.zeros(20_000, np.float32)
    x[9000:9100] = 1e30
    x[12_000:12_100] = -3e38
    pcm = read_mono(io.BytesIO(encoded(np.stack([x, x], 1), "WAV", "FLOAT")), rate).pcm
    assert (pcm[9050 * rate // RATE], pcm[12_050 * rate // RATE]) == (32767, -32768)


def test_anti_phase_stereo_is_rejected_and_unrelated_channels_are_not() -> None:
    x = sound()
    assert reason_of(encoded(np.stack([x, -x], 1), "WAV", "PCM_16")) is Rejection.CANCELS
    assert reason_of(encoded(np.stack([x, -0.99 * x], 1), "WAV", "PCM_16")) is Rejection.CANCELS
    read_mono(io.BytesIO(encoded(np.stack([x, -0.9 * x], 1), "WAV", "PCM_16")), RATE)
    half = np.where(np.arange(x.size) < x.size / 2, x, -x)  # only the second half cancels
    read_mono(io.BytesIO(encoded(np.stack([x, half], 1), "WAV", "PCM_16")), RATE)
    read_mono(io.BytesIO(encoded(np.zeros((5000, 2)), "WAV", "PCM_16")), RATE)  # silence does not


def test_two_hours_of_silence_are_fine() -> None:
    decoded = read_mono(io.BytesIO(encoded(np.zeros(2 * 3600 * 8000, np.int16), "FLAC", "PCM_16", 8000)), 4000)
    assert (decoded.duration_seconds, decoded.loudness_dbfs) == (7200, -120)


def test_more_than_the_longest_duration_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(sound(2), "FLAC", "PCM_16")
    monkeypatch.setattr(mono_module, "MAX_SECONDS", 2)
    read_mono(io.BytesIO(content), RATE)
    monkeypatch.setattr(mono_module, "MAX_SECONDS", 1)
    assert reason_of(content) is Rejection.TOO_LONG


@pytest.mark.parametrize(("subtype", "rate"), OGG)
def test_a_cut_ogg_is_found_out(subtype: str, rate: int) -> None:
    content = encoded(sound(10, rate), "OGG", subtype, rate)
    read_mono(io.BytesIO(content), RATE)
    for kept in (0.5, 0.95):
        assert reason_of(content[: int(kept * len(content))]) is Rejection.TRUNCATED


@pytest.mark.parametrize(("subtype", "rate"), OGG)
def test_joined_oggs_are_rejected(subtype: str, rate: int) -> None:
    """Libsndfile reads the first of them and says nothing."""
    content = encoded(sound(3, rate), "OGG", subtype, rate)
    assert reason_of(content + content) is Rejection.UNSUPPORTED


def test_joined_flacs_are_rejected() -> None:
    content = encoded(sound(), "FLAC", "PCM_16")
    assert reason_of(content + content) is Rejection.DAMAGED
    read_mono(io.BytesIO(content + b"TAG" + bytes(125)), RATE)


@pytest.mark.parametrize(("format", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_a_hole_of_zeros_is_found_out(format: str, subtype: str) -> None:
    """As an unfinished download that was laid out beforehand has it."""
    content = encoded(sound(10, 48_000), format, subtype, 48_000)
    middle = len(content) // 2
    hole = content[:middle] + bytes(len(content) // 4) + content[middle + len(content) // 4 :]
    assert reason_of(hole) is Rejection.DAMAGED
    assert reason_of(content[:middle] + bytes(len(content) - middle)) in (Rejection.DAMAGED, Rejection.TRUNCATED)


@pytest.mark.parametrize(("format", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_a_bit_rotten_file_is_found_out(format: str, subtype: str) -> None:
    content = bytearray(encoded(sound(10, 48_000), format, subtype, 48_000))
    rng = np.random.default_rng(0)
    for at in rng.integers(6000, len(content), len(content) // 2000):
        content[at] ^= 1 << rng.integers(8)
    assert reason_of(bytes(content)) in (Rejection.DAMAGED, Rejection.NOT_AUDIO)


@pytest.mark.parametrize(("format", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("WAV", "PCM_16")])
def test_id3_tags_before_other_formats_are_skipped(format: str, subtype: str) -> None:
    content = encoded(sound(), format, subtype)
    assert read_mono(io.BytesIO(ID3 + content), RATE).pcm.size == 2 * RATE


def test_a_pointer_and_a_page_are_named() -> None:
    lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
    assert reason_of(lfs) is Rejection.LFS_POINTER
    assert "git lfs pull" in detail_of(lfs)
    for page in (
        b"<!DOCTYPE html><title>404</title>",
        b"\xef\xbb\xbf\n <HTML lang=en>",
        b'<?xml version="1.0"?><Error>',
    ):
        assert reason_of(page) is Rejection.WEB_PAGE


def test_known_formats_that_are_not_decoded_are_named() -> None:
    m4a = b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(5000)
    assert reason_of(m4a) is Rejection.UNSUPPORTED
    assert "M4A" in detail_of(m4a)
    assert reason_of(b"PK\x03\x04" + bytes(100)) is Rejection.UNSUPPORTED


@pytest.mark.parametrize(
    "junk", [bytes(100_000), b"\xff" * 300_000, b"RIFF", b"ID3", b"OggS", b"\xff\xfb\x90\x44", b"a"]
)
def test_junk_is_not_audio(junk: bytes) -> None:
    assert reason_of(junk) in (Rejection.NOT_AUDIO, Rejection.UNSUPPORTED)


def test_random_bytes_never_do_more_than_be_rejected() -> None:
    rng = np.random.default_rng(5)
    for start in (
        b"",
        b"OggS\0\2",
        b"fLaC\0\0\0\x22",
        b"\xff\xfb\x90\x44",
        b"ID3\4\0\0\0\0\1\0",
        b"RIFF\xff\0\0\0WAVEfmt ",
    ):
        for _ in range(20):
            content = start + rng.bytes(int(rng.integers(1, 5000)))
            with pytest.raises(DecodeError):
                read_mono(io.BytesIO(content), RATE)


class Failing(io.BytesIO):
    """A disk that fails in the middle of a file."""

    def readinto(self, buffer: object, /) -> int:  # type: ignore[override]
        if self.tell() > 100_000:
            raise OSError(5, "Input/output error")
        return super().readinto(buffer)  # type: ignore[arg-type]


@pytest.mark.parametrize(("format", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III")])
def test_a_failing_disk_does_not_shorten_a_file(format: str, subtype: str) -> None:
    """An exception inside a C callback was once printed, and the file taken for a short one."""
    content = encoded(np.stack([sound(20)] * 2, 1), format, subtype)
    assert len(content) > 200_000
    with pytest.raises(DecodeError, match="Input/output error") as caught:
        read_mono(Failing(content), RATE)
    assert caught.value.reason is Rejection.UNREADABLE


def test_short_reads_do_not_shorten_a_file() -> None:
    class Slow(io.BytesIO):
        def readinto(self, buffer: object, /) -> int:  # type: ignore[override]
            return super().readinto(memoryview(buffer)[:1000])  # type: ignore[arg-type]

    for format, subtype in (("WAV", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")):
        content = encoded(sound(), format, subtype)
        assert np.array_equal(read_mono(Slow(content), 8000).pcm, read_mono(io.BytesIO(content), 8000).pcm)


def test_pages_of_an_ogg_are_counted() -> None:
    count = count_pages(io.BytesIO(encoded(sound(10), "OGG", "VORBIS")))
    assert count is not None
    assert (count.streams, count.cut, count.lost) == (1, False, 0)
    assert 8 < count.seconds <= 10
    assert count_pages(io.BytesIO(b"RIFF")) is None


MEASURE = """
import resource, sys
from gmn.audio.decode import read_mono
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
read_mono(sys.argv[1], 8000)
before = peak()
decoded = read_mono(sys.argv[2], 8000)
print(decoded.duration_seconds, peak() - before - decoded.pcm.nbytes / 2**20)
"""


@pytest.mark.parametrize("minutes", [2, pytest.param(120, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_memory_is_bounded(minutes: int, tmp_path: Path) -> None:
    """192 kHz, 8 channels: two minutes are 703 MiB as float32, two hours 41 GiB."""
    for name, seconds in (("short.flac", 1), ("long.flac", 60 * minutes)):
        with soundfile.SoundFile(tmp_path / name, "w", 192_000, 8, "PCM_16", format="FLAC") as file:
            for _ in range(seconds):
                file.write(np.full((192_000, 8), 1000, np.int16))
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "short.flac"), str(tmp_path / "long.flac")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds_read, growth_mib = map(float, run.stdout.split())
    assert seconds_read == 60 * minutes
    assert growth_mib < 32

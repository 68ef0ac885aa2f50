"""The rules of docs/audio-rules.md for mp3: an independent count of its frames, and what follows from it."""

import dataclasses
import functools
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from gmn.audio import decoders
from gmn.audio.decode import Rejection, read_mono
from gmn.audio.mpeg import MpegCount, count_frames
from gmn.audio.window import Window
from tests.audio.test_decode import RATE, encoded, reason_of, sound

ID3 = b"ID3\x03\0\0" + bytes([0, 0, 8, 0]) + bytes(1024)
PICTURE = b"ID3\x03\0\0" + bytes([0, 8, 0, 0]) + np.random.default_rng(0).bytes(1 << 17)
SECONDS = 10


@functools.cache
def mp3(mode: str = "CONSTANT", rate: int = RATE, channels: int = 2) -> bytes:
    """Encode ten seconds, half of them noisy, so that the bit rate varies; with a Xing frame in front."""
    x = sound(SECONDS, rate)
    x[: x.size // 2] += 0.1 * np.random.default_rng(1).standard_normal(x.size // 2).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([x] * channels, 1), rate, format="MP3", bitrate_mode=mode, compression_level=0.3)
    return buffer.getvalue()


def count_of(content: bytes) -> MpegCount:
    count = count_frames(io.BytesIO(content))
    assert count is not None
    return count


def without_xing(content: bytes) -> bytes:
    return content[count_of(content).start :]


def rotten(content: bytes, flips: int) -> bytes:
    damaged = bytearray(content)
    rng = np.random.default_rng(2)
    for at in rng.integers(2000, len(content), flips):
        damaged[at] ^= 1 << rng.integers(8)
    return bytes(damaged)


def decoded_seconds(content: bytes) -> tuple[float, str]:
    decoded = read_mono(io.BytesIO(content), RATE)
    return decoded.duration_seconds, decoded.decoder


def same_sound(a: npt.NDArray[np.int16], b: npt.NDArray[np.int16]) -> bool:
    """Compare the middle of two decodings, whatever each of them trims at the ends."""
    middle = a[3 * RATE : 4 * RATE].astype(float)
    near = b[3 * RATE - 3000 : 4 * RATE + 3000].astype(float)
    size = near.size + middle.size
    match = np.fft.irfft(np.fft.rfft(near, size) * np.conj(np.fft.rfft(middle, size)), size)
    at = int(match[:6001].argmax())
    return bool(np.abs(near[at : at + middle.size] - middle).max() <= 2)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (44_100, 1), (22_050, 2), (8_000, 1), (48_000, 2)])
def test_the_count_agrees_with_the_encoder(mode: str, rate: int, channels: int) -> None:
    count = count_of(mp3(mode, rate, channels))
    assert (count.sample_rate, count.channels) == (rate, channels)
    assert count.samples == count.announced
    assert count.samples - count.trimmed == SECONDS * rate
    assert (count.lost, count.outside, count.other_samples) == (0, 0, 0)
    assert read_mono(io.BytesIO(mp3(mode, rate, channels)), rate).pcm.size == SECONDS * rate


def test_a_vbr_mp3_without_xing_is_read_whole() -> None:
    """Libsndfile returns about a third of it, without a word."""
    content = without_xing(mp3("VARIABLE"))
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        assert file.frames < 0.7 * SECONDS * RATE
    seconds, decoder = decoded_seconds(content)
    assert (seconds, decoder) == (count_of(content).samples / RATE, "miniaudio")
    assert seconds >= SECONDS
    assert same_sound(read_mono(io.BytesIO(mp3("VARIABLE")), RATE).pcm, read_mono(io.BytesIO(content), RATE).pcm)


def test_a_cbr_mp3_without_xing_is_read_whole() -> None:
    seconds, decoder = decoded_seconds(without_xing(mp3()))
    assert seconds >= SECONDS
    assert decoder == "libsndfile"


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_cut_mp3_is_found_out_by_its_xing_frame(mode: str, kept: float) -> None:
    content = mp3(mode)
    assert reason_of(content[: int(kept * len(content))]) is Rejection.TRUNCATED


def test_without_a_xing_frame_a_cut_mp3_is_all_there_is() -> None:
    content = without_xing(mp3("VARIABLE"))
    content = content[: len(content) // 2]
    assert decoded_seconds(content)[0] == count_of(content).samples / RATE


@pytest.mark.parametrize("between", [b"", ID3, PICTURE])
def test_joined_mp3s_are_read_whole(between: bytes) -> None:
    """Libsndfile stops where the first one's Xing frame says; libmpg123 gives up at a tag in between."""
    seconds, _ = decoded_seconds(mp3("VARIABLE") + between + mp3())
    assert seconds == pytest.approx(2 * SECONDS, abs=0.2)


def test_joined_mp3s_of_different_rates_are_rejected() -> None:
    assert reason_of(mp3() + mp3(rate=22_050)) is Rejection.UNSUPPORTED


@pytest.mark.parametrize(
    "tail", [b"TAG" + bytes(125), b"APETAGEX" + bytes([208, 7, 0, 0, 5, 0, 0, 0]) + bytes(5000), bytes(4000)]
)
def test_tags_and_a_little_padding_at_the_end_are_no_damage(tail: bytes) -> None:
    assert decoded_seconds(mp3() + tail) == (SECONDS, "libsndfile")


def test_a_huge_id3_tag_is_stepped_over() -> None:
    huge = b"ID3\x03\0\0" + bytes([16, 0, 0, 0]) + bytes(16 << 21)
    assert decoded_seconds(huge + mp3()) == (SECONDS, "libsndfile")
    assert reason_of(huge[:100_000]) is Rejection.NOT_AUDIO


@pytest.mark.parametrize("junk", [b"junk" * 100, bytes(5000), b"ID3\x03\0\0" + bytes([0, 0, 127, 0])])
def test_a_little_junk_in_front_is_stepped_over(junk: bytes) -> None:
    """Libsndfile does not recognise such a file."""
    assert decoded_seconds(junk + mp3())[0] == pytest.approx(SECONDS, abs=0.7)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_bit_rot_is_found_out(mode: str) -> None:
    for content in (mp3(mode), without_xing(mp3(mode))):
        assert reason_of(rotten(content, len(content) // 100)) is Rejection.DAMAGED


def test_a_flipped_bit_is_a_click() -> None:
    content = mp3()
    for at in range(5000, len(content), len(content) // 7):
        content = content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]
    assert decoded_seconds(content)[0] == SECONDS


@pytest.mark.parametrize("size", [2000, 30_000, 100_000])
def test_a_hole_is_found_out(size: int) -> None:
    content = mp3()
    middle = len(content) // 2
    assert reason_of(content[:middle] + bytes(size) + content[middle + size :]) is Rejection.DAMAGED
    assert reason_of(content[:middle] + b"x" * size + content[middle:]) is Rejection.DAMAGED


def test_an_unfinished_download_is_found_out() -> None:
    content = without_xing(mp3())
    assert reason_of(content[: len(content) // 2] + bytes(len(content) // 2)) is Rejection.DAMAGED


def test_one_frame_is_a_short_track() -> None:
    content = without_xing(mp3())
    first = count_of(content[:1200]).end
    assert count_of(content[:first]).samples == 1152
    assert read_mono(io.BytesIO(content[:first]), RATE).pcm.size == 1152


@pytest.mark.parametrize("channels", [1, 2])
def test_a_small_mp3_is_decoded_as_a_large_one(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one goes through memory; no descriptor stays open, even where libsndfile refuses the content."""
    descriptors = Path("/dev/fd")
    before = len(list(descriptors.iterdir()))
    content = ID3 + mp3(channels=channels) + bytes(100)
    small = read_mono(io.BytesIO(content), 8000)
    with pytest.raises(soundfile.LibsndfileError):
        decoders.SoundStream(decoders.near(Window(io.BytesIO(bytes(1000)))))
    assert len(list(descriptors.iterdir())) == before
    monkeypatch.setattr(decoders, "_COPY_BYTES", 0)
    large = read_mono(io.BytesIO(content), 8000)
    assert np.array_equal(small.pcm, large.pcm)
    assert dataclasses.replace(small, pcm=large.pcm) == large


def test_samples_above_full_scale_are_clipped() -> None:
    square = np.sign(np.sin(2 * np.pi * 100 * np.arange(2 * RATE) / RATE))
    content = encoded(square, "MP3", "MPEG_LAYER_III")
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        x = file.read()
    pcm = read_mono(io.BytesIO(content), RATE).pcm
    assert x.max() > 1.01
    assert set(pcm[x > 1].tolist()) == {32767}
    assert set(pcm[x < -1].tolist()) == {-32768}


def test_libmpg123_keeps_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    """It prints a line for each damaged frame to the standard error stream."""
    reason_of(rotten(mp3(), len(mp3()) // 100))
    assert capfd.readouterr() == ("", "")


def test_a_layer_2_file_is_counted() -> None:
    frame = b"\xff\xfd\x90\x00" + bytes(1000)  # 160 kbit/s, 44.1 kHz
    frame = frame[: 144 * 160_000 // 44_100]
    assert count_of(frame * 20).samples == 20 * 1152


def test_frames_that_do_not_state_their_length_are_rejected() -> None:
    frame = b"\xff\xfb\x00\x00" + bytes(996)
    assert reason_of(frame * 50) in (Rejection.UNSUPPORTED, Rejection.NOT_AUDIO)

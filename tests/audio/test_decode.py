"""Decoding: formats, rounding, mixing, and a reason for each kind of bad file."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from gmn.audio.decode import DecodeError, Rejection, read_mono, read_waveform, to_pcm16
from gmn.errors import InputError

RATE = 44_100
FORMATS = [
    ("WAV", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("AU", "PCM_16"),
    ("OGG", "VORBIS"),
    ("MP3", "MPEG_LAYER_III"),
]


def sound(seconds: float = 2.0, rate: int = RATE) -> npt.NDArray[np.float32]:
    t = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(t.size)
    return (0.3 * np.sin(2 * np.pi * 440 * t) + 0.01 * noise).astype(np.float32)


def encoded(waveform: npt.NDArray[np.floating], format: str, subtype: str, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, rate, format=format, subtype=subtype)
    return buffer.getvalue()


def reason_of(content: bytes, rate: int = RATE) -> Rejection:
    with pytest.raises(DecodeError) as caught:
        read_mono(io.BytesIO(content), rate)
    assert str(caught.value.reason) in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(("format", "subtype"), FORMATS)
def test_every_format_decodes_to_the_same_sound(format: str, subtype: str, tmp_path: Path) -> None:
    x = sound()
    path = tmp_path / "x"
    path.write_bytes(encoded(np.stack([x, x], 1), format, subtype))
    decoded = read_mono(path, 22_050)
    assert (decoded.native_rate, decoded.channels, decoded.codec) == (RATE, 2, f"{format}/{subtype}")
    assert decoded.pcm.dtype == np.int16
    assert decoded.duration_seconds == decoded.pcm.size / 22_050 == pytest.approx(2, abs=0.001)
    assert decoded.loudness_dbfs == pytest.approx(20 * np.log10(0.3 / np.sqrt(2)), abs=0.1)
    spectrum = np.abs(np.fft.rfft(decoded.pcm[:22_050]))
    assert spectrum.argmax() == 440


def test_pcm_at_its_own_rate_comes_back_bit_for_bit() -> None:
    pcm = np.random.default_rng(1).integers(-32768, 32768, 200_000).astype(np.int16)
    assert np.array_equal(read_mono(io.BytesIO(encoded(pcm, "WAV", "PCM_16")), RATE).pcm, pcm)
    assert np.array_equal(read_waveform(io.BytesIO(encoded(pcm, "FLAC", "PCM_16")), RATE) * 32768, pcm)


def test_channels_are_mixed_in_equal_parts() -> None:
    x = np.stack([np.full(1000, 0.5), np.full(1000, -0.25), np.full(1000, 0.5)], 1)
    assert set(read_mono(io.BytesIO(encoded(x, "WAV", "FLOAT")), RATE).pcm.tolist()) == {8192}


def test_loud_samples_are_clipped_and_not_wrapped() -> None:
    x = np.array([1.5, -1.5, 1.0, 0.9999999, 3e38], np.float32)
    assert read_mono(io.BytesIO(encoded(x, "WAV", "FLOAT")), RATE).pcm.tolist() == [32767, -32768, 32767, 32767, 32767]
    assert to_pcm16(np.array([1.5 / 32768, 2.5 / 32768], np.float32)).tolist() == [2, 2]


def test_silence_is_fine() -> None:
    decoded = read_mono(io.BytesIO(encoded(np.zeros(5000), "FLAC", "PCM_16")), 16_000)
    assert decoded.loudness_dbfs == -120
    assert not decoded.pcm.any()


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 50) / ("länger" * 30) / ("path" * 50)
    folder = folder.joinpath(*["more" * 50] * 3)
    folder.mkdir(parents=True)
    path = folder / "liar.raw"
    assert len(str(path)) > 1000
    path.write_bytes(encoded(sound(), "OGG", "VORBIS"))
    assert read_mono(path, RATE).codec == "OGG/VORBIS"
    path.with_suffix(".mp3").write_text("These are words." * 100)
    with pytest.raises(DecodeError, match="not_audio"):
        read_mono(path.with_suffix(".mp3"), RATE)


def test_a_flac_of_unknown_length_is_read_to_its_end() -> None:
    """As a program writes it into a pipe; soundfile's own read fails on it."""
    content = bytearray(encoded(sound(), "FLAC", "PCM_16"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    assert read_mono(io.BytesIO(bytes(content)), RATE).pcm.size == 2 * RATE


def test_a_wav_of_unknown_length_is_read_to_its_end() -> None:
    content = bytearray(encoded(sound(), "WAV", "PCM_16"))
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff" * 4
    assert read_mono(io.BytesIO(bytes(content)), RATE).pcm.size == 2 * RATE


@pytest.mark.parametrize(("format", "subtype"), [*FORMATS[:4], ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM")])
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_cut_file_is_found_out(format: str, subtype: str, kept: float) -> None:
    content = encoded(sound(), format, subtype)
    read_mono(io.BytesIO(content), RATE)
    assert reason_of(content[: int(kept * len(content))]) is Rejection.TRUNCATED


def test_other_chunks_and_trailing_bytes_do_not_look_like_a_cut() -> None:
    content = encoded(sound(), "WAV", "PCM_16")
    at = content.index(b"data")
    odd = b"LIST" + (5).to_bytes(4, "little") + b"INFO\0" + b"\0"
    content = content[:at] + odd + content[at:]
    assert read_mono(io.BytesIO(content + b"junk" * 99), RATE).pcm.size == 2 * RATE
    assert reason_of(content[: len(content) // 2]) is Rejection.TRUNCATED


def test_reasons(tmp_path: Path) -> None:
    assert reason_of(b"") is Rejection.EMPTY
    assert reason_of(encoded(np.zeros(0), "WAV", "PCM_16")) is Rejection.EMPTY
    assert reason_of(encoded(np.zeros(1), "WAV", "PCM_16"), 8_000) is Rejection.TOO_SHORT
    for bad in (np.nan, np.inf, -np.inf):
        assert reason_of(encoded(np.array([0.0, bad, 0.0]), "WAV", "FLOAT")) is Rejection.NON_FINITE
    assert reason_of(encoded(np.array([[np.inf, -np.inf]] * 9), "WAV", "FLOAT")) is Rejection.NON_FINITE
    for path in (tmp_path, tmp_path / "missing.wav"):
        with pytest.raises(DecodeError, match="unreadable"):
            read_mono(path, RATE)


def test_a_sample_rate_of_zero_is_the_callers_mistake() -> None:
    with pytest.raises(InputError, match="sample_rate is 0"):
        read_mono(io.BytesIO(), 0)

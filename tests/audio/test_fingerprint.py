"""Fingerprints: what copies keep in common, what other sounds do not, and their bytes."""

import io
import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

from gmn.audio.decode import read_mono, to_pcm16
from gmn.audio.fingerprint import ALGORITHM, FRAMES_PER_SECOND, Fingerprint, fingerprint, from_bytes, to_bytes
from gmn.corpus.render import render
from gmn.corpus.write import compose_track
from gmn.errors import InputError

RATE = 16_000
SECONDS = 16.0

Waveform = npt.NDArray[np.floating]


@pytest.fixture(scope="module")
def track() -> Waveform:
    return 0.7 * render(compose_track(5, 1, SECONDS), RATE)


def coded(x: Waveform, format: str, subtype: str) -> Waveform:
    buffer = io.BytesIO()
    soundfile.write(buffer, x, RATE, format=format, subtype=subtype)
    return read_mono(buffer, RATE).pcm / np.float32(32768)


def landmarks(x: Waveform, rate: int = RATE) -> Fingerprint:
    return fingerprint(to_pcm16(x.astype(np.float32)), rate)


def in_common(a: Fingerprint, b: Fingerprint, offset_seconds: float = 0.0) -> float:
    """Return the share of b's landmarks that a has that much later, to within two frames."""
    times: dict[int, list[int]] = {}
    for value, time in a.tolist():
        times.setdefault(value, []).append(time)
    offset = offset_seconds * FRAMES_PER_SECOND
    return sum(any(abs(t - time - offset) <= 2 for t in times.get(value, [])) for value, time in b.tolist()) / len(b)


COPIES: dict[str, tuple[Callable[[Waveform], Waveform], float, float]] = {
    "flac": (lambda x: coded(x, "FLAC", "PCM_16"), 0.0, 1.0),
    "8 bits": (lambda x: coded(x, "WAV", "PCM_U8"), 0.0, 0.3),
    "mp3": (lambda x: coded(x, "MP3", "MPEG_LAYER_III"), 0.0, 0.3),
    "vorbis": (lambda x: coded(x, "OGG", "VORBIS"), 0.0, 0.3),
    "opus": (lambda x: coded(x, "OGG", "OPUS"), 0.0, 0.2),
    "softer": (lambda x: x / 8, 0.0, 0.9),
    "louder": (lambda x: 1.3 * x, 0.0, 0.9),
    "clipped": (lambda x: np.clip(x * 1.5 / np.abs(x).max(), -1, 1), 0.0, 0.5),
    "upside down": (lambda x: -x, 0.0, 0.99),
    "half a frame later": (lambda x: x[128:], 128 / RATE, 0.5),
    "five seconds later": (lambda x: x[80_077:], 80_077 / RATE, 0.5),
    "silence before": (lambda x: np.concatenate([np.zeros(33_333, np.float32), x]), -33_333 / RATE, 0.5),
    "by way of 11,025 Hz": (lambda x: soxr.resample(soxr.resample(x, RATE, 11_025), 11_025, RATE), 0.0, 0.9),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_keeps_its_landmarks(track: Waveform, name: str) -> None:
    make, offset, least = COPIES[name]
    assert in_common(landmarks(track), landmarks(make(track)), offset) >= least


@pytest.mark.parametrize("rate", [4000, 8000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_a_recording_has_much_the_same_landmarks_at_any_rate(track: Waveform, rate: int) -> None:
    resampled = soxr.resample(track, RATE, rate)
    assert in_common(landmarks(track), landmarks(resampled, rate)) > 0.75


def test_other_tracks_share_next_to_nothing(track: Waveform) -> None:
    own = landmarks(track)
    for index in (0, 2, 3, 5):
        other = landmarks(render(compose_track(5, index, SECONDS), RATE))
        assert len(np.intersect1d(own[:, 0], other[:, 0])) <= 0.05 * len(own)


@pytest.mark.parametrize("n_samples", [0, 1, 100, 2000, RATE, 10 * RATE])
def test_silence_has_no_landmarks(n_samples: int) -> None:
    for level in (0, 1, -7):
        found = fingerprint(np.full(n_samples, level, np.int16), RATE)
        assert found.shape == (0, 2)
        assert found.dtype == np.uint32


def test_dither_has_no_landmarks_and_noise_has() -> None:
    rng = np.random.default_rng(0)
    assert not len(fingerprint(rng.integers(-1, 2, 5 * RATE).astype(np.int16), RATE))
    noise = (0.1 * rng.standard_normal(5 * RATE)).astype(np.float32)
    assert len(landmarks(noise)) == 64
    assert in_common(landmarks(noise), landmarks(noise / 4)) > 0.9


def test_a_tone_that_never_changes_is_not_one_peak_after_another() -> None:
    """Frames of a tone whose period divides the hop are all alike, and each equals the highest around it."""
    period = np.rint(10_000 * np.sin(2 * np.pi * np.arange(32) / 32)).astype(np.int16)
    assert len(fingerprint(np.tile(period, 20 * 4000 // 32), 4000)) < 10


def test_rows_are_sorted_and_few(track: Waveform) -> None:
    found = landmarks(track)
    assert len(found) == 10 * SECONDS
    assert len(to_bytes(found)) < 1024
    assert np.array_equal(found, found[np.lexsort((found[:, 1], found[:, 0]))])
    assert found[:, 1].max() < SECONDS * FRAMES_PER_SECOND


def test_a_loop_counts_a_few_times_only(track: Waveform) -> None:
    found = landmarks(np.tile(track[: 2 * RATE], 30))
    assert np.unique(found[:, 0], return_counts=True)[1].max() <= 4


def test_blocks_leave_no_trace(track: Waveform) -> None:
    """Peaks near the edge of a block of frames, or of samples, are those that they would be without blocks."""
    long = np.tile(track, 5)
    whole, later = landmarks(long), landmarks(long[4 * RATE :])
    limit = min(whole[-1, 0], later[-1, 0])
    whole, later = whole[whole[:, 0] < limit], later[later[:, 0] < limit]
    # 4 s are 250 frames: the frames are the same samples, in other blocks.
    inside = later[(later[:, 1] > 100) & (later[:, 1] < 2000)]
    first = set(whole[:, 0].tolist())
    assert len(inside) > 100
    assert sum(value in first for value in inside[:, 0].tolist()) > 0.97 * len(inside)


def test_a_long_recording_is_bounded() -> None:
    rng = np.random.default_rng(0)
    pcm = np.tile((3000 * rng.standard_normal(120 * 4000)).astype(np.int16), 10)
    tracemalloc.start()
    found = fingerprint(pcm, 4000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) <= 8192
    assert len(to_bytes(found)) <= 1 << 16
    assert peak < 16_000 * 1200 + (12 << 20)


def test_an_excerpt_shares_the_lowest_hashes_of_a_long_recording() -> None:
    rng = np.random.default_rng(1)
    pcm = (3000 * rng.standard_normal(1800 * 4000)).astype(np.int16)
    whole, part = fingerprint(pcm, 4000), fingerprint(pcm[4_000_000:4_240_000], 4000)
    assert len(whole) == 8192
    below = part[part[:, 0] <= whole[-1, 0]]
    assert len(below) > 100
    assert in_common(whole, below, 1000.0) > 0.9


def test_bytes_round_trip(track: Waveform) -> None:
    for rows in (landmarks(track), np.empty((0, 2), np.uint32), np.array([[1, 2], [2**32 - 1, 2**24]], np.uint32)):
        stored = to_bytes(rows)
        back = from_bytes(stored)
        assert stored.startswith(ALGORITHM.encode())
        assert back.dtype == np.uint32
        assert np.array_equal(back, rows)


@pytest.mark.parametrize("stored", [b"", b"landmark-1", b"landmark-1\0", b"landmark-0\0\2", b"landmark-1\0\2abc", b"x"])
def test_bytes_of_something_else_are_refused(stored: bytes) -> None:
    with pytest.raises(InputError, match="not a fingerprint of landmark-1"):
        from_bytes(stored)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InputError, match=r"int16 \[T\], not float32 \[3\]"):
        fingerprint(np.zeros(3, np.float32), RATE)
    with pytest.raises(InputError, match=r"int16 \[T\], not int16 \[3, 2\]"):
        fingerprint(np.zeros((3, 2), np.int16), RATE)
    for rate in (3999, 96_001):
        with pytest.raises(InputError, match=f"sample_rate is {rate}, fingerprints need 4000 to 96000 Hz"):
            fingerprint(np.zeros(3, np.int16), rate)

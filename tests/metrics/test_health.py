"""Each failure is named as what it is, and ordinary sound passes."""

import numpy as np
import pytest

from gmn.audio.mulaw import decode, encode
from gmn.errors import InputError
from gmn.metrics.health import Health, Status, check_health, spectral_flatness

RATE = 16_000
T = np.arange(3 * RATE) / RATE
RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal(T.size)


def chords() -> np.ndarray:
    x = np.zeros(T.size)
    for start, root in ((0.0, 220.0), (1.0, 174.6), (2.0, 261.6)):
        t = np.maximum(T - start, 0)
        for ratio in (1, 1.26, 1.5):
            for overtone in (1, 2, 3):
                x += (
                    np.sin(2 * np.pi * root * ratio * overtone * t)
                    * np.exp(-3 * t)
                    * np.heaviside(T - start, 1)
                    / overtone
                )
    return x / np.abs(x).max() * 0.8


def drums() -> np.ndarray:
    t = T % 0.5
    kick = np.sin(2 * np.pi * (50 * t + 6 * (1 - np.exp(-t * 30)))) * np.exp(-t * 10)
    hat = NOISE * np.exp(-(T % 0.125) * 60) * 0.15
    return 0.7 * kick + hat


def through_mulaw(x: np.ndarray) -> np.ndarray:
    return decode(encode(x))


def collapsed(x: np.ndarray, share: float, rest: float) -> np.ndarray:
    return np.where(np.arange(x.size) < share * x.size, x, rest)


@pytest.mark.parametrize(
    ("waveform", "status"),
    [
        (np.zeros(T.size), "silent"),
        (through_mulaw(np.zeros(T.size)), "silent"),
        (NOISE * 5e-4, "silent"),
        (collapsed(chords(), 0.05, 0.0), "silent"),
        (np.full(T.size, 0.3), "constant"),
        (through_mulaw(np.full(T.size, -1.0)), "constant"),
        (collapsed(chords(), 0.05, -0.7), "constant"),
        (np.clip(chords() * 8, -1, 1), "clipped"),
        (through_mulaw(np.clip(drums() * 8, -1, 1)), "clipped"),
        (np.sign(np.sin(2 * np.pi * 110 * T)), "clipped"),
        (decode(RNG.integers(0, 256, T.size).astype(np.uint8)), "noise"),
        (NOISE * 0.1, "noise"),
        (np.clip(NOISE * 2, -1, 1), "noise"),
        (NOISE * 0.1 + 0.5, "noise"),
        (chords(), "ok"),
        (drums(), "ok"),
        (through_mulaw(chords() * 0.1), "ok"),
        (through_mulaw(0.5 * chords() + 0.5 * drums()), "ok"),
        (collapsed(chords(), 0.3, 0.0), "ok"),
        (np.cumsum(NOISE) / np.abs(np.cumsum(NOISE)).max(), "ok"),
        (0.9 * np.sin(2 * np.pi * 2 * T), "ok"),
        (0.5 * np.sign(np.sin(2 * np.pi * 110 * T)), "ok"),
    ],
)
def test_status(waveform: np.ndarray, status: str) -> None:
    assert check_health(waveform.astype(np.float32), RATE).status == status


def test_the_measurements() -> None:
    x = np.full(RATE, 0.25, np.float32)
    x[::2] = -0.15
    x[:320] = 1.0
    health = check_health(x, RATE)
    assert health == Health(
        status=Status.CLIPPED,
        rms_dbfs=pytest.approx(20 * np.log10(x.std()), abs=1e-4),
        peak=1.0,
        dc=pytest.approx(x.mean(), abs=1e-6),
        quiet_share=0.0,
        clipped_share=0.02,
        spectral_flatness=pytest.approx(spectral_flatness(x), abs=1e-9),
    )
    assert check_health(np.zeros(9, np.float32), RATE).rms_dbfs == -120


@pytest.mark.parametrize("n_samples", [1, 100, 2303, 2304, 5000])
def test_short_clips(n_samples: int) -> None:
    health = check_health(NOISE[:n_samples] * 0.1 if n_samples > 1 else np.array([0.5]), RATE)
    assert health.status == ("constant" if n_samples == 1 else "noise" if n_samples >= 2304 else "ok")


def test_flatness_does_not_depend_on_level_or_length() -> None:
    assert spectral_flatness(NOISE * 1e-3) == pytest.approx(spectral_flatness(NOISE))
    long = np.tile(drums(), 4)
    assert spectral_flatness(long) == pytest.approx(spectral_flatness(drums()), rel=0.1)
    assert spectral_flatness(np.sin(2 * np.pi * 440 * T)) < 0.01


@pytest.mark.parametrize("bad", [np.zeros(0), np.zeros((2, 5)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_what_is_no_clip_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="a clip is"):
        check_health(bad, RATE)


def test_a_likelihood_that_drifts_off_to_noise_is_a_runaway() -> None:
    """Loud chords that end in noise below the flatness of a whole clip; the generator's bits tell it."""
    x = chords()
    x[-T.size // 4 :] += 0.03 * NOISE[-T.size // 4 :]
    assert check_health(x, RATE, [4.5, 4.6, 4.8, 6.9]).status == Status.RUNAWAY
    assert check_health(x, RATE, [4.5, 4.6, 4.8, 6.4]).status == Status.OK
    assert check_health(x, RATE, [6.2, 6.3, 6.4, 6.6]).status == Status.OK  # as loud and rough as it began
    assert check_health(x, RATE).status == Status.OK


@pytest.mark.parametrize("mean", [0.12, -0.3])
def test_sound_beside_zero_is_offset(mean: float) -> None:
    assert check_health(0.5 * chords() + mean, RATE).status == Status.OFFSET
    assert check_health(0.5 * chords() + 0.05, RATE).status == Status.OK

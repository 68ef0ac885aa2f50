"""Audio: bounded, alive, deterministic, and what the score says."""

import numpy as np
import pytest

from gmn.corpus.compose import GENRES, Note, Score, compose
from gmn.corpus.drums import DRUMS, strike
from gmn.corpus.instruments import INSTRUMENTS, play
from gmn.corpus.render import render

RATE = 16000


def _peak_hertz(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 4 * RATE))
    return float(np.argmax(spectrum) / 4)


@pytest.mark.parametrize("genre", GENRES)
def test_audio_is_bounded_and_alive(genre: str) -> None:
    score = compose(genre, "majestic", np.random.default_rng(3), 4.0)
    waveform = render(score, RATE)
    assert waveform.shape == (4 * RATE,)
    assert waveform.dtype == np.float32
    assert 0.05 < np.max(np.abs(waveform)) <= 0.9
    assert np.mean(np.abs(waveform) > 0.89) < 1e-3
    frames = np.sqrt(np.mean(waveform.reshape(-1, RATE // 2) ** 2, axis=1))
    assert np.min(frames[:-1]) > 1e-3
    assert abs(float(np.mean(waveform))) < 0.01
    np.testing.assert_array_equal(waveform, render(score, RATE))


def test_loudness_follows_the_score() -> None:
    quiet, loud = (
        20 * np.log10(np.std(render(compose("chorale", emotion, np.random.default_rng(5), 4.0), RATE)))
        for emotion in ("serene", "majestic")
    )
    assert loud > quiet + 3


@pytest.mark.parametrize("name", INSTRUMENTS)
@pytest.mark.parametrize("pitch", [45, 76])
def test_instruments_are_in_tune(name: str, pitch: int) -> None:
    """A partial of the note is the strongest one, within 20 cents."""
    tone = play(INSTRUMENTS[name], pitch, 0.8, 0.6, RATE, np.random.default_rng(0))
    assert np.all(np.isfinite(tone))
    ratio = _peak_hertz(tone[: int(0.8 * RATE)]) / (440 * 2 ** ((pitch - 69) / 12))
    assert abs(1200 * np.log2(ratio / round(ratio))) < 20
    assert abs(tone[-1]) < 0.02 * np.max(np.abs(tone))


@pytest.mark.parametrize("name", DRUMS)
def test_drums_die_away(name: str) -> None:
    sound = strike(DRUMS[name], RATE, np.random.default_rng(0))
    third = len(sound) // 3
    assert np.std(sound[:third]) > 3 * np.std(sound[-third:])


def test_notes_sound_when_they_are_written() -> None:
    note = Note(onset=1.0, duration=0.5, pitch=69, velocity=0.7, instrument="organ")
    score = Score("chorale", "serene", (0.0,) * 9, 20, 60.0, 4, 9, "major", 2.0, (note,), (), -20.0, 0.0, 1)
    waveform = render(score, RATE)
    assert np.max(np.abs(waveform[:RATE])) < 1e-6
    assert np.std(waveform[RATE:]) > 0.01
    ratio = _peak_hertz(waveform[RATE : int(1.5 * RATE)]) / 440
    assert ratio == pytest.approx(round(ratio), abs=0.01)


def test_genres_differ_in_spectrum() -> None:
    """Techno has bass and treble that a chorale lacks."""

    def share(genre: str, low: float, high: float) -> float:
        shares = []
        for index in range(3):
            power = np.abs(np.fft.rfft(render(compose(genre, "serene", np.random.default_rng(index), 4.0), RATE))) ** 2
            hertz = np.fft.rfftfreq(4 * RATE, 1 / RATE)
            shares.append(np.sum(power[(hertz >= low) & (hertz < high)]) / np.sum(power))
        return float(np.mean(shares))

    assert share("techno", 20, 90) > 3 * share("chorale", 20, 90)
    assert share("techno", 5000, 8000) > 3 * share("chorale", 5000, 8000)

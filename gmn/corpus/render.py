"""Play a score: notes onto one bus an instrument, drums, a room, and a level.

Shapes: [T] the track's samples.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gmn.corpus.drums import DRUMS, strike
from gmn.corpus.instruments import INSTRUMENTS, Modulated, String, Wave, play
from gmn.corpus.score import Score

Samples = NDArray[np.float64]

_PEAK = 0.9
_LEVELS = {"overdrive": 0.9, "supersaw": 0.8, "fingerbass": 1.3, "synthbass": 1.2, "upright": 1.4, "square": 0.7}
"""Gains of instruments that would stand out or drown at unit RMS."""


def _individual(name: str, rng: np.random.Generator) -> Wave | String | Modulated:
    """One maker's piece of an instrument: no two tracks use the same."""
    instrument = INSTRUMENTS[name]
    match instrument:
        case Wave():
            return replace(
                instrument,
                slope=instrument.slope + 0.1 * rng.standard_normal(),
                decay=instrument.decay * rng.uniform(0.7, 1.4),
                attack=instrument.attack * rng.uniform(0.7, 1.5),
                vibrato=instrument.vibrato * rng.uniform(0.4, 1.5),
                fading=instrument.fading * rng.uniform(0.7, 1.5),
            )
        case String():
            return replace(instrument, brightness=instrument.brightness * rng.uniform(0.6, 1.4))
        case Modulated():
            return replace(
                instrument,
                index=instrument.index * rng.uniform(0.6, 1.5),
                decay=instrument.decay * rng.uniform(0.7, 1.5),
            )


def _mix(bus: Samples, sound: Samples, onset: float, gain: float, sample_rate: int) -> None:
    """Add a sound to a bus; what passes the end is cut."""
    start = int(onset * sample_rate)
    length = min(len(sound), len(bus) - start)
    bus[start : start + length] += gain * sound[:length]


def _play_notes(score: Score, n_samples: int, sample_rate: int, rng: np.random.Generator) -> Samples:
    """All pitched instruments, each through its own bus; a note that comes back alike is played once."""
    mix = np.zeros(n_samples)
    for name in sorted({note.instrument for note in score.notes}):
        instrument, bus = _individual(name, rng), np.zeros(n_samples)
        played: dict[tuple[int, int, int], Samples] = {}
        part = [note for note in score.notes if note.instrument == name]
        for note in part:
            alike = (note.pitch, round(note.duration * 50), round(note.velocity * 6))
            if alike not in played:
                pitch, duration, velocity = alike
                played[alike] = play(instrument, pitch, max(duration, 2) / 50, velocity / 6, sample_rate, rng)
            _mix(bus, played[alike], note.onset, note.velocity, sample_rate)
        if name == "overdrive":  # the amplifier flattens the dynamics, so its volume follows the players
            bus = np.tanh(rng.uniform(1.5, 4.0) * bus) * np.mean([note.velocity for note in part])
        mix += _LEVELS.get(name, 1.0) * bus
    return mix


def _play_drums(score: Score, n_samples: int, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Play the drum set at one level that differs from recording to recording."""
    bus, level = np.zeros(n_samples), rng.uniform(0.7, 1.2)
    for name in sorted({hit.drum for hit in score.hits}):
        sound = strike(DRUMS[name], sample_rate, rng)
        for hit in score.hits:
            if hit.drum == name:
                _mix(bus, sound, hit.onset, level * hit.velocity, sample_rate)
    return bus


def _reverberate(dry: Samples, share: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Add a room: decaying noise without its treble, convolved by FFT."""
    seconds = 0.5 + 1.5 * share
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    tail = rng.standard_normal(len(time)) * np.exp(-5 * time / seconds) * (time > 0.012)
    tail = np.convolve(tail, np.ones(4) / 4)[: len(time)]
    tail /= np.sqrt(np.sum(tail**2))
    size = 1 << (len(dry) + len(tail) - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(tail, size), size)[: len(dry)]
    return (1 - 0.5 * share) * dry + share * wet


def render(score: Score, sample_rate: int) -> NDArray[np.float32]:
    """Play a score.

    The same score gives the same samples. The level aims at the score's loudness; a soft limiter
    holds the peaks.

    Args:
        score: what is played.
        sample_rate: in Hz.

    Returns:
        The waveform, mono float32 [T] in [-0.9, 0.9].
    """
    rng = np.random.default_rng(score.seed)
    n_samples = round(score.seconds * sample_rate)
    dry = _play_notes(score, n_samples, sample_rate, rng) + _play_drums(score, n_samples, sample_rate, rng)
    mix = _reverberate(dry, score.room, sample_rate, rng)
    fade = min(n_samples, int(0.02 * sample_rate))
    mix[n_samples - fade :] *= np.linspace(1.0, 0.0, fade)
    level = 10 ** (score.loudness_db / 20) / (np.sqrt(np.mean(mix**2)) + 1e-9)
    return (_PEAK * np.tanh(level / _PEAK * mix)).astype(np.float32)

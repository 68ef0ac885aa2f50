"""Pitched instruments: wavetables, plucked strings and frequency modulation.

Shapes: [N] the samples of a note.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

_TABLE = 2048


@dataclass(frozen=True)
class Wave:
    """A wavetable instrument; harmonic k sounds with amplitude `k ** -slope`."""

    slope: float
    attack: float = 0.01
    """Seconds to full level."""
    release: float = 0.06
    """Seconds to silence after the note's end."""
    decay: float = math.inf
    """Seconds in which a held note falls to 1/e; infinite for bowed and blown ones."""
    evens: float = 1.0
    """Gain of the even harmonics: 0 is hollow."""
    drawbars: tuple[float, ...] = ()
    """Amplitudes of the first harmonics, in place of the slope."""
    detune: tuple[float, ...] = (0.0,)
    """Cents of each voice."""
    vibrato: float = 0.0
    """Depth in cents."""
    fading: float = 0.0
    """Seconds in which the upper harmonics die away; 0 keeps them."""
    breath: float = 0.0
    """Level of noise."""


@dataclass(frozen=True)
class String:
    """A plucked string (Karplus and Strong, 1983)."""

    decay: float
    """Gain of a period at 220 Hz."""
    brightness: float
    """Share of the white pluck left unsmoothed."""
    release: float = 0.08


@dataclass(frozen=True)
class Modulated:
    """A two-operator FM tone (Chowning, 1973)."""

    ratio: float
    """Modulator's frequency over the carrier's."""
    index: float
    """Depth of modulation at the attack, in radians."""
    decay: float
    """Seconds in which the tone falls to 1/e; the modulation falls twice as fast."""
    release: float = 0.15


INSTRUMENTS: dict[str, Wave | String | Modulated] = {
    "organ": Wave(1.0, attack=0.02, drawbars=(1, 0.8, 0.5, 0.5, 0, 0.3, 0, 0.25), detune=(-2, 2)),
    "choir": Wave(1.9, attack=0.12, release=0.2, detune=(-9, 0, 8), vibrato=14, breath=0.03),
    "strings": Wave(1.15, attack=0.09, release=0.15, detune=(-7, 1, 8), vibrato=8),
    "violin": Wave(1.0, attack=0.05, release=0.08, vibrato=18, breath=0.01),
    "brass": Wave(0.9, attack=0.04, release=0.07, vibrato=4, fading=0.5),
    "flute": Wave(2.2, attack=0.05, release=0.07, evens=0.6, vibrato=10, breath=0.06),
    "accordion": Wave(0.85, attack=0.03, evens=0.5, detune=(-8, 6)),
    "piano": Wave(1.3, attack=0.003, release=0.12, decay=0.9, detune=(-1, 1), fading=0.3),
    "overdrive": Wave(0.9, attack=0.004, release=0.04, decay=3.0, detune=(-3, 3), fading=1.0),
    "fingerbass": Wave(1.6, attack=0.006, release=0.05, decay=0.8, fading=0.15),
    "synthbass": Wave(0.9, attack=0.004, release=0.03, decay=1.5, fading=0.12),
    "supersaw": Wave(0.8, attack=0.03, release=0.1, detune=(-14, -5, 4, 13)),
    "square": Wave(1.0, attack=0.005, release=0.04, evens=0.0, detune=(0, 4), vibrato=5),
    "pluck": Wave(0.9, attack=0.003, release=0.08, decay=0.35, detune=(-6, 6), fading=0.08),
    "upright": String(decay=0.985, brightness=0.15),
    "guitar": String(decay=0.992, brightness=0.4),
    "steel": String(decay=0.996, brightness=0.9),
    "celesta": Modulated(ratio=3.5, index=1.2, decay=0.5),
    "epiano": Modulated(ratio=1.0, index=1.6, decay=0.8),
}


def _table(harmonics: int, slope: float, wave: Wave) -> Samples:
    """One period, closed by its first sample, of unit RMS."""
    k = np.arange(1, harmonics + 1)
    amplitudes = k ** -max(slope, 0.4)
    if wave.drawbars:
        bars = np.zeros(harmonics)
        bars[: len(wave.drawbars)] = wave.drawbars[:harmonics]
        amplitudes = 0.9 * bars + 0.1 * amplitudes
    amplitudes[1::2] *= wave.evens
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    spectrum[1 : harmonics + 1] = -1j * amplitudes / np.sqrt(np.sum(amplitudes**2) / 2) * (_TABLE / 2)
    period = np.fft.irfft(spectrum)
    return np.append(period, period[0])


def _read(table: Samples, phase: Samples) -> Samples:
    """Look a phase, in periods, up in a table, with linear interpolation."""
    position = (phase - np.floor(phase)) * _TABLE
    index = position.astype(np.int64)
    share = position - index
    return table[index] * (1 - share) + table[index + 1] * share


def _play_wave(
    wave: Wave, frequency: float, time: Samples, velocity: float, sample_rate: int, rng: np.random.Generator
) -> Samples:
    """Wavetables of a bright and a dark tone, crossfaded as the note fades."""
    harmonics = max(1, min(40, int(0.45 * sample_rate / frequency)))
    slope = wave.slope + 1.5 * (0.6 - velocity)
    bright, dark = _table(harmonics, slope, wave), _table(harmonics, slope + 1.2, wave)
    rate = rng.uniform(4.8, 5.8)
    wobble = wave.vibrato / 1200 * math.log(2) * np.minimum(time / 0.4, 1.0) / (2 * math.pi * rate)
    tone = np.zeros_like(time)
    fade = np.exp(-time / wave.fading) if wave.fading else None
    for cents in wave.detune:
        pitch = frequency * 2 ** (cents / 1200)
        phase = pitch * (time + wobble * np.sin(2 * math.pi * rate * time + rng.uniform(0, 6))) + rng.random()
        tone += _read(bright, phase) if fade is None else fade * _read(bright, phase) + (1 - fade) * _read(dark, phase)
    tone /= math.sqrt(len(wave.detune))
    if wave.breath:
        tone += wave.breath * rng.standard_normal(len(time))
    return tone * np.minimum(time / wave.attack, 1.0) * np.exp(-time / wave.decay)


def _play_string(
    string: String, frequency: float, time: Samples, velocity: float, sample_rate: int, rng: np.random.Generator
) -> Samples:
    """Karplus-Strong a period at a time, then resampled from the whole period it needs to the exact pitch."""
    period = max(2, round(sample_rate / frequency - 0.5))
    burst = rng.standard_normal(period)
    smooth = (burst + np.roll(burst, 1) + np.roll(burst, 2) + np.roll(burst, 3)) / 4
    share = min(1.0, string.brightness * (0.4 + velocity))
    row = share * burst + (1 - share) * smooth
    row = (row - row.mean()) / (row.std() + 1e-9)
    ratio = frequency * (period + 0.5) / sample_rate
    rows = np.empty((int(len(time) * ratio / period) + 2, period))
    gain = string.decay ** (220 / frequency)
    before = row[-1]
    for index in range(len(rows)):
        rows[index] = row
        shifted = np.concatenate(([before], row[:-1]))
        before = row[-1]
        row = gain * 0.5 * (row + shifted)
    return 1.6 * np.interp(np.arange(len(time)) * ratio, np.arange(rows.size), rows.ravel())


def _play_modulated(tone: Modulated, frequency: float, time: Samples, velocity: float) -> Samples:
    """Two operators; the harder the touch, the brighter the attack."""
    envelope = np.exp(-time / tone.decay)
    depth = tone.index * (0.4 + velocity) * envelope**2
    modulator = np.sin(2 * math.pi * tone.ratio * frequency * time)
    return 1.4 * np.minimum(time / 0.002, 1.0) * envelope * np.sin(2 * math.pi * frequency * time + depth * modulator)


def play(
    instrument: Wave | String | Modulated,
    pitch: int,
    seconds: float,
    velocity: float,
    sample_rate: int,
    rng: np.random.Generator,
) -> Samples:
    """Play one note of about unit RMS at its start, with its release after the `seconds`.

    Args:
        instrument: what plays.
        pitch: MIDI number.
        seconds: time until the release.
        velocity: 0 to 1; it brightens the tone, its level is the caller's.
        sample_rate: in Hz.
        rng: phases and noise.

    Returns:
        The samples, [N].
    """
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    time = np.arange(max(8, int((seconds + instrument.release) * sample_rate))) / sample_rate
    match instrument:
        case Wave():
            tone = _play_wave(instrument, frequency, time, velocity, sample_rate, rng)
        case String():
            tone = _play_string(instrument, frequency, time, velocity, sample_rate, rng)
        case Modulated():
            tone = _play_modulated(instrument, frequency, time, velocity)
    return tone * np.clip((seconds + instrument.release - time) / instrument.release, 0.0, 1.0)

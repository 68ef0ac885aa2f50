"""Tunes: a motif that comes back, fitted to the chords under it.

Four bars make a phrase, A A B C or A B A C: bars of one letter share rhythm and contour, C is the cadence. Notes on the
beat are chord tones near the contour; notes between them pass or turn by step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmn.corpus.harmony import Chord

Cell = tuple[float, ...]
"""Rhythm of one bar: lengths in beats, a negative one is a rest."""


@dataclass(frozen=True)
class Tone:
    """One note of a tune: position and length in beats, scale degree, and the chord under it."""

    start: float
    beats: float
    degree: int
    chord: Chord


def chord_at(chords: Sequence[Chord], beat: float) -> Chord:
    """Return the chord that sounds at a beat; the last one sounds on after the end."""
    return next((chord for chord in chords if beat < chord.start + chord.beats - 1e-6), chords[-1])


def _choose_cell(cells: Sequence[Cell], density: float, rng: np.random.Generator) -> Cell:
    """Draw a rhythm from cells that are ordered from calm to busy; `density` says about where."""
    position = density * (len(cells) - 1) + 0.8 * rng.standard_normal()
    return cells[int(np.clip(round(position), 0, len(cells) - 1))]


def _contour(length: int, rng: np.random.Generator) -> list[int]:
    """Degrees relative to the anchor: a walk of small steps that a leap turns round."""
    walk, heading, contour = 0, int(rng.choice([-1, 1])), []
    for _ in range(length):
        contour.append(walk)
        leap = rng.random() < 0.2
        walk += heading * (3 if leap else int(rng.integers(1, 3)))
        if leap or abs(walk) > 3 or rng.random() < 0.25:
            heading = -heading
    return contour


def write_melody(
    chords: Sequence[Chord],
    cells: Sequence[Cell],
    cadence: Cell,
    centre: float,
    density: float,
    bars: int,
    beats_per_bar: int,
    rng: np.random.Generator,
) -> list[Tone]:
    """Write a tune of some bars over the chords.

    Args:
        chords: the harmony, at least as long as the tune.
        cells: rhythms of a bar, ordered from calm to busy.
        cadence: rhythm of a phrase's last bar.
        centre: degree around which the tune lies.
        density: business of the rhythm, 0 to 1.
        bars: length of the tune.
        beats_per_bar: metre.
        rng: where all chance comes from.
    """
    form = "AABC" if rng.random() < 0.5 else "ABAC"
    rhythm = {"A": _choose_cell(cells, density, rng), "B": _choose_cell(cells, density, rng), "C": cadence}
    contours = {letter: _contour(len(cell), rng) for letter, cell in rhythm.items()}
    arch = [0, int(rng.integers(0, 3)), int(rng.integers(1, 4)), 0]

    plan: list[tuple[float, float, float, bool]] = []  # start, beats, wished degree, on the beat
    for bar in range(bars):
        letter = form[bar % 4]
        start = float(bar * beats_per_bar)
        for beats, step in zip(rhythm[letter], contours[letter], strict=True):
            if beats > 0:
                strong = start % 1.0 < 1e-6 or beats >= 1.0
                plan.append((start, beats, centre + arch[bar % 4] + step, strong))
            start += abs(beats)

    degrees = [chord_at(chords, start).nearest(wish) if strong else None for start, _, wish, strong in plan]
    last = round(centre)
    tones: list[Tone] = []
    for index, (start, beats, wish, _) in enumerate(plan):
        degree = degrees[index]
        if degree is None:
            target = next((d for d in degrees[index:] if d is not None), last)
            towards = (target > last) - (target < last)
            degree = last + (towards if abs(target - last) > 1 else (1 if wish >= last else -1))
        tones.append(Tone(start, beats, degree, chord_at(chords, start)))
        last = degree
    return tones

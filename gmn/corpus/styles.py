"""What makes a genre: metre, tempo, rhythms, chord progressions and instruments, as tables.

The tables overlap on purpose, in tempo and in instruments: a classifier shall have to listen to more than one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gmn.corpus.melody import Cell

Roots = tuple[int, ...]


@dataclass(frozen=True)
class Style:
    """The habits of one genre."""

    beats_per_bar: int
    tempo: tuple[float, float]
    """Range in beats a minute, before the emotion's factor."""
    chord_beats: tuple[float, ...]
    """How long a chord may last; one is drawn for a track."""
    progressions: Mapping[str, tuple[Roots, ...]]
    """Root degrees in major-like ("bright") and minor-like ("dark") modes."""
    sevenths: float
    """Chance that a chord has a seventh."""
    leading: bool
    """Whether a dominant in a minor key is major."""
    cells: tuple[Cell, ...]
    """Rhythms of the tune from calm to busy."""
    cadence: Cell
    centre: float
    """Scale degree around which the tune lies."""
    palette: Mapping[str, tuple[str, ...]]
    """Instruments that may take each role; one named twice is drawn twice as often."""
    drums: float
    """Chance of drums at middling dynamics."""
    looseness: float
    """Standard deviation of the players' timing in seconds."""
    room: tuple[float, float]
    """Range of the share of reverberation."""


STYLES: Mapping[str, Style] = {
    "chorale": Style(
        beats_per_bar=4,
        tempo=(66, 112),
        chord_beats=(1, 2, 2),
        progressions={
            "bright": ((0, 3, 4, 0, 5, 1, 4, 0), (0, 4, 5, 2, 3, 0, 1, 4), (0, 5, 3, 4), (0, 1, 4, 0, 3, 0, 4, 0)),
            "dark": ((0, 3, 4, 0, 5, 3, 4, 0), (0, 6, 5, 4), (0, 4, 0, 3, 6, 2, 4, 0), (0, 5, 3, 4)),
        },
        sevenths=0.12,
        leading=True,
        cells=((2, 2), (3, 1), (2, 1, 1), (1, 1, 1, 1), (1.5, 0.5, 1, 1), (1, 0.5, 0.5, 1, 1)),
        cadence=(1, 1, 2),
        centre=4,
        palette={
            "melody": ("choir", "choir", "organ", "strings", "brass"),
            "chords": ("organ", "choir", "choir", "strings"),
            "bass": ("organ", "strings"),
        },
        drums=0.08,
        looseness=0.012,
        room=(0.3, 0.6),
    ),
    "waltz": Style(
        beats_per_bar=3,
        tempo=(96, 168),
        chord_beats=(3, 3, 6),
        progressions={
            "bright": ((0, 0, 4, 4, 4, 4, 0, 0), (0, 5, 1, 4), (0, 3, 0, 4), (0, 0, 3, 0, 1, 4, 0, 4)),
            "dark": ((0, 0, 4, 4, 4, 4, 0, 0), (0, 3, 6, 2, 5, 3, 4, 0), (0, 3, 0, 4), (0, 5, 3, 4)),
        },
        sevenths=0.3,
        leading=True,
        cells=((2, 1), (1, 2), (1, 1, 1), (1.5, 0.5, 1), (1, 0.5, 0.5, 1), (0.5, 0.5, 0.5, 0.5, 1), (0.5,) * 6),
        cadence=(2, 1),
        centre=8,
        palette={
            "melody": ("flute", "violin", "accordion", "celesta", "piano"),
            "chords": ("piano", "accordion", "guitar"),
            "bass": ("upright", "upright", "piano"),
        },
        drums=0.35,
        looseness=0.012,
        room=(0.05, 0.25),
    ),
    "rock": Style(
        beats_per_bar=4,
        tempo=(88, 150),
        chord_beats=(2, 4, 4),
        progressions={
            "bright": ((0, 4, 5, 3), (0, 6, 3, 0), (0, 3, 4, 3), (0, 5, 3, 4), (0, 3, 0, 4)),
            "dark": ((0, 5, 2, 6), (0, 6, 5, 6), (0, 2, 6, 3), (0, 3, 0, 6), (0, 1, 0, 6)),
        },
        sevenths=0.0,
        leading=False,
        cells=(
            (2, 1, -1),
            (1, 1, 2),
            (1.5, 1.5, 1),
            (1, 0.5, 0.5, 1, 1),
            (0.5, 0.5, 1, 0.5, 0.5, -1),
            (0.5, 0.5, 0.5, 1, 0.5, 1),
            (0.5, 0.5, 0.5, 0.5, 1, 0.5, 0.5),
        ),
        cadence=(0.5, 0.5, 1, -2),
        centre=6,
        palette={
            "melody": ("overdrive", "overdrive", "steel", "organ"),
            "chords": ("overdrive", "overdrive", "overdrive", "steel", "organ"),
            "bass": ("fingerbass",),
        },
        drums=0.92,
        looseness=0.008,
        room=(0.03, 0.2),
    ),
    "techno": Style(
        beats_per_bar=4,
        tempo=(104, 144),
        chord_beats=(4, 4, 8),
        progressions={
            "bright": ((0, 0, 3, 3), (0, 4, 3, 3), (0, 6, 3, 4), (0, 0, 0, 4)),
            "dark": ((0, 0, 5, 6), (0, 0, 3, 5), (0, 5, 6, 4), (0, 0, 0, 1)),
        },
        sevenths=0.4,
        leading=False,
        cells=(
            (2, 1.5, -0.5),
            (1.5, 1.5, -1),
            (0.75, 0.75, 0.5, 1, -1),
            (0.75, 0.75, 0.5, 0.75, 0.75, 0.5),
            (0.25, 0.25, 0.5, 0.75, 0.25, -1, 0.5, 0.5),
            (0.25, 0.5, 0.25, 0.5, 0.5, 0.25, 0.5, 0.25, 1),
        ),
        cadence=(0.75, 0.75, 0.5, -2),
        centre=7,
        palette={
            "melody": ("square", "pluck", "pluck", "celesta"),
            "chords": ("supersaw", "supersaw", "pluck", "epiano"),
            "bass": ("synthbass",),
        },
        drums=0.95,
        looseness=0.002,
        room=(0.08, 0.35),
    ),
}

GENRES: tuple[str, ...] = tuple(STYLES)

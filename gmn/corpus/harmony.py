"""Keys, chords and voice leading, all in scale degrees.

Degree 0 is the tonic near middle C, 7 the tonic an octave higher, -3 the fifth below it. A chord is a root degree
and the thirds stacked on it, so it fits whatever mode the key has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MODES: dict[str, tuple[int, ...]] = {
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
"""Semitones of the seven degrees above the tonic, from the brightest mode to the darkest."""


@dataclass(frozen=True)
class Chord:
    """A chord for some beats: `root` 0 to 6, `size` stacked thirds (3 a triad, 4 a seventh chord)."""

    root: int
    start: float
    beats: float
    size: int = 3
    leading: bool = False
    """Raises the key's seventh degree, as the dominant of a minor key does."""

    def holds(self, degree: int) -> bool:
        """Whether a degree, in whatever octave, is one of the chord's tones."""
        return (degree - self.root) % 7 in range(0, 2 * self.size, 2)

    def nearest(self, degree: float) -> int:
        """Return the chord tone nearest to a degree; of two equally near ones the lower."""
        middle = round(degree)
        return min((d for d in range(middle - 3, middle + 4) if self.holds(d)), key=lambda d: (abs(d - degree), d))


@dataclass(frozen=True)
class Key:
    """A tonic (pitch class, 0 for C) with a mode."""

    tonic: int
    mode: str

    @property
    def offset(self) -> int:
        """Semitones of degree 0 over middle C, -6 to 5."""
        return self.tonic if self.tonic < 6 else self.tonic - 12

    def pitch(self, degree: int, chord: Chord | None = None) -> int:
        """MIDI pitch of a degree, with the leading note raised where the chord asks for it."""
        octave, step = divmod(degree, 7)
        raised = chord is not None and chord.leading and step == 6 and MODES[self.mode][6] == 10
        return 60 + self.offset + 12 * octave + MODES[self.mode][step] + int(raised)


def lead_voices(chords: Sequence[Chord], centre: float, voices: int, spread: int = 0) -> list[list[int]]:
    """Voice a row of chords so that every voice moves as little as it can.

    Candidates are all inversions around the centre; the one with the smallest sum of motion wins, with a small pull
    back to the centre so that the voices do not drift away.

    Args:
        chords: the chords in order.
        centre: degree around which the voices lie.
        voices: number of voices; more than the chord has tones doubles some.
        spread: chord tones skipped between neighbours: 0 is close position, 1 is open.

    Returns:
        One list of rising degrees a chord.
    """
    voicings: list[list[int]] = []
    for chord in chords:
        low = round(centre) - 12
        tones = [degree for degree in range(low, low + 25) if chord.holds(degree)]
        step = spread + 1
        candidates = [tones[i : i + step * voices : step] for i in range(len(tones) - step * (voices - 1))]

        def cost(candidate: list[int]) -> float:
            motion = sum(abs(a - b) for a, b in zip(candidate, voicings[-1], strict=True)) if voicings else 0.0
            return motion + 0.6 * abs(sum(candidate) / len(candidate) - centre)

        voicings.append(min(candidates, key=cost))
    return voicings


def bass_line(chords: Sequence[Chord], centre: float) -> list[int]:
    """Roots of the chords, each in the octave that makes the smallest leap without leaving the centre."""
    line: list[int] = []
    for chord in chords:
        near = line[-1] if line else centre
        octaves = [chord.root + 7 * octave for octave in range(-5, 3)]
        line.append(min(octaves, key=lambda degree: abs(degree - near) + 1.5 * abs(degree - centre)))
    return line


def passing(degrees: Sequence[int]) -> list[int | None]:
    """Degrees that walk from each degree to the next: one between a third, none elsewhere."""
    return [(a + b) // 2 if abs(a - b) == 2 else None for a, b in pairwise(degrees)] + [None]

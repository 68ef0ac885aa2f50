"""Compose one track: harmony first, then the tune, then the band.

A genre decides metre, tempo range, rhythm, harmony and instruments; an emotion decides mode, register, tempo, dynamics
and articulation. Any genre goes with any emotion.
"""

import math

import numpy as np

from gmn.corpus.arrange import ARRANGERS, Sketch
from gmn.corpus.emotions import EMOTIONS, Mood, draw_mood
from gmn.corpus.harmony import Chord, Key
from gmn.corpus.melody import write_melody
from gmn.corpus.score import Hit, Note, Score
from gmn.corpus.styles import GENRES, STYLES, Style

__all__ = ["EMOTIONS", "GENRES", "Hit", "Note", "Score", "compose"]

_BORROW = 0.06
"""Chance that a role goes to an instrument of another genre."""


def _draw_chords(style: Style, mode: str, beats: float, rng: np.random.Generator) -> list[Chord]:
    """Draw a progression of the genre, repeated over at least so many beats."""
    bright = mode in ("major", "mixolydian", "lydian")
    choices = style.progressions["bright" if bright else "dark"]
    roots = choices[int(rng.integers(len(choices)))]
    length = float(rng.choice(style.chord_beats))
    leading = style.leading and mode != "phrygian"
    if mode == "phrygian":
        roots = tuple(1 if root == 4 else root for root in roots)  # its fifth degree has no perfect fifth
    sizes = [4 if rng.random() < style.sevenths else 3 for _ in roots]
    return [
        Chord(roots[i % len(roots)], i * length, length, sizes[i % len(roots)], leading and roots[i % len(roots)] == 4)
        for i in range(math.ceil(beats / length))
    ]


def _draw_palette(genre: str, rng: np.random.Generator) -> dict[str, str]:
    """Draw an instrument for every role, now and then one that another genre would take."""
    palette = {}
    for role in ("melody", "chords", "bass"):
        source = genre if rng.random() >= _BORROW else str(rng.choice(GENRES))
        palette[role] = str(rng.choice(STYLES[source].palette[role]))
    return palette


def _draw_drums(style: Style, mood: Mood, rng: np.random.Generator) -> float:
    """Draw how loud the drums are: quiet moods thin them out, loud ones bring them in."""
    chance = style.drums + 0.35 * (mood.dynamics - 0.55)
    return mood.dynamics if rng.random() < chance else 0.0


def compose(genre: str, emotion: str, rng: np.random.Generator, seconds: float) -> Score:
    """Compose a track.

    Args:
        genre: one of `GENRES`.
        emotion: one of `EMOTIONS`.
        rng: where all chance comes from: the same state gives the same score.
        seconds: length of the track.

    Returns:
        The score, with notes and drum strokes that start before `seconds`.

    Raises:
        KeyError: for an unknown genre or emotion.
    """
    style, mood = STYLES[genre], draw_mood(emotion, rng)
    tempo = float(rng.uniform(*style.tempo)) * mood.tempo
    key = Key(int(rng.integers(12)), mood.mode)
    bars = math.ceil(seconds * tempo / 60 / style.beats_per_bar) + 1
    sketch = Sketch(
        key=key,
        chords=_draw_chords(style, mood.mode, bars * style.beats_per_bar, rng),
        bars=bars,
        beats_per_bar=style.beats_per_bar,
        mood=mood,
        palette=_draw_palette(genre, rng),
        drums=_draw_drums(style, mood, rng),
    )
    ARRANGERS[genre](sketch, rng)
    centre = sketch.centre(style.centre)
    tune = write_melody(sketch.chords, style.cells, style.cadence, centre, mood.density, bars, style.beats_per_bar, rng)
    sketch.sing(tune)

    beat_seconds = 60 / tempo
    lead_in = float(rng.uniform(0.0, 0.2))

    def when(beat: float) -> float:
        """Return a player's time of a beat."""
        return max(0.0, lead_in + beat * beat_seconds + style.looseness * float(rng.standard_normal()))

    def touch(velocity: float) -> float:
        """Return a player's velocity."""
        return float(np.clip(velocity * (1 + 0.08 * rng.standard_normal()), 0.05, 1.0))

    notes = [
        Note(when(w.beat), w.beats * beat_seconds * mood.articulation, w.pitch, touch(w.velocity), w.instrument)
        for w in sketch.notes
    ]
    hits = [Hit(when(beat), touch(velocity), drum) for beat, velocity, drum in sketch.strokes]
    return Score(
        genre=genre,
        emotion=emotion,
        rates=mood.rates,
        n_annotators=mood.n_annotators,
        tempo=tempo,
        beats_per_bar=style.beats_per_bar,
        tonic=key.tonic,
        mode=key.mode,
        seconds=seconds,
        notes=tuple(sorted((note for note in notes if note.onset < seconds), key=lambda note: note.onset)),
        hits=tuple(sorted((hit for hit in hits if hit.onset < seconds), key=lambda hit: hit.onset)),
        loudness_db=-27 + 11 * mood.dynamics + 1.5 * float(rng.standard_normal()),
        room=float(rng.uniform(*style.room)),
        seed=int(rng.integers(2**31)),
    )

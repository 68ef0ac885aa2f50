"""How the band of each genre plays the chords: four textures of melody, chords, bass and drums.

Everything here is written in beats; `compose` turns it into seconds and adds the players' looseness.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gmn.corpus.emotions import Mood
from gmn.corpus.harmony import Chord, Key, bass_line, lead_voices, passing
from gmn.corpus.melody import Tone, chord_at


@dataclass(frozen=True)
class Written:
    """One note on paper: position and written length in beats."""

    beat: float
    beats: float
    pitch: int
    velocity: float
    instrument: str


@dataclass
class Sketch:
    """A track on paper, filled by the arrangers."""

    key: Key
    chords: list[Chord]
    bars: int
    beats_per_bar: int
    mood: Mood
    palette: Mapping[str, str]
    drums: float
    """How loud the drums are, 0 for none."""
    notes: list[Written] = field(default_factory=list)
    strokes: list[tuple[float, float, str]] = field(default_factory=list)
    """Drum strokes as (beat, velocity, drum)."""

    def centre(self, degree: float, share: float = 1.0) -> float:
        """Degree that a part lies around, at the same height in every key.

        Args:
            degree: where it lies in C without an emotion.
            share: how far the part follows the mood's register.
        """
        return degree + (share * self.mood.register - self.key.offset) * 7 / 12

    def play(self, role: str, beat: float, beats: float, degree: int, chord: Chord, weight: float = 1.0) -> None:
        """Write one note for whoever has the role."""
        velocity = min(1.0, self.mood.dynamics * weight)
        self.notes.append(Written(beat, beats, self.key.pitch(degree, chord), velocity, self.palette[role]))

    def hit(self, beat: float, drum: str, weight: float = 1.0) -> None:
        """Write one drum stroke, unless the track has no drums."""
        if self.drums > 0:
            self.strokes.append((beat, min(1.0, self.drums * weight), drum))

    def sing(self, tune: list[Tone], weight: float = 1.1) -> None:
        """Write the tune."""
        for tone in tune:
            accent = 1.0 if tone.start % self.beats_per_bar == 0 else 0.9
            self.play("melody", tone.start, tone.beats, tone.degree, tone.chord, weight * accent)


def _chorale(sketch: Sketch, rng: np.random.Generator) -> None:
    """Four voices, the lower three moving with the chords."""
    inner = lead_voices(sketch.chords, sketch.centre(-1), voices=2, spread=int(rng.random() < 0.4))
    bass = bass_line(sketch.chords, sketch.centre(-7, 0.4))
    repeat = rng.random() < sketch.mood.density - 0.45
    for chord, voices, root, walk in zip(sketch.chords, inner, bass, passing(bass), strict=True):
        pulses = int(chord.beats) if repeat else 1
        for pulse in range(pulses):
            for degree in voices:
                sketch.play("chords", chord.start + pulse, chord.beats / pulses, degree, chord, 0.75)
        if walk is not None and rng.random() < sketch.mood.density:
            sketch.play("bass", chord.start, chord.beats / 2, root, chord, 0.85)
            sketch.play("bass", chord.start + chord.beats / 2, chord.beats / 2, walk, chord, 0.75)
        else:
            sketch.play("bass", chord.start, chord.beats, root, chord, 0.85)
    for bar in range(sketch.bars):
        sketch.hit(4 * bar, "timpani")
        if bar % 2:
            sketch.hit(4 * bar + 3, "timpani", 0.7)


def _waltz(sketch: Sketch, rng: np.random.Generator) -> None:
    """Bass on one, chords on two and three, or a broken chord in quavers."""
    voicings = lead_voices(sketch.chords, sketch.centre(0), voices=3)
    bass = bass_line(sketch.chords, sketch.centre(-8, 0.4))
    broken = rng.random() < 0.25 + 0.2 * sketch.mood.density
    held = sketch.mood.density < 0.3
    for chord, voices, root in zip(sketch.chords, voicings, bass, strict=True):
        for bar in range(max(1, int(chord.beats // 3))):
            start = chord.start + 3 * bar
            low = root if bar % 2 == 0 else chord.nearest(root - 3)
            sketch.play("bass", start, 3 if held else 1, low, chord, 0.95)
            if broken:
                for step, voice in enumerate((0, 1, 2, 1, 2, 1)):
                    sketch.play("chords", start + 0.5 * step, 0.5, voices[voice], chord, 0.65)
            else:
                for degree in voices:
                    sketch.play("chords", start + 1, 2 if held else 1, degree, chord, 0.65)
                    if not held:
                        sketch.play("chords", start + 2, 1, degree, chord, 0.6)
    for bar in range(sketch.bars):
        sketch.hit(3 * bar, "kick", 0.6)
        sketch.hit(3 * bar + 1, "brush", 0.7)
        sketch.hit(3 * bar + 2, "brush", 0.6)


_RIFFS = ("x.x.x.x.", "xxxxxxxx", "x..x..x.", "x.xx.xx.", "x..xx.x.", "x...x.x.")
_KICKS = ("x...x...", "x...xx..", "x..xx...", "x.x.x..x")


def _rock(sketch: Sketch, rng: np.random.Generator) -> None:
    """Wide or power chords, or a broken chord in quavers, bass on the roots, back beat."""
    density = sketch.mood.density
    soft = rng.random() < 1.0 - 1.7 * sketch.mood.dynamics
    riff = _RIFFS[int(rng.integers(len(_RIFFS)))]
    kick = _KICKS[int(rng.integers(len(_KICKS)))]
    driving = rng.random() < density + 0.2
    top = 9 if rng.random() < 0.5 else 7  # a tenth tells the mode, an octave leaves it to the tune
    power = bass_line(sketch.chords, sketch.centre(-5, 0.6))
    voicings = lead_voices(sketch.chords, sketch.centre(-2), voices=4)
    bass = bass_line(sketch.chords, sketch.centre(-10, 0.3))
    for slot in range(2 * sketch.beats_per_bar * sketch.bars):
        beat = 0.5 * slot
        chord = chord_at(sketch.chords, beat)
        index = sketch.chords.index(chord)
        place = slot % 8
        if soft:
            sketch.play("chords", beat, 1.0, voicings[index][(0, 2, 1, 3, 2, 1, 3, 2)[place]], chord, 0.8)
        elif riff[place] == "x" or beat == chord.start:
            until = next((step for step in range(1, 9) if riff[(place + step) % 8] == "x"), 8)
            for degree in (power[index], power[index] + 4, power[index] + top):
                sketch.play("chords", beat, 0.5 * until, degree, chord, 0.75 if place else 0.85)
        if driving or kick[place] == "x" or beat == chord.start:
            sketch.play("bass", beat, 0.5 if driving else 1.0, bass[index], chord, 0.95 if place % 4 == 0 else 0.85)
        if kick[place] == "x":
            sketch.hit(beat, "kick")
        if place in (2, 6):
            sketch.hit(beat, "brush" if soft and sketch.drums < 0.5 else "snare", 0.95)
        if driving or place % 2 == 0:
            cymbal = "ride" if soft or sketch.mood.dynamics > 0.75 else "hi_hat"
            sketch.hit(beat, cymbal, 0.6 if place % 2 == 0 else 0.4)
    if not soft:
        for bar in range(3, sketch.bars, 4):
            for fill in range(4):
                sketch.hit(4 * bar + 3 + 0.25 * fill, "tom", 0.7)


_STABS = ("x..x..x...x..x..", "..x...x...x...x.", "x.....x.....x...", "x..x....x..x....")


def _techno(sketch: Sketch, rng: np.random.Generator) -> None:
    """Four on the floor, bass between the kicks, and chords as a pad, as stabs or as an arpeggio in semiquavers."""
    density = sketch.mood.density
    voicings = lead_voices(sketch.chords, sketch.centre(0), voices=3)
    bass = bass_line(sketch.chords, sketch.centre(-10, 0.3))
    texture = ("pad", "stabs", "arpeggio")[int(np.clip(round(2.4 * density - 0.4 + 0.7 * rng.standard_normal()), 0, 2))]
    stabs = _STABS[int(rng.integers(len(_STABS)))]
    rolling = rng.random() < density
    order = rng.permutation(4)
    if texture == "pad":
        for chord, voices in zip(sketch.chords, voicings, strict=True):
            for degree in voices:
                sketch.play("chords", chord.start, chord.beats, degree, chord, 0.65)
    for slot in range(4 * sketch.beats_per_bar * sketch.bars):
        beat, place = 0.25 * slot, slot % 16
        chord = chord_at(sketch.chords, beat)
        index = sketch.chords.index(chord)
        if texture == "arpeggio":
            tones = [*voicings[index], voicings[index][0] + 7]
            sketch.play("chords", beat, 0.25, tones[order[slot % 4]], chord, 0.75 if place % 4 == 0 else 0.6)
        elif texture == "stabs" and stabs[place] == "x":
            for degree in voicings[index]:
                sketch.play("chords", beat, 0.4, degree, chord, 0.75)
        if (place % 4 != 0) if rolling else (place % 4 == 2):
            octave = 7 if rolling and place % 8 == 6 else 0
            sketch.play("bass", beat, 0.25 if rolling else 0.5, bass[index] + octave, chord, 0.9)
        if place % 4 == 0:
            sketch.hit(beat, "boom", 1.1)
        if place in (4, 12):
            sketch.hit(beat, "clap", 0.75)
        if place % 4 == 2:
            sketch.hit(beat, "open_hat", 0.6)
        elif rolling:
            sketch.hit(beat, "hat", 0.35)


ARRANGERS: Mapping[str, Callable[[Sketch, np.random.Generator], None]] = {
    "chorale": _chorale,
    "waltz": _waltz,
    "rock": _rock,
    "techno": _techno,
}

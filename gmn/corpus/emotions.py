"""How an emotion sounds and how simulated listeners rate it.

The cues follow what listeners agree on (Gabrielsson and Lindström, "The role of structure in the musical expression of
emotions", 2010): mode, tempo, register, dynamics, articulation and density of rhythm.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gmn.datasets.labels import GEMS


@dataclass(frozen=True)
class Character:
    """An emotional character at full strength."""

    modes: Mapping[str, float]
    """Probability of each mode."""
    tempo: float
    """Factor on the genre's tempo."""
    register: float
    """Shift of melody and chords in semitones."""
    dynamics: float
    """Mean velocity, 0 to 1."""
    articulation: float
    """Sounded share of a note's written length: 0.5 is staccato, 1.05 is legato."""
    density: float
    """Business of the rhythm, 0 to 1."""
    rates: tuple[float, ...]
    """Chance that a listener reports each of the nine `GEMS`."""


@dataclass(frozen=True)
class Mood:
    """A character as one track expresses it, together with how its listeners rate it."""

    mode: str
    tempo: float
    register: float
    dynamics: float
    articulation: float
    density: float
    rates: tuple[float, ...]
    n_annotators: int


# Rates in the order of GEMS: amazement, solemnity, tenderness, nostalgia, calmness, power, joyful_activation, tension,
# sadness.
CHARACTERS: Mapping[str, Character] = {
    "joyful": Character(
        modes={"major": 0.85, "mixolydian": 0.15},
        tempo=1.16, register=8, dynamics=0.68, articulation=0.6, density=0.85,
        rates=(0.35, 0.04, 0.12, 0.15, 0.12, 0.40, 0.85, 0.08, 0.03),
    ),
    "tender": Character(
        modes={"major": 0.75, "dorian": 0.25},
        tempo=0.90, register=4, dynamics=0.36, articulation=1.0, density=0.4,
        rates=(0.15, 0.12, 0.72, 0.60, 0.45, 0.04, 0.20, 0.05, 0.22),
    ),
    "serene": Character(
        modes={"major": 0.6, "lydian": 0.4},
        tempo=0.84, register=-1, dynamics=0.28, articulation=1.05, density=0.1,
        rates=(0.25, 0.32, 0.35, 0.28, 0.85, 0.04, 0.10, 0.04, 0.10),
    ),
    "majestic": Character(
        modes={"major": 0.5, "mixolydian": 0.3, "minor": 0.2},
        tempo=0.94, register=-3, dynamics=0.95, articulation=0.95, density=0.45,
        rates=(0.68, 0.65, 0.04, 0.12, 0.10, 0.78, 0.30, 0.15, 0.05),
    ),
    "tense": Character(
        modes={"phrygian": 0.55, "minor": 0.45},
        tempo=1.15, register=-8, dynamics=0.75, articulation=0.45, density=0.75,
        rates=(0.25, 0.12, 0.03, 0.06, 0.04, 0.45, 0.10, 0.85, 0.15),
    ),
    "sad": Character(
        modes={"minor": 0.8, "dorian": 0.2},
        tempo=0.78, register=-5, dynamics=0.36, articulation=1.0, density=0.25,
        rates=(0.08, 0.48, 0.30, 0.50, 0.25, 0.04, 0.03, 0.20, 0.80),
    ),
}  # fmt: skip

EMOTIONS: tuple[str, ...] = tuple(CHARACTERS)

_NEUTRAL = Character(
    modes={}, tempo=1.0, register=0.0, dynamics=0.55, articulation=0.85, density=0.5,
    rates=tuple(float(np.mean([c.rates[g] for c in CHARACTERS.values()])) for g in range(len(GEMS))),
)  # fmt: skip


def draw_mood(emotion: str, rng: np.random.Generator) -> Mood:
    """Express an emotion in one track: stronger or weaker, and never twice alike.

    One strength scales the cues and the chances that a listener feels something, so that a track that expresses less
    is also rated less. Each of 20 to 40 annotators then reports each emotion or not.

    Args:
        emotion: one of `EMOTIONS`.
        rng: where all chance comes from.
    """
    character = CHARACTERS[emotion]
    strength = rng.uniform(0.7, 1.15)

    def cue(name: str, spread: float) -> float:
        neutral = getattr(_NEUTRAL, name)
        return float(neutral + strength * (getattr(character, name) - neutral) + spread * rng.standard_normal())

    n_annotators = int(rng.integers(20, 41))
    full, neutral = np.array(character.rates), np.array(_NEUTRAL.rates)
    chances = np.clip(neutral + strength * (full - neutral) + 0.06 * rng.standard_normal(len(GEMS)), 0.01, 0.97)
    reports = rng.binomial(n_annotators, chances)
    return Mood(
        mode=str(rng.choice(list(character.modes), p=list(character.modes.values()))),
        tempo=cue("tempo", 0.04),
        register=cue("register", 1.0),
        dynamics=float(np.clip(cue("dynamics", 0.07), 0.2, 1.0)),
        articulation=float(np.clip(cue("articulation", 0.08), 0.35, 1.1)),
        density=float(np.clip(cue("density", 0.12), 0.0, 1.0)),
        rates=tuple(int(count) / n_annotators for count in reports),
        n_annotators=n_annotators,
    )

"""A composed track: what `compose` writes and `render` plays."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """One pitched note; times in seconds, `pitch` as a MIDI number (69 is 440 Hz), `velocity` in (0, 1]."""

    onset: float
    duration: float
    pitch: int
    velocity: float
    instrument: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One stroke on a drum; `onset` in seconds, `velocity` in (0, 1]."""

    onset: float
    velocity: float
    drum: str


@dataclass(frozen=True, slots=True)
class Score:
    """A whole track: its music, its labels and how it is to be recorded."""

    genre: str
    emotion: str
    """Name of the emotional character it was composed in; listeners only see `rates`."""
    rates: tuple[float, ...]
    """Share of the annotators who felt each of the nine `GEMS`, in their order: multiples of 1 / n_annotators."""
    n_annotators: int
    tempo: float
    """Beats a minute."""
    beats_per_bar: int
    tonic: int
    """Pitch class of the key's first degree, 0 for C."""
    mode: str
    seconds: float
    notes: tuple[Note, ...]
    """In order of onset; a note may ring past the end, where the recording cuts it."""
    hits: tuple[Hit, ...]
    loudness_db: float
    """RMS level that the recording aims at, in dB below full scale."""
    room: float
    """Share of reverberation in the recording, 0 (dry) to 1."""
    seed: int
    """Seed of the noise and of the instruments' individual differences."""

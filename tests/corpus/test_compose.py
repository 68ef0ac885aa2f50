"""Scores: labels, modes, metres and the differences between genres."""

from itertools import pairwise

import numpy as np
import pytest

from gmn.corpus.compose import EMOTIONS, GENRES, Score, compose
from gmn.corpus.harmony import MODES, Chord, Key, lead_voices
from gmn.datasets.labels import GEMS


def _scores(genre: str, emotion: str, count: int = 8) -> list[Score]:
    return [compose(genre, emotion, np.random.default_rng([7, index]), 10.0) for index in range(count)]


@pytest.mark.parametrize("genre", GENRES)
@pytest.mark.parametrize("emotion", EMOTIONS)
def test_any_genre_goes_with_any_emotion(genre: str, emotion: str) -> None:
    score = _scores(genre, emotion, 1)[0]
    assert (score.genre, score.emotion) == (genre, emotion)
    assert len(score.rates) == len(GEMS)
    assert 20 <= score.n_annotators <= 40
    reports = np.array(score.rates) * score.n_annotators
    np.testing.assert_allclose(reports, np.round(reports), atol=1e-9)
    assert all(0 <= rate <= 1 for rate in score.rates)
    assert len({note.instrument for note in score.notes}) >= 1
    assert len({note.pitch for note in score.notes}) >= 6
    assert all(0 <= note.onset < 10 and note.duration > 0 and 24 <= note.pitch <= 100 for note in score.notes)
    assert all(0 < event.velocity <= 1 for event in (*score.notes, *score.hits))
    assert max(note.onset for note in score.notes) > 7


def test_same_state_same_score() -> None:
    assert _scores("waltz", "tender") == _scores("waltz", "tender")
    assert len(set(_scores("waltz", "tender"))) == 8


def _third_share(score: Score, semitones: int) -> float:
    """Share of the notes on the pitch class so many semitones above the tonic."""
    return float(np.mean([(note.pitch - score.tonic) % 12 == semitones for note in score.notes]))


def test_sad_has_the_minor_third_and_joyful_the_major_one() -> None:
    for genre in GENRES:
        for emotion, own, other in (("sad", 3, 4), ("joyful", 4, 3)):
            scores = _scores(genre, emotion)
            assert all(_third_share(score, own) >= _third_share(score, other) for score in scores)
            assert np.mean([_third_share(score, own) - _third_share(score, other) for score in scores]) > 0.05


def test_emotions_differ_in_tempo_register_dynamics_and_articulation() -> None:
    def middle(emotion: str, cue: str) -> float:
        return float(np.mean([getattr(note, cue) for g in GENRES for s in _scores(g, emotion) for note in s.notes]))

    def tempo(emotion: str) -> float:
        return float(np.mean([score.tempo for genre in GENRES for score in _scores(genre, emotion)]))

    assert tempo("joyful") > 1.2 * tempo("sad")
    assert middle("joyful", "pitch") > middle("sad", "pitch") + 4
    assert middle("majestic", "velocity") > 1.5 * middle("serene", "velocity")
    assert middle("tender", "duration") > 1.5 * middle("tense", "duration")


def test_rates_follow_the_emotion() -> None:
    def rate(emotion: str, name: str) -> float:
        return float(np.mean([score.rates[GEMS.index(name)] for g in GENRES for score in _scores(g, emotion)]))

    assert rate("sad", "sadness") > 0.5 > 0.2 > rate("joyful", "sadness")
    assert rate("majestic", "power") > 0.5 > 0.2 > rate("tender", "power")


def test_genres_differ_in_metre_tempo_and_rhythm() -> None:
    scores = {genre: [s for emotion in EMOTIONS for s in _scores(genre, emotion, 4)] for genre in GENRES}
    tempo = {genre: np.mean([s.tempo for s in scores[genre]]) for genre in GENRES}
    onsets = {genre: np.mean([len({*s.notes, *s.hits}) / s.seconds for s in scores[genre]]) for genre in GENRES}
    drums = {genre: np.mean([bool(s.hits) for s in scores[genre]]) for genre in GENRES}
    assert {genre for genre in GENRES if scores[genre][0].beats_per_bar == 3} == {"waltz"}
    assert tempo["chorale"] < 0.85 * min(tempo[genre] for genre in GENRES if genre != "chorale")
    assert onsets["techno"] > 1.5 * onsets["waltz"] > 1.5 * onsets["chorale"]
    assert min(drums["rock"], drums["techno"]) > 0.7 > 0.6 > drums["waltz"] > drums["chorale"]


def test_the_tune_comes_back() -> None:
    """Bar 1 returns as bar 2 or bar 3: the motif's rhythm is heard again."""
    for score in _scores("waltz", "joyful"):
        top = sorted({round((n.onset * score.tempo / 60) * 2) / 2 for n in score.notes if n.pitch >= 72})
        bars = [{beat % 3 for beat in top if beat // 3 == bar} for bar in range(4)]
        overlap = [len(bars[0] & bars[bar]) / max(1, len(bars[0] | bars[bar])) for bar in (1, 2)]
        assert max(overlap) >= 0.5


def test_key_spells_its_mode() -> None:
    for mode, steps in MODES.items():
        assert [Key(0, mode).pitch(degree) - 60 for degree in range(8)] == [*steps, 12]
    dominant = Chord(4, 0, 1, leading=True)
    assert Key(0, "minor").pitch(6, dominant) == Key(0, "minor").pitch(6) + 1
    assert Key(0, "major").pitch(6, dominant) == Key(0, "major").pitch(6)


def test_voices_move_little_and_sing_the_chord() -> None:
    chords = [Chord(root, start, 1) for start, root in enumerate((0, 3, 4, 0, 5, 1, 4, 0))]
    voicings = lead_voices(chords, centre=0, voices=3)
    for chord, voices in zip(chords, voicings, strict=True):
        assert {degree % 7 for degree in voices} == {(chord.root + third) % 7 for third in (0, 2, 4)}
    motion = [abs(a - b) for before, after in pairwise(voicings) for a, b in zip(before, after, strict=True)]
    assert max(motion) <= 3
    assert np.mean(motion) < 1.5

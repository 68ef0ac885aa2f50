"""The n-gram ladder: proper distributions, hand-computed values, one score whatever the cuts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmn.errors import InputError
from gmn.metrics import bits as module
from gmn.metrics.bits import LINEAR_PREDICTION, RUNGS, NGramLadder, verdict


def walk(n_samples: int, seed: int) -> np.ndarray:
    steps = np.random.default_rng(seed).integers(-6, 7, n_samples)
    return (128 + 90 * np.sin(np.cumsum(steps) / 50)).astype(np.uint8)


LADDER = NGramLadder.fit([walk(5_000, 0), walk(1, 1), walk(0, 2), walk(2, 3), walk(3_000, 4)])


@given(st.lists(st.integers(0, 255), max_size=2))
def test_every_estimate_is_a_distribution_without_a_zero(history: list[int]) -> None:
    p = LADDER.probabilities(history)
    assert p.shape == (256,)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p.min() > 0


def test_seen_histories_are_distributions_too() -> None:
    codes = walk(5_000, 0)
    for t in range(2, 500):
        p = LADDER.probabilities(codes[t - 2 : t].tolist())
        assert p.sum() == pytest.approx(1, abs=1e-12)
        assert p.min() > 0


def test_witten_and_bell_by_hand() -> None:
    ladder = NGramLadder.fit([np.array([1, 2, 1, 2, 1, 3], np.uint8)])
    # 6 codes, 3 distinct; after 1: 2, 2, 3 (2 distinct); after (2, 1): 2, 3.
    unigram = (2 + 3 / 256) / 9
    bigram = (2 + 2 * unigram) / 5
    assert ladder.probabilities([])[2] == pytest.approx(unigram)
    assert ladder.probabilities([1])[2] == pytest.approx(bigram)
    assert ladder.probabilities([2, 1])[2] == pytest.approx((1 + 2 * bigram) / 4)
    assert ladder.probabilities([9, 1])[2] == pytest.approx(bigram)
    assert ladder.probabilities([9])[2] == pytest.approx(unigram)


def test_bits_are_the_mean_of_the_single_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long sequences are scored in pieces, short ones counted together: neither shows."""
    held_out = [walk(700, 5), walk(1, 6), walk(2, 7), walk(300, 8)]
    expected = []
    for order in (0, 1, 2):
        p = [LADDER.probabilities(c[max(t - order, 0) : t].tolist())[c[t]] for c in held_out for t in range(len(c))]
        expected.append(-float(np.log2(p).mean()))
    for scored in (1 << 18, 100, 1):
        monkeypatch.setattr(module, "_SCORED", scored)
        assert list(LADDER.bits(held_out)) == list(RUNGS)
        assert list(LADDER.bits(iter(held_out)).values()) == pytest.approx([8.0, *expected])
    monkeypatch.setattr(module, "_COUNTED", 50)
    again = NGramLadder.fit(iter([walk(5_000, 0), walk(1, 1), walk(2, 3), walk(3_000, 4)]))
    assert again.bits(held_out) == pytest.approx(LADDER.bits(held_out))


def test_no_triple_spans_two_sequences() -> None:
    apart = NGramLadder.fit([np.array([1, 2], np.uint8), np.array([3, 4], np.uint8)])
    assert np.array_equal(apart.probabilities([2]), apart.probabilities([]))
    assert np.array_equal(apart.probabilities([1, 2]), apart.probabilities([]))


def test_the_rungs_fall_on_smooth_sound_and_not_on_noise() -> None:
    t = np.arange(60_000)
    codes = (128 + 90 * np.sin(t / 7) + 20 * np.sin(t / 31)).astype(np.uint8)
    smooth = NGramLadder.fit([codes[:50_000]]).bits([codes[50_000:]])
    assert 8 > smooth["unigram"] > smooth["bigram"] + 1 > smooth["trigram"] + 2
    noise = np.random.default_rng(0).integers(0, 256, 60_000).astype(np.uint8)
    measured = NGramLadder.fit([noise[:50_000]]).bits([noise[50_000:]])
    assert all(measured[rung] > 7.98 for rung in RUNGS)


def test_input_that_cannot_be() -> None:
    for empty in ([], [walk(0, 0)]):
        with pytest.raises(InputError, match="no codes"):
            NGramLadder.fit(empty)
        with pytest.raises(InputError, match="no codes"):
            LADDER.bits(empty)
    for wrong in (np.zeros(4, np.int16), np.zeros((2, 2), np.uint8)):
        with pytest.raises(InputError, match="uint8"):
            NGramLadder.fit([wrong])


def test_verdict() -> None:
    ladder = {"uniform": 8.0, "unigram": 7.5, "bigram": 5.6, "trigram": 5.75}
    assert verdict(5.59, ladder).word == "texture"
    assert verdict(5.6, ladder).word == "noise"
    noise = verdict(6.1, ladder)
    assert noise.word == "noise"
    assert "6.10 bits per sample, 0.50 above bigram (5.60)" in noise.sentence
    assert "0.60 below bigram" in verdict(5.0, ladder).sentence
    for bits, rungs in ((math.nan, ladder), (3.0, {}), (3.0, {LINEAR_PREDICTION: 4.0})):
        with pytest.raises(InputError, match="needs a number and one"):
            verdict(bits, rungs)


def test_ready_is_below_linear_prediction_as_well() -> None:
    ladder = {"uniform": 8.0, "trigram": 5.0, LINEAR_PREDICTION: 4.0}
    assert [verdict(bits, ladder).word for bits in (5.0, 4.0, 3.99)] == ["noise", "texture", "ready"]
    assert "0.50 below trigram (5.00) and 0.50 above linear prediction (4.00)" in verdict(4.5, ladder).sentence
    # Where the signal has no resonance, the n-gram is the higher rung.
    assert verdict(4.5, ladder | {"trigram": 3.5}).word == "noise"

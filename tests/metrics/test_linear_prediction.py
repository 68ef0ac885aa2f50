"""Adaptive linear prediction: causal, a proper distribution, near the truth on signals whose entropy is known."""

import numpy as np
import pytest

from gmn.audio.mulaw import decode, encode
from gmn.errors import InputError
from gmn.metrics import linear_prediction as module
from gmn.metrics.linear_prediction import linear_prediction_bits


def resonance(n_samples: int, loudness: float, seed: int = 0) -> np.ndarray:
    """White noise through a resonator: an autoregressive process of order 2."""
    noise = np.random.default_rng(seed).standard_normal(n_samples)
    x = np.zeros(n_samples + 2)
    for t in range(n_samples):
        x[t + 2] = 1.9 * x[t + 1] - 0.95 * x[t] + noise[t]
    return encode(loudness * x[2:] / np.abs(x).max())


def test_only_the_past_is_known() -> None:
    """Changing the code at 2,000 changes no cost before it, and its own only through its place in the distribution."""
    codes = resonance(3_000, 0.5)
    changed = codes.copy()
    changed[2_000] ^= 1
    before, after = module._nats(codes), module._nats(changed)
    np.testing.assert_array_equal(before[:2_000], after[:2_000])
    assert (before[2_001:] != after[2_001:]).any()


def test_the_costs_are_those_of_a_distribution() -> None:
    """At one moment, e^-cost over all 256 codes that could come next sums to 1."""
    past = resonance(1_003, 0.5)
    mass = [np.exp(-module._nats(np.append(past, np.uint8(code)))[-1]) for code in range(256)]
    assert sum(mass) == pytest.approx(1, abs=1e-9)


def test_an_autoregressive_process_costs_what_its_innovation_does() -> None:
    """Well above the quantiser's grain the cost nears h(noise) - E log2(step), h the differential entropy."""
    noise = np.random.default_rng(1).standard_normal(20_000)
    x = np.zeros(20_002)
    for t in range(20_000):
        x[t + 2] = 1.2 * x[t + 1] - 0.6 * x[t] + noise[t]
    scale = 0.9 / np.abs(x).max()
    codes = encode(scale * x[2:])
    steps = (1 / 255 + np.abs(decode(codes))) * np.log(256) * 2 / 255
    ideal = np.log2(scale * np.sqrt(2 * np.pi * np.e)) - np.log2(steps[1_000:]).mean()
    assert linear_prediction_bits([(codes, 1_000)]) == pytest.approx(ideal, abs=0.15)


def test_how_the_equations_are_cut_into_batches_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = resonance(3_001, 0.5)
    whole = module._nats(codes)
    monkeypatch.setattr(module, "_BLOCKS_AT_ONCE", 7)
    np.testing.assert_allclose(module._nats(codes), whole, rtol=1e-6)


@pytest.mark.parametrize("codes", [np.full(2_000, 128, np.uint8), np.zeros(2_000, np.uint8), np.zeros(1, np.uint8)])
def test_silence_and_a_stuck_output_are_cheap_or_at_least_finite(codes: np.ndarray) -> None:
    bits = linear_prediction_bits([(codes, 0)])
    # A surprise costs at most log2(256 / 0.001) bits, the share of the uniform distribution.
    assert 0 <= bits < (0.3 if codes.size > 1 else 18)


def test_sequences_count_by_their_samples_and_context_does_not() -> None:
    first, second = resonance(2_000, 0.5), resonance(1_200, 0.2, seed=1)
    alone = [linear_prediction_bits([(codes, 800)]) for codes in (first, second)]
    assert linear_prediction_bits([(first, 800), (second, 800)]) == pytest.approx(
        (alone[0] * 1_200 + alone[1] * 400) / 1_600
    )
    with pytest.raises(InputError, match="no codes"):
        linear_prediction_bits([(first, 2_000)])

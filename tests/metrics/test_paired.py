"""Pairs of classifiers, and confidence."""

import numpy as np
import pytest
from scipy.stats import binom

from gmn.errors import InputError
from gmn.metrics.paired import mcnemar, reliability, top_quarter_precision


def test_mcnemar_is_the_two_sided_sign_test() -> None:
    first = np.array([True] * 7 + [False] * 2 + [True] * 5)
    second = np.array([False] * 7 + [True] * 2 + [True] * 5)
    only_first, only_second, p = mcnemar(first, second)
    assert (only_first, only_second) == (7, 2)
    assert p == pytest.approx(2 * binom.cdf(2, 9, 0.5))
    assert mcnemar(second, first)[2] == p
    assert mcnemar(first, first) == (0, 0, 1.0)
    with pytest.raises(InputError, match="same tracks"):
        mcnemar(first, second[1:])


def test_a_calibrated_classifier_has_no_gap() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 200_000)
    right = rng.random(200_000) < confidence
    points, gap = reliability(confidence, right)
    assert gap < 0.01
    assert sum(count for _, _, count in points) == 200_000
    assert reliability(confidence, rng.random(200_000) < confidence - 0.2)[1] == pytest.approx(0.2, abs=0.01)
    assert reliability(np.ones(3), np.ones(3, bool)) == ([(1.0, 1.0, 3)], 0.0)
    with pytest.raises(InputError, match="N > 0"):
        reliability(np.ones(0), np.ones(0, bool))


def test_precision_of_the_top_quarter() -> None:
    rng = np.random.default_rng(0)
    true = rng.random((4000, 3))
    told = np.stack([true[:, 0], rng.random(4000), -true[:, 2]], axis=1)
    perfect, chance, opposite = top_quarter_precision(true, told)
    assert perfect == 1
    assert chance == pytest.approx(0.25, abs=0.03)
    assert opposite < 0.2
    assert np.isnan(top_quarter_precision(np.ones((8, 1)), rng.random((8, 1)))).all()

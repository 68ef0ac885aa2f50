"""Agreement measures against hand-computed values, scikit-learn and the definition of an interval."""

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from gmn.errors import InputError
from gmn.metrics.agreement import accuracy, confusion, macro_f1, mean_pearson, pearson, wilson_interval

RNG = np.random.default_rng(0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_ends_where_the_score_test_does(case: tuple[int, int]) -> None:
    hits, n = case
    low, high = wilson_interval(hits, n, 0.9)
    p = hits / n
    assert 0 <= low <= p <= high <= 1
    assert low < high
    for bound in (low, high):
        if 0 < bound < 1:
            assert abs(p - bound) / math.sqrt(bound * (1 - bound) / n) == pytest.approx(1.6448536, rel=1e-4)


def test_known_interval() -> None:
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert wilson_interval(0, 20)[0] == 0.0
    assert wilson_interval(20, 20)[1] == 1.0
    for hits, n, confidence in ((1, 0, 0.9), (3, 2, 0.9), (-1, 2, 0.9), (1, 2, 1.0)):
        with pytest.raises(InputError, match="no interval"):
            wilson_interval(hits, n, confidence)


@pytest.mark.parametrize("used", [5, 3])
def test_classes_agree_with_sklearn(used: int) -> None:
    target, predicted = RNG.integers(0, used, 200), RNG.integers(0, used, 200)
    counts = confusion(target, predicted, 5)
    assert np.array_equal(counts, sklearn.metrics.confusion_matrix(target, predicted, labels=range(5)))
    assert accuracy(target, predicted) == pytest.approx(counts.trace() / 200)
    assert macro_f1(target, predicted, 5) == pytest.approx(sklearn.metrics.f1_score(target, predicted, average="macro"))


def test_rows_are_targets_also_for_small_types() -> None:
    counts = confusion(np.array([20, 20], np.uint8), np.array([3, 20], np.uint8), 21)
    assert counts[20, 3] == counts[20, 20] == 1
    assert counts.sum() == 2


def test_a_class_only_predicted_counts_as_missed() -> None:
    assert macro_f1(np.array([0, 0]), np.array([0, 1]), 3) == pytest.approx((2 / 3 + 0) / 2)


def test_classes_that_cannot_be() -> None:
    zero = np.zeros(2, np.int64)
    for target, predicted, said in (
        (zero, np.zeros(3, np.int64), "same"),
        (zero[:0], zero[:0], "N > 0"),
        (zero, zero + 2, r"2\.\.2"),
        (zero - 1, zero, "-1"),
    ):
        with pytest.raises(InputError, match=said):
            confusion(target, predicted, 2)


def test_pearson_by_column() -> None:
    a, b = RNG.standard_normal((50, 4)), RNG.standard_normal((50, 4))
    b[:, 1] = -3 * a[:, 1] + 7
    a[:, 2] = 0.1
    b[3, 3] = np.nan
    r = pearson(a, b)
    assert r[0] == pytest.approx(np.corrcoef(a[:, 0], b[:, 0])[0, 1])
    assert r[1] == pytest.approx(-1)
    assert np.isnan(r[2:]).all()
    assert mean_pearson(a, b) == pytest.approx((r[0] - 1) / 2)
    assert math.isnan(mean_pearson(a[:, 2:3], b[:, 2:3]))
    for wrong in (b[:, :3], b[:1]):
        with pytest.raises(InputError, match="same"):
            pearson(a[: len(wrong)], wrong)

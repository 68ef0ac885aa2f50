"""Two classifiers on the same tracks, and whether a classifier's confidence can be believed.

N tracks, K rates.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score

from gmn.errors import InputError

Hits = npt.NDArray[np.bool_]


def mcnemar(first: Hits, second: Hits) -> tuple[int, int, float]:
    """Return how often only the first and only the second was right on N tracks, and the exact two-sided p.

    p is the chance of a division at least as uneven where both are equally good (McNemar 1947, binomial form); 1 where
    they never differ.

    Raises InputError for lengths that differ.

    >>> mcnemar(np.array([True] * 6 + [False]), np.array([False] * 6 + [False]))
    (6, 0, 0.03125)
    """
    if first.shape != second.shape:
        raise InputError(f"answers {list(first.shape)} and {list(second.shape)}: need the same tracks")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differ = only_first + only_second
    return only_first, only_second, float(binomtest(only_first, differ).pvalue) if differ else 1.0


def reliability(
    confidence: npt.NDArray[np.floating], right: Hits, bins: int = 10
) -> tuple[list[tuple[float, float, int]], float]:
    """Return (mean confidence, share right, tracks) of each bin of confidence that has any, and their mean gap.

    The gap is the expected calibration error (Guo et al. 2017, equation 3), in [0, 1].

    Raises InputError for lengths that differ or N = 0.

    >>> reliability(np.array([0.9, 0.9]), np.array([True, False]))
    ([(0.9, 0.5, 2)], 0.4)
    """
    if confidence.shape != right.shape or not len(right):
        raise InputError(
            f"confidences {list(confidence.shape)} and answers {list(right.shape)}: need the same [N], N > 0"
        )
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    points = []
    for number in np.unique(bin_of):
        here = bin_of == number
        points.append((float(confidence[here].mean()), float(right[here].mean()), int(here.sum())))
    return points, float(sum(abs(sure - share) * count for sure, share, count in points) / len(right))


def top_quarter_precision(target: npt.NDArray[np.floating], rates: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return how well rates [N, K] find the quarter of the tracks with the largest true rates: average precision [K].

    By chance about 0.25; NaN for a rate that is constant.

    >>> top_quarter_precision(np.array([[0.1], [0.2], [0.3], [0.9]]), np.array([[0.0], [0.1], [0.2], [0.5]]))
    array([1.])
    """
    found = np.full(target.shape[1], np.nan)
    for k, (true, told) in enumerate(zip(target.T, rates.T, strict=True)):
        if true.min() < true.max():
            top = np.argsort(-true, kind="stable")[: max(1, len(true) // 4)]
            found[k] = average_precision_score(np.isin(np.arange(len(true)), top), told)
    return found

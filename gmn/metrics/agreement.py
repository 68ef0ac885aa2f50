"""How well predictions agree with labels: shares with intervals, confusion, F1, correlation.

N tracks or clips, C classes or columns. Classes are integers 0..C-1.
"""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from gmn.errors import InputError

Classes = npt.NDArray[np.integer]


def wilson_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a share of hits in n trials, as (low, high) within [0, 1].

    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), p = hits / n, z the normal quantile of
    (1 + confidence) / 2. Unlike p -+ z s it stays within [0, 1] and has a width at 0 and n hits. It holds for trials
    that are independent: count tracks, not segments of the same track.
    Source: Wilson 1927; Brown, Cai and DasGupta 2001.

    Raises InputError unless 0 <= hits <= n, n >= 1 and 0 < confidence < 1.

    >>> [round(bound, 3) for bound in wilson_interval(8, 10)]
    [0.49, 0.943]
    """
    if not (n >= 1 and 0 <= hits <= n and 0 < confidence < 1):
        raise InputError(f"no interval for {hits} hits of {n} at confidence {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = hits / n
    centre = p + z * z / (2 * n)
    half = z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    scale = 1 + z * z / n
    low = 0.0 if hits == 0 else (centre - half) / scale
    high = 1.0 if hits == n else (centre + half) / scale
    return low, high


def mean_interval(values: npt.NDArray[np.floating], confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's t interval of the mean of N independent values, as (low, high); infinite for a single one.

    mean -+ t s / sqrt(N), s the standard deviation with N - 1, t its quantile of (1 + confidence) / 2.

    Raises InputError for values that are not [N], N >= 1.

    >>> [round(bound, 3) for bound in mean_interval(np.array([1.0, 2.0, 3.0]))]
    [-0.484, 4.484]
    """
    if values.ndim != 1 or values.size == 0:
        raise InputError(f"no interval for the mean of values {list(values.shape)}: need [N], N > 0")
    mean = float(values.mean())
    if values.size == 1:
        return -math.inf, math.inf
    half = float(stdtrit(values.size - 1, (1 + confidence) / 2) * values.std(ddof=1) / math.sqrt(values.size))
    return mean - half, mean + half


def accuracy(target: Classes, predicted: Classes) -> float:
    """Return the share of N predictions that equal their target, in [0, 1].

    Raises InputError for lengths that differ or N = 0.

    >>> accuracy(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    0.75
    """
    if target.ndim != 1 or target.shape != predicted.shape or target.size == 0:
        raise InputError(
            f"targets {list(target.shape)} and predictions {list(predicted.shape)}: need the same [N], N > 0"
        )
    return float((target == predicted).mean())


def confusion(target: Classes, predicted: Classes, n_classes: int) -> npt.NDArray[np.int64]:
    """Return counts `[C, C]`: rows are targets, columns predictions.

    Raises InputError for lengths that differ, N = 0, or a class outside 0..C-1.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    array([[1, 0],
           [1, 1]])
    """
    accuracy(target, predicted)  # for its checks
    for classes in (target, predicted):
        if not (classes.min() >= 0 and classes.max() < n_classes):
            raise InputError(f"classes {classes.min()}..{classes.max()} do not lie in 0..{n_classes - 1}")
    cells = target.astype(np.int64) * n_classes + predicted
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def macro_f1(target: Classes, predicted: Classes, n_classes: int) -> float:
    """Return the mean over classes of F1 = 2 TP / (2 TP + FP + FN), in [0, 1].

    A class that neither a target nor a prediction names has no F1 and is left out of the mean.

    Raises InputError as `confusion` does.

    >>> round(macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), 3), 3)
    0.667
    """
    counts = confusion(target, predicted, n_classes)
    named = counts.sum(axis=0) + counts.sum(axis=1)
    present = named > 0
    return float((2 * counts.diagonal()[present] / named[present]).mean())


def pearson(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return Pearson's correlation of each column of `[N, C]` a and b, `[C]` in [-1, 1].

    r = sum (a - mean a)(b - mean b) / sqrt(sum (a - mean a)^2 sum (b - mean b)^2). NaN for a column in which a or b is
    constant or holds NaN: there is no correlation to speak of.

    Raises InputError for shapes that differ, are not `[N, C]`, or N < 2.

    >>> pearson(np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [4.0], [6.0]])).round(6)
    array([1.])
    """
    if a.ndim != 2 or a.shape != b.shape or len(a) < 2:
        raise InputError(f"columns {list(a.shape)} and {list(b.shape)}: need the same [N, C], N > 1")
    a, b = a.astype(np.float64), b.astype(np.float64)
    constant = (a == a[0]).all(axis=0) | (b == b[0]).all(axis=0)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norm = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    r: npt.NDArray[np.float64] = (a * b).sum(axis=0) / np.where(constant | (norm == 0), np.nan, norm)
    return r.clip(-1, 1)


def mean_pearson(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float:
    """Return the mean of `pearson` over the columns that have one; NaN where none has.

    Raises InputError as `pearson` does.

    >>> mean_pearson(np.array([[1.0, 5.0], [2.0, 5.0]]), np.array([[3.0, 1.0], [4.0, 2.0]])).__round__(6)
    1.0
    """
    r = pearson(a, b)
    r = r[~np.isnan(r)]
    return float(r.mean()) if r.size else float("nan")

"""How far annotators agree, and so how well any model can do on their mean."""

import numpy as np
import numpy.typing as npt

from gmn.errors import InputError
from gmn.metrics.agreement import pearson


def split_half(
    rates: npt.NDArray[np.floating], annotators: npt.NDArray[np.integer], seed: int = 0, repeats: int = 100
) -> npt.NDArray[np.float64]:
    """Return the reliability of each item's mean vote, `[K]`, at most 1; NaN for an item that is constant.

    `rates` are shares of yes-votes `[N, K]` by `annotators` `[N]` a track. Each track's votes are dealt at random into
    two halves, r is Pearson's correlation of the halves' rates over tracks, averaged over repeats, and the reliability
    of all votes together is 2 r / (1 + r) (Spearman 1910, Brown 1910).

    Raises InputError for shapes that do not match or a track of fewer than two annotators.

    >>> rates = np.array([[0.0], [1.0], [0.0], [1.0]])
    >>> split_half(rates, np.array([4, 4, 4, 4])).round(2).tolist()
    [1.0]
    """
    if rates.ndim != 2 or annotators.shape != rates.shape[:1] or not len(rates):
        raise InputError(f"rates {list(rates.shape)} and annotators {list(annotators.shape)}: need [N, K] and [N]")
    if annotators.min() < 2:
        raise InputError("split-half reliability needs at least two annotators a track")
    rng = np.random.default_rng(seed)
    votes = np.rint(rates * annotators[:, None]).astype(np.int64)
    half = annotators[:, None] // 2
    correlations = []
    for _ in range(repeats):
        first = rng.hypergeometric(votes, annotators[:, None] - votes, np.broadcast_to(half, votes.shape))
        second = votes - first
        correlations.append(pearson(first / half, second / (annotators[:, None] - half)))
    r = np.mean(correlations, axis=0)
    reliability: npt.NDArray[np.float64] = 2 * r / (1 + r)
    return reliability


def ceiling(reliability: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the correlation with the mean vote that a perfect model would show: the root of its reliability."""
    root: npt.NDArray[np.float64] = np.sqrt(np.clip(reliability, 0, 1))
    return root

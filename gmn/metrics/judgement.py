"""How good a classifier's probabilities are, a head at a time, a row a track.

Shapes: N tracks, C genres, K rates.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gmn.metrics.agreement import accuracy, confusion, macro_f1, pearson, wilson_interval

Probabilities = npt.NDArray[np.floating]


def judge_genres(target: npt.NDArray[np.integer], probabilities: Probabilities) -> dict[str, Any]:
    """Judge probabilities [N, C] of genres against the true ones [N].

    Returns `accuracy` with its 95 % Wilson `interval`, `macro_f1`, `majority` (always naming the commonest genre),
    `confusion` [labelled, heard], `log_loss` in nats and `tracks`.

    Raises InputError as `accuracy` does.
    """
    heard, classes = probabilities.argmax(1), probabilities.shape[1]
    return {
        "accuracy": accuracy(target, heard),
        "interval": list(wilson_interval(int((target == heard).sum()), len(target))),
        "macro_f1": macro_f1(target, heard, classes),
        "majority": float(np.bincount(target).max() / len(target)),
        "confusion": confusion(target, heard, classes).tolist(),
        "log_loss": float(-np.log(probabilities[np.arange(len(target)), target].clip(1e-12)).mean()),
        "tracks": len(target),
    }


def judge_rates(target: Probabilities, rates: Probabilities, names: Sequence[str]) -> dict[str, Any]:
    """Judge rates [N, K] in [0, 1] against the true ones.

    Returns `mean_r`, the mean of Pearson's r over the rates that have one (0 where none has), each `r` by name,
    `log_loss` in nats (the binary cross-entropy, mean over rates) and `tracks`.

    Raises InputError as `pearson` does.
    """
    r = pearson(target, rates)
    known = np.isfinite(r)
    p = rates.clip(1e-12, 1 - 1e-12)
    return {
        "mean_r": float(r[known].mean()) if known.any() else 0.0,
        "r": {name: round(float(value), 4) for name, value in zip(names, r, strict=True) if np.isfinite(value)},
        "log_loss": float(-(target * np.log(p) + (1 - target) * np.log1p(-p)).mean()),
        "tracks": len(target),
    }

"""Adaptive linear prediction of mu-law codes: what a predictor of signals, which learns nothing in advance, achieves.

The rung of the ladder above the n-grams. Order 32 adapts to the past 800 samples, as the backward-adaptive codecs do
(ITU-T G.728 adapts order 50 so), so that it knows pitch and formants of the moment and nothing else.

    x_t      the decoded samples of the codes, in [-1, 1]
    a        argmin sum (x_u - sum_i a_i x_{u-i})^2 over the last 800 u, by ridge regression, anew every 8 samples
    e_t      x_t - sum_i a_i x_{t-i}
    s_t      sqrt(pi / 2) times the running mean of |e| before t, time constant 24 samples
    p(code)  the mass of a normal distribution (sum_i a_i x_{t-i}, s_t) in the code's interval, mixed with 0.1 % uniform

All of it is known before the sample at t is, so a decoder could follow it.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from scipy.special import ndtr

from gmn.audio.mulaw import LEVELS, MU, decode
from gmn.errors import InputError

ORDER = 32
PAST = 800
"""Samples that the coefficients are fitted to."""
REFIT = 8
"""Samples from one fit to the next."""

_MEMORY = 24
"""Time constant, in samples, of the residual's scale."""
_UNIFORM = 1e-3
"""Share of the uniform distribution, which bounds what a surprise costs."""
_RIDGE = 1e-9
"""Mean square of the noise that the regression assumes beside the quantiser's."""
_BLOCKS_AT_ONCE = 2048
"""Blocks of REFIT samples whose equations are solved together, which bounds the memory."""

Codes = npt.NDArray[np.uint8]


def linear_prediction_bits(sequences: Iterable[tuple[Codes, int]]) -> float:
    """Return the bits per sample of adaptive linear prediction on pairs of codes and a count.

    The first `count` codes of each sequence, uint8 `[T]`, are context: they are predicted from, but not scored. Give
    PAST of them where there are as many.

    Raises InputError where nothing is left to score.

    >>> hum = np.sin(np.arange(4000) / 20) * 0.5
    >>> from gmn.audio.mulaw import encode
    >>> linear_prediction_bits([(encode(hum), 1000)]) < 2
    True
    """
    nats, n_samples = 0.0, 0
    for codes, given in sequences:
        scored = _nats(codes)[given:]
        nats += float(scored.sum())
        n_samples += scored.size
    if not n_samples:
        raise InputError("there are no codes to measure linear prediction on")
    return nats / n_samples / float(np.log(2))


def _nats(codes: Codes) -> npt.NDArray[np.float64]:
    """Return -ln p of each code `[T]`."""
    x = decode(codes).astype(np.float64)
    predicted = _predict(x)
    scale = np.sqrt(np.pi / 2) * _before(np.abs(x - predicted))
    low, high = _interval_edges()
    mass = ndtr((high[codes] - predicted) / scale) - ndtr((low[codes] - predicted) / scale)
    return -np.log((1 - _UNIFORM) * mass + _UNIFORM / LEVELS)


def _predict(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Predict each sample `[T]` from those before it."""
    n_blocks = -(-x.size // REFIT)
    # Row u holds x_u, x_{u-1}, ..., x_{u-ORDER}; before the start all is zero.
    rows = np.lib.stride_tricks.sliding_window_view(
        np.concatenate([np.zeros(ORDER), x, np.zeros(n_blocks * REFIT - x.size)]), ORDER + 1
    )[:, ::-1]
    predicted = np.empty(n_blocks * REFIT)
    blocks = rows.reshape(n_blocks, REFIT, ORDER + 1)
    history = np.zeros((PAST // REFIT, ORDER + 1, ORDER + 1))
    for start in range(0, n_blocks, _BLOCKS_AT_ONCE):
        block = blocks[start : start + _BLOCKS_AT_ONCE]
        products = np.concatenate([history, block.transpose(0, 2, 1) @ block])
        # The sums over the PAST / REFIT blocks before each, from running sums.
        running = np.concatenate([np.zeros((1, ORDER + 1, ORDER + 1)), np.cumsum(products, axis=0)])
        moments = (running[PAST // REFIT :] - running[: -(PAST // REFIT)])[: len(block)]
        equations = moments[:, 1:, 1:] + PAST * _RIDGE * np.eye(ORDER)
        coefficients = np.linalg.solve(equations, moments[:, 1:, :1])
        predicted[start * REFIT : (start + len(block)) * REFIT] = (block[:, :, 1:] @ coefficients).reshape(-1)
        history = products[len(products) - PAST // REFIT :]
    return predicted[: x.size]


def _before(errors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the running mean of the errors `[T]` before each; never below a hundredth of the finest mu-law step."""
    decay = 1 - 1 / _MEMORY
    mean, _ = lfilter([1 - decay], [1, -decay], errors[:-1], zi=[decay * 0.01])
    return np.maximum(np.concatenate([[0.01], mean]), 1e-6)


def _interval_edges() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the lower and upper ends `[256]` of the samples that have each code; the outermost are infinite."""
    companded = 2 * (np.arange(LEVELS + 1) - 0.5) / MU - 1
    edges = np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(MU)) / MU
    edges[0], edges[-1] = -np.inf, np.inf
    return edges[:-1], edges[1:]

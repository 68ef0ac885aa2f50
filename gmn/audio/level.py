"""Loudness of a waveform."""

import math

import numpy as np
import numpy.typing as npt

FLOOR_DBFS = -120.0
"""What digital silence reads; a finite number, so that it fits into JSON."""


def rms_dbfs(waveform: npt.NDArray[np.floating | np.integer], full_scale: float = 1.0) -> float:
    """Return the root mean square of samples, in dB relative to full scale.

    20 log10(sqrt(mean(x^2)) / full_scale), no less than -120. 0 dBFS is a full-scale square wave; a full-scale sine
    reads -3.01. An empty waveform reads -120.

    >>> rms_dbfs(np.full(8, 0.1))
    -20.0
    """
    x = waveform.reshape(-1)
    # einsum converts to float64 piece by piece; a whole copy would cost more than the sum.
    power = float(np.einsum("i,i->", x, x, dtype=np.float64, casting="safe"))
    mean_square = power / max(x.size, 1) / full_scale**2
    return max(10 * math.log10(mean_square), FLOOR_DBFS) if mean_square > 0 else FLOOR_DBFS

"""Is this clip sound at all? The ways in which a generator fails, told apart by six measurements.

The rules are tried in this order, the first that holds gives the status:

    silent, constant   at least 90 % of the 100 ms frames have an RMS below -60 dBFS about their own mean: nothing
                       moves. `constant` where those frames stand clear of zero (median |mean| above -60 dBFS), as a
                       stuck output does; else `silent`, also for a clip that collapsed to silence after its start.
    noise              spectral flatness of at least 0.6: no part of the spectrum stands out.
    runaway            the last quarter cost the generator at least 6.5 bits a sample, and 1 more than the first: its
                       likelihood drifted off to noise. Uniform codes cost 8 bits, loud music of a trained model 4 to 6.
    offset             at least 90 % of the 100 ms frames have their mean 0.1 or more to one side of zero.
    clipped            more than 1 % of the samples at |x| >= 0.999.
    ok                 none of these.

Reasons. -60 dBFS lies above the step of 8-bit mu-law about zero (-75 dBFS) and below any music that is heard. White
noise, also that of uniform mu-law codes, has a flatness above 0.9; of 2,500 two-second cuts of classical, electronic,
pop and rock tracks, through mu-law at 8 to 22 kHz, the highest had 0.44. None of those cuts had a hundredth of a per
cent of its samples at full scale; a full-scale sine has 2.8 % and counts as clipped. Flat tops below full scale are
not looked for: a square wave has them, and so has each top level of mu-law.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from gmn.audio.level import rms_dbfs
from gmn.errors import InputError

SILENCE_DBFS = -60.0
FRAME_SECONDS = 0.1
QUIET_SHARE = 0.9
NOISE_FLATNESS = 0.6
CLIPPED_LEVEL = 0.999
CLIPPED_SHARE = 0.01

RUNAWAY_BITS = 6.5
RUNAWAY_RISE = 1.0
OFFSET_MEAN = 0.1

_WINDOW = 512
_FEWEST_WINDOWS = 8
"""A spectrum averaged over fewer says little: even white noise looks uneven in it."""


class Status(StrEnum):
    """What a clip sounds like, as far as a measurement can tell."""

    OK = "ok"
    SILENT = "silent"
    CONSTANT = "constant"
    CLIPPED = "clipped"
    NOISE = "noise"
    RUNAWAY = "runaway"
    OFFSET = "offset"


@dataclass(frozen=True)
class Health:
    """The status of a clip and what it rests on."""

    status: Status
    rms_dbfs: float
    """Of the clip about its mean, -120 for none."""
    peak: float
    """The largest |x|."""
    dc: float
    """The mean."""
    quiet_share: float
    """The share of 100 ms frames below -60 dBFS about their own mean."""
    clipped_share: float
    """The share of samples at |x| >= 0.999."""
    spectral_flatness: float
    """In [0, 1], 1 for white noise; 0 for clips of fewer than 2,304 samples."""


def check_health(
    waveform: npt.NDArray[np.floating], sample_rate: int, bits_by_quarter: Sequence[float] | None = None
) -> Health:
    """Measure a waveform `[T]` in [-1, 1] and name the first failure that the module's rules find.

    `bits_by_quarter`, four numbers, is what each quarter cost the generator that made it, in bits per sample.

    Raises InputError for a waveform that is not `[T]`, is empty, or holds NaN or infinite samples.

    >>> print(check_health(np.zeros(16_000, np.float32), 16_000).status)
    silent
    """
    if waveform.ndim != 1 or waveform.size == 0 or not np.isfinite(waveform).all():
        raise InputError(
            f"a clip is a non-empty [T] of finite samples, not {list(waveform.shape)} with NaN or infinity"
        )
    x = waveform.astype(np.float64)
    frame = min(max(1, round(FRAME_SECONDS * sample_rate)), x.size)
    frames = x[: x.size // frame * frame].reshape(-1, frame)
    silence = 10 ** (SILENCE_DBFS / 20)
    quiet = frames.std(axis=1) < silence
    quiet_share = float(quiet.mean())
    clipped_share = float((np.abs(x) >= CLIPPED_LEVEL).mean())
    flatness = spectral_flatness(x)
    if quiet_share >= QUIET_SHARE:
        stuck = np.median(np.abs(frames[quiet].mean(axis=1))) > silence
        status = Status.CONSTANT if stuck else Status.SILENT
    elif flatness >= NOISE_FLATNESS:
        status = Status.NOISE
    elif bits_by_quarter is not None and (bits_by_quarter[-1] >= max(RUNAWAY_BITS, bits_by_quarter[0] + RUNAWAY_RISE)):
        status = Status.RUNAWAY
    elif max(np.quantile(frames.mean(axis=1), 0.1), -np.quantile(frames.mean(axis=1), 0.9)) >= OFFSET_MEAN:
        status = Status.OFFSET
    elif clipped_share > CLIPPED_SHARE:
        status = Status.CLIPPED
    else:
        status = Status.OK
    dc = float(x.mean())
    return Health(status, rms_dbfs(x - dc), float(np.abs(x).max()), dc, quiet_share, clipped_share, flatness)


def spectral_flatness(waveform: npt.NDArray[np.floating]) -> float:
    """Return the geometric over the arithmetic mean of a waveform's power spectrum.

    exp(mean ln P) / mean P over the bins of Welch's estimate P (Hann windows of 512 samples, half overlapping), without
    the first and the last bin. In [0, 1]: 1 where all frequencies are equally strong. 0 for silence and for fewer than
    8 windows (2,304 samples). Source: Gray and Markel 1974; Welch 1967.

    >>> spectral_flatness(np.random.default_rng(0).standard_normal(16_000)) > 0.9
    True
    """
    if waveform.size < _WINDOW // 2 * (_FEWEST_WINDOWS + 1):
        return 0.0
    window = np.hanning(_WINDOW + 1)[:-1]
    starts = np.lib.stride_tricks.sliding_window_view(waveform - waveform.mean(), _WINDOW)[:: _WINDOW // 2]
    power = np.zeros(_WINDOW // 2 - 1)
    for at in range(0, len(starts), 256):
        spectrum = np.fft.rfft(starts[at : at + 256] * window, axis=1)[:, 1:-1]
        power += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
    if not power.max() > 0:
        return 0.0
    power = power / power.mean()
    return float(np.exp(np.log(np.maximum(power, 1e-30)).mean()))

"""8-bit mu-law: waveforms as codes 0..255 and back.

The companding curve is that of ITU-T G.711 with mu = 255, in the continuous form that WaveNet uses (van den Oord et
al. 2016, section 2.2). Its 256 levels lie symmetric about zero, so none of them is zero: digital silence becomes code
128, which decodes to 8.6e-5 (-81 dBFS).

Shapes pass through unchanged: `[...]` in, `[...]` out.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from gmn.errors import InputError

MU = 255
LEVELS = 256
SILENCE = 128
"""The code of a sample that is exactly 0."""


def encode(waveform: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Quantise samples to mu-law codes.

    code = floor((f(x) + 1) / 2 * 255 + 1/2) with f(x) = sign(x) ln(1 + 255 |x|) / ln(256).

    Range: samples in [-1, 1]; louder ones are clipped to it. Codes in 0..255, rising with the sample.
    Source: van den Oord et al. 2016, WaveNet, section 2.2; ITU-T G.711.

    Raises InputError for a sample that is NaN or infinite.

    >>> encode([-1.0, 0.0, 1.0])
    array([  0, 128, 255], dtype=uint8)
    """
    x = np.asarray(waveform, np.float64)
    if not np.isfinite(x).all():
        raise InputError("the waveform holds NaN or infinite samples: mu-law codes need finite ones")
    x = np.clip(x, -1.0, 1.0)
    companded = np.sign(x) * np.log1p(MU * np.abs(x)) / np.log1p(MU)
    return np.floor((companded + 1) / 2 * MU + 0.5).astype(np.uint8)


def decode(codes: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Turn mu-law codes into samples in [-1, 1]; the inverse of `encode` at its 256 levels.

    Every code survives the round trip, through float32 as through 16-bit PCM: the closest levels lie 5.6 PCM steps
    apart.

    Raises InputError for codes outside 0..255 or of a type that is not an integer.

    >>> decode(np.array([0, 255]))
    array([-1.,  1.], dtype=float32)
    """
    codes = np.asarray(codes)
    if codes.dtype != np.uint8:
        if not np.issubdtype(codes.dtype, np.integer):
            raise InputError(f"mu-law codes are integers in 0..255, not {codes.dtype}")
        if codes.size and not (codes.min() >= 0 and codes.max() < LEVELS):
            raise InputError(f"mu-law codes lie in 0..255, these in {codes.min()}..{codes.max()}")
    return decode_table()[codes]


def encode_pcm16(pcm: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """Quantise 16-bit PCM by one table lookup a sample; equals `encode(pcm / 32768)`.

    Raises InputError for an array of another type than int16.

    >>> encode_pcm16(np.array([-32768, 0, 32767], np.int16))
    array([  0, 128, 255], dtype=uint8)
    """
    if pcm.dtype != np.int16:
        raise InputError(f"16-bit PCM is int16, not {pcm.dtype}")
    return _pcm16_table()[np.ascontiguousarray(pcm).view(np.uint16)].reshape(pcm.shape)


@cache
def decode_table() -> npt.NDArray[np.float32]:
    """Return the sample of each code, float32 `[256]`, read-only and rising.

    x = sign(y) (256^|y| - 1) / 255 with y = 2 code / 255 - 1.
    """
    y = 2 * np.arange(LEVELS, dtype=np.float64) / MU - 1
    table = (np.sign(y) * np.expm1(np.abs(y) * np.log1p(MU)) / MU).astype(np.float32)
    table.flags.writeable = False
    return table


@cache
def _pcm16_table() -> npt.NDArray[np.uint8]:
    """Return the code of each 16-bit sample, uint8 `[65536]`, by the sample's bits read as unsigned."""
    pcm = np.arange(65536, dtype=np.uint16).view(np.int16)
    table = encode(pcm / 32768.0)
    table.flags.writeable = False
    return table

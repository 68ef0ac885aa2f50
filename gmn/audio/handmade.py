"""The hand-made features: 57 numbers that tell what a stretch of audio sounds like.

    waveform [T] -STFT-> magnitude [F, N] -----> centroid, bandwidth, rolloff
                             |   |-square-> power -> chroma
                             |                 `---> mel bands in dB -> mfcc 1..20; onsets -> tempo
                             `-median filters, masks, inverse STFT-> harmony [T], perceptr [T]

T samples, F = 1025 bins, N = 1 + T // 512 frames. The names and their order are those of GTZAN's public feature tables;
the definitions are librosa's, with its defaults, and the numbers those of its own calls, made one by one: the steps
that several of them share are taken once here, and the median filters, most of the cost, are another's.
"""

import warnings

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from gmn.errors import InputError

Array = npt.NDArray[np.floating]

_STRETCHES = (
    "chroma_stft",
    "rms",
    "spectral_centroid",
    "spectral_bandwidth",
    "rolloff",
    "zero_crossing_rate",
    "harmony",
    "perceptr",
)
_MFCC = tuple(f"mfcc{i}" for i in range(1, 21))
_KERNEL = 31
"""Frames, and bins, of the median filters."""


def _moments(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{name}_{moment}" for name in names for moment in ("mean", "var"))


HANDMADE = (*_moments(_STRETCHES), "tempo", *_moments(_MFCC))
"""The names of the 57 features, in order."""


def handmade_features(waveform: npt.NDArray[np.float32], sample_rate: int) -> npt.NDArray[np.float64]:
    """Return the features [57] of a waveform [T] in [-1, 1]; all are finite.

    Means and variances are over everything that a name stands for: chroma over frames and the 12 pitch classes, harmony
    and perceptr (the percussive part) over samples, the others over frames. Centroid, bandwidth and rolloff are in Hz,
    the zero crossing rate is a share of samples, an mfcc is in dB. `tempo` is `librosa.feature.tempo`'s, in beats a
    minute, and 117.5 at 22,050 Hz where nothing beats, as in silence: the likeliest by its prior.

    Of 2 or 3 frames (512 to 1535 samples), scipy's median filter gives librosa arbitrary harmony and perceptr, at times
    NaN; here they follow the definition. Moments are taken in float32, as people take them of what librosa returns.

    Source: McFee et al. 2015, "librosa: Audio and music signal analysis in Python"; Fitzgerald 2010 for harmony and
    perceptr; Tzanetakis and Cook 2002 for the choice of features.

    Raises InputError for a waveform that is not [T], T > 0, or not finite.
    """
    import librosa  # brings numba, which is slow to import
    from librosa.onset import onset_strength

    if waveform.ndim != 1 or waveform.size == 0 or not np.isfinite(waveform).all():
        raise InputError(f"hand-made features need a waveform [T], T > 0, all finite; this one is {waveform.shape}")
    with warnings.catch_warnings():
        # Of clips shorter than a frame, of nothing to tune by, and of mel bands without a bin at low sample rates.
        warnings.simplefilter("ignore", UserWarning)
        spectrum = librosa.stft(waveform)
        magnitude, phase = librosa.magphase(spectrum)
        power = magnitude**2
        chroma = librosa.feature.chroma_stft(S=power, sr=sample_rate)
        mel = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=sample_rate))
    centroid = librosa.feature.spectral_centroid(S=magnitude, sr=sample_rate)
    stretches = (
        chroma,
        librosa.feature.rms(y=waveform),
        centroid,
        librosa.feature.spectral_bandwidth(S=magnitude, sr=sample_rate, centroid=centroid),
        librosa.feature.spectral_rolloff(S=magnitude, sr=sample_rate),
        librosa.feature.zero_crossing_rate(waveform),
        *(librosa.istft(part, length=waveform.size) for part in _separate(magnitude, phase)),
    )
    onsets = onset_strength(S=mel, sr=sample_rate)
    tempo = librosa.feature.tempo(onset_envelope=onsets, sr=sample_rate)
    mfcc = librosa.feature.mfcc(S=mel)
    return np.array([*_mean_and_var(stretches), *tempo, *_mean_and_var(mfcc)], np.float64)


def _mean_and_var(stretches: tuple[Array, ...] | Array) -> list[np.floating]:
    return [moment for stretch in stretches for moment in (np.mean(stretch), np.var(stretch))]


def _separate(magnitude: Array, phase: Array) -> tuple[Array, Array]:
    """Split a spectrum [F, N] into what lasts and what hits, as `librosa.decompose.hpss` does (Fitzgerald 2010)."""
    from librosa.util import softmask

    lasts, hits = running_median(magnitude), running_median(magnitude.T).T
    return (
        magnitude * softmask(lasts, hits, power=2.0, split_zeros=True) * phase,
        magnitude * softmask(hits, lasts, power=2.0, split_zeros=True) * phase,
    )


def running_median(values: Array) -> Array:
    """Return the median of 31 neighbours along the rows of [R, C], mirrored at the edges.

    Equal to scipy's filter on two axes, at a tenth of the cost: on one axis it keeps its window sorted as it moves. So
    the rows are laid end to end, their mirrored edges between them.
    """
    margin = _KERNEL // 2
    rows = np.pad(values, ((0, 0), (margin, margin)), mode="symmetric")
    return median_filter(rows.ravel(), size=_KERNEL).reshape(rows.shape)[:, margin:-margin]

"""Hand-made features equal librosa's own calls, made one by one as people write them."""

import warnings

import librosa
import numpy as np
import pytest

from gmn.audio.handmade import HANDMADE, handmade_features, running_median
from gmn.errors import InputError

RATE = 22_050


def by_librosa(waveform: np.ndarray, rate: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        harmony, perceptr = librosa.effects.hpss(waveform)
        values = [
            librosa.feature.chroma_stft(y=waveform, sr=rate),
            librosa.feature.rms(y=waveform),
            librosa.feature.spectral_centroid(y=waveform, sr=rate),
            librosa.feature.spectral_bandwidth(y=waveform, sr=rate),
            librosa.feature.spectral_rolloff(y=waveform, sr=rate),
            librosa.feature.zero_crossing_rate(waveform),
            harmony,
            perceptr,
            *librosa.feature.mfcc(y=waveform, sr=rate, n_mfcc=20),
        ]
        tempo = librosa.feature.tempo(y=waveform, sr=rate)[0]
    moments = [moment for value in values for moment in (np.mean(value), np.var(value))]
    return np.array([*moments[:16], tempo, *moments[16:]])


def sound(kind: str, n_samples: int, rate: int = RATE) -> np.ndarray:
    t = np.arange(n_samples) / rate
    if kind == "noise":
        waveform = 0.1 * np.random.default_rng(n_samples).standard_normal(n_samples)
    elif kind == "tone":
        waveform = 0.5 * np.sin(2 * np.pi * 440 * t)
    elif kind == "chord with clicks":
        waveform = 0.2 * sum(np.sin(2 * np.pi * f * t) for f in (220, 277.2, 329.6))
        waveform += 0.5 * (np.arange(n_samples) % (rate // 2) < 20)
    else:
        waveform = np.full(n_samples, {"silence": 0.0, "constant": 0.5}[kind])
    return waveform.astype(np.float32)


SOUNDS = ("noise", "tone", "chord with clicks", "silence", "constant")


@pytest.mark.parametrize("kind", SOUNDS)
@pytest.mark.parametrize(
    ("n_samples", "rate"), [(1, RATE), (300, RATE), (1_700, RATE), (45_000, RATE), (16_000, 8_000)]
)
def test_equal_librosas_own_calls(kind: str, n_samples: int, rate: int) -> None:
    """Clips shorter than a frame too, of 1 and of 4 hops."""
    waveform = sound(kind, n_samples, rate)
    features = handmade_features(waveform, rate)
    assert features.dtype == np.float64
    assert features.shape == (len(HANDMADE),) == (57,)
    np.testing.assert_allclose(features, by_librosa(waveform, rate), rtol=1e-6, atol=0)


def test_the_names_stand_where_their_values_do() -> None:
    """As in GTZAN's public feature tables."""
    assert HANDMADE[:4] == ("chroma_stft_mean", "chroma_stft_var", "rms_mean", "rms_var")
    assert HANDMADE[12:18] == ("harmony_mean", "harmony_var", "perceptr_mean", "perceptr_var", "tempo", "mfcc1_mean")
    assert HANDMADE[-2:] == ("mfcc20_mean", "mfcc20_var")
    told = dict(zip(HANDMADE, handmade_features(sound("tone", 3 * RATE), RATE), strict=True))
    assert told["spectral_centroid_mean"] == pytest.approx(440, rel=0.1)
    assert told["rms_mean"] == pytest.approx(0.5 / 2**0.5, rel=0.02)
    assert told["zero_crossing_rate_mean"] == pytest.approx(2 * 440 / RATE, rel=0.02)
    assert told["harmony_var"] > 100 * told["perceptr_var"]
    clicks = np.zeros(8 * RATE, np.float32)
    clicks[:: RATE // 2] = 0.9
    told = dict(zip(HANDMADE, handmade_features(clicks, RATE), strict=True))
    assert told["tempo"] == pytest.approx(120, rel=0.05)
    assert told["perceptr_var"] > 100 * told["harmony_var"]


@pytest.mark.parametrize("n_samples", [2, 512, 1_023, 1_024, 1_535])
@pytest.mark.parametrize("kind", SOUNDS)
def test_all_is_finite(kind: str, n_samples: int) -> None:
    """Of 2 or 3 frames, librosa's harmony and perceptr are NaN at times."""
    assert np.isfinite(handmade_features(sound(kind, n_samples), RATE)).all()


@pytest.mark.parametrize("columns", [1, 2, 3, 31, 40])
def test_running_median(columns: int) -> None:
    values = np.random.default_rng(columns).random((7, columns), np.float32)
    mirrored = np.pad(values, ((0, 0), (15, 15)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, 31, axis=1)
    np.testing.assert_array_equal(running_median(values), np.median(windows, axis=-1))


@pytest.mark.parametrize("waveform", [np.zeros(0), np.zeros((2, 9)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_what_is_no_waveform_is_refused(waveform: np.ndarray) -> None:
    with pytest.raises(InputError, match="hand-made features need a waveform"):
        handmade_features(waveform.astype(np.float32), RATE)

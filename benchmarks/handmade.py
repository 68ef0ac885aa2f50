"""The hand-made features, on one core: seconds of audio per CPU-second, against librosa's own calls made one by one.

python benchmarks/handmade.py
"""

import statistics
import warnings
from collections.abc import Callable

import librosa
import numpy as np
import numpy.typing as npt
from _bench import interleave, publish, ratio

from gmn.audio.handmade import handmade_features

RATE = 22050
ROUNDS = 5
SECONDS = (3, 30)


def by_librosa(y: npt.NDArray[np.float32]) -> None:
    """Make the calls as people write them; each computes its own spectrum."""
    librosa.feature.chroma_stft(y=y, sr=RATE)
    librosa.feature.rms(y=y)
    librosa.feature.spectral_centroid(y=y, sr=RATE)
    librosa.feature.spectral_bandwidth(y=y, sr=RATE)
    librosa.feature.spectral_rolloff(y=y, sr=RATE)
    librosa.feature.zero_crossing_rate(y)
    librosa.effects.hpss(y)
    librosa.feature.tempo(y=y, sr=RATE)
    librosa.feature.mfcc(y=y, sr=RATE)


def main() -> None:
    """Measure noise of some lengths; what it sounds like changes nothing of the work."""
    warnings.simplefilter("ignore", UserWarning)
    candidates: dict[str, Callable[[], float]] = {}
    for seconds in SECONDS:
        y = 0.1 * np.random.default_rng(0).standard_normal(seconds * RATE).astype(np.float32)
        for name, way in (("librosa", by_librosa), ("gmn", lambda y: handmade_features(y, RATE))):

            def run(way: Callable[..., object] = way, y: npt.NDArray[np.float32] = y) -> float:
                way(y)
                return len(y) / RATE

            candidates[f"{name}, {seconds} s"] = run
    rates = interleave(candidates, ROUNDS)
    publish(
        "handmade",
        {
            "unit": "seconds of audio at 22,050 Hz per CPU-second, one core",
            "medians": {name: round(statistics.median(values), 1) for name, values in rates.items()},
            "ratios": {f"{s} s": ratio(rates, f"gmn, {s} s", f"librosa, {s} s") for s in SECONDS},
        },
    )


if __name__ == "__main__":
    main()

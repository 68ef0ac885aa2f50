"""Drums out of sine sweeps and filtered noise. Shapes: [N] the samples of a stroke."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Drum:
    """A sweeping sine (the skin) and a band of noise (wires, metal, hands)."""

    seconds: float
    """Length of the stroke."""
    skin: float = 0.0
    """Level of the sine."""
    pitch: tuple[float, float] = (100.0, 100.0)
    """The sine's frequency at the stroke and after it."""
    skin_decay: float = 0.1
    """Seconds in which the sine falls to 1/e."""
    noise: float = 0.0
    """Level of the noise."""
    band: tuple[float, float] = (1000.0, 8000.0)
    """Edges of the noise in Hz."""
    noise_decay: float = 0.05
    """Seconds in which the noise falls to 1/e."""
    slaps: int = 1
    """Bursts of noise, 11 ms apart."""


DRUMS: dict[str, Drum] = {
    "kick": Drum(0.4, skin=3.0, pitch=(150, 48), skin_decay=0.12, noise=0.4, band=(500, 4000), noise_decay=0.006),
    "boom": Drum(0.5, skin=3.4, pitch=(190, 46), skin_decay=0.18, noise=0.3, band=(1500, 6000), noise_decay=0.004),
    "snare": Drum(0.3, skin=0.9, pitch=(240, 180), skin_decay=0.06, noise=2.0, band=(700, 9000), noise_decay=0.1),
    "clap": Drum(0.25, noise=1.6, band=(900, 4500), noise_decay=0.05, slaps=3),
    "hat": Drum(0.1, noise=1.0, band=(7500, 12000), noise_decay=0.02),
    "hi_hat": Drum(0.2, noise=0.9, band=(3500, 9000), noise_decay=0.045),
    "open_hat": Drum(0.3, noise=1.3, band=(7500, 12000), noise_decay=0.09),
    "ride": Drum(0.5, noise=0.7, band=(3000, 8000), noise_decay=0.16),
    "brush": Drum(0.25, noise=0.7, band=(1500, 8000), noise_decay=0.07),
    "tom": Drum(0.4, skin=2.2, pitch=(170, 110), skin_decay=0.14, noise=0.2, band=(300, 3000), noise_decay=0.02),
    "timpani": Drum(1.2, skin=2.2, pitch=(92, 86), skin_decay=0.45, noise=0.3, band=(100, 900), noise_decay=0.05),
}


def strike(drum: Drum, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Strike a drum once at full velocity; its tuning and its decay differ from set to set.

    Args:
        drum: what is struck.
        sample_rate: in Hz; noise above half of it is left out.
        rng: tuning, decay and noise.

    Returns:
        The samples, [N].
    """
    n_samples = int(drum.seconds * sample_rate)
    time = np.arange(n_samples) / sample_rate
    tuning, dryness = rng.uniform(0.85, 1.18), rng.uniform(0.75, 1.35)
    high, low = (tuning * hertz for hertz in drum.pitch)
    phase = low * time + (high - low) * 0.03 * (1 - np.exp(-time / 0.03))
    skin = drum.skin * np.sin(2 * np.pi * phase) * np.exp(-time / (dryness * drum.skin_decay))

    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    hertz = np.fft.rfftfreq(n_samples, 1 / sample_rate)
    edges = tuning * np.array(drum.band)
    spectrum *= 1 / (1 + (edges[0] / np.maximum(hertz, 1.0)) ** 6) / (1 + (hertz / edges[1]) ** 6)
    noise = np.fft.irfft(spectrum, n_samples)
    noise *= 1 / (np.std(noise) + 1e-9)
    envelope = np.zeros(n_samples)
    for slap in range(drum.slaps):
        since = time - 0.011 * slap
        envelope = np.where(since >= 0, np.exp(-np.maximum(since, 0) / (dryness * drum.noise_decay)), envelope)
    return (skin + drum.noise * noise * envelope) * np.minimum((drum.seconds - time) / 0.02, 1.0)

"""Training examples of a classifier: crops of log-mel spectrograms, louder or softer, with masks.

Shapes: M mel bands, N frames, K labels of all heads.
"""

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from gmn.audio.features import LogMel
from gmn.datasets.dataset import SegmentReader
from gmn.models.classifier import Heads
from gmn.training.labelled import targets_of

if TYPE_CHECKING:
    from gmn.training.classifier import ClassifierSettings


class Crops:
    """Draws examples from training segments; keeps every spectrogram that it computed, as float16."""

    def __init__(
        self, train: SegmentReader, heads: Heads, settings: "ClassifierSettings", log_mel: LogMel, device: torch.device
    ) -> None:
        self._train, self._heads, self._settings = train, heads, settings
        self._log_mel, self._device, self._hop = log_mel, device, log_mel.config.hop_length
        self._frames = max(8, round(settings.crop_seconds * log_mel.config.sample_rate / self._hop))
        self._spectrograms: dict[tuple[str, int], npt.NDArray[np.float16]] = {}
        self._segments = self._by_genre()
        self._mean, self._std = self._fit_bands()

    @property
    def bands(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of each band over the training segments, [M] each."""
        return torch.from_numpy(self._mean[:, 0]), torch.from_numpy(self._std[:, 0])

    def example(
        self, step: int, item: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Draw a crop [M, N], its targets [K] and a weight for each head, by (seed, step, item) alone.

        Genres are drawn evenly. A head that the track has no label for has weight 0.
        """
        rng = np.random.default_rng([self._settings.seed, step, item])
        reader = self._train
        choices = self._segments[int(rng.integers(len(self._segments)))]
        index = int(rng.choice(choices))
        track = reader.segments[index].track
        spectrogram = self.spectrogram(reader, index)
        spare = spectrogram.shape[1] - self._frames
        start = int(rng.integers(max(1, spare + 1)))
        cut = np.pad(spectrogram[:, start : start + self._frames], ((0, 0), (0, max(0, -spare))), mode="edge")
        gain = float(rng.uniform(-1, 1)) * self._settings.gain_db * np.log(10) / 10
        crop = self.standardise(cut, gain)
        for axis, size in enumerate(crop.shape):
            width = int(rng.integers(int(size * self._settings.mask_share) + 1))
            at = int(rng.integers(size - width + 1))
            np.moveaxis(crop, axis, 0)[at : at + width] = 0
        return crop, *targets_of(track, self._heads)

    def _by_genre(self) -> list[list[int]]:
        """Group the training segments by genre, leaving out a track's short last one where it has others."""
        groups: dict[str | None, list[int]] = defaultdict(list)
        segments = self._train.segments
        # Where whole segments are shorter than a crop, they are all there is.
        enough = min(self._frames * self._hop, max(segment.n_samples for segment in segments))
        for index, segment in enumerate(segments):
            if segment.index == 0 or segment.n_samples >= enough:
                groups[segment.track.genre].append(index)
        return list(groups.values())

    def spectrogram(self, reader: SegmentReader, index: int) -> npt.NDArray[np.float16]:
        """Return the log-mel [M, N] of a segment, computed once."""
        segment = reader.segments[index]
        key = (segment.track.track_id, segment.index)
        if key not in self._spectrograms:
            waveform = torch.from_numpy(reader.pcm(index).astype(np.float32) / 32768)
            with torch.autocast(self._device.type, enabled=False):
                log_mel = self._log_mel(waveform[None].to(self._device))[0]
            self._spectrograms[key] = log_mel.cpu().numpy().astype(np.float16)
        return self._spectrograms[key]

    def standardise(self, log_mel: npt.NDArray[np.float16], gain: float) -> npt.NDArray[np.float32]:
        """Add a gain in nats of power and standardise each band over the training tracks."""
        return (log_mel.astype(np.float32) + np.float32(gain) - self._mean) / self._std

    def _fit_bands(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Take each band's mean and deviation [M, 1] from up to 256 training segments."""
        reader = self._train
        picked = sorted({int(i) for i in np.linspace(0, len(reader) - 1, 256)})
        frames = np.concatenate([self.spectrogram(reader, i) for i in picked], axis=1).astype(np.float32)
        return frames.mean(1, keepdims=True), frames.std(1, keepdims=True) + np.float32(1e-3)

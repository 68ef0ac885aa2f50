"""Training a classifier: random crops of log-mel spectrograms, mixed, masked, louder or softer; judged by track."""

from collections import defaultdict
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gmn.config import Config
from gmn.datasets.dataset import Dataset, SegmentReader, Track
from gmn.datasets.labels import GEMS
from gmn.datasets.schemas import SPLITS
from gmn.errors import InputError
from gmn.metrics.agreement import accuracy, confusion, macro_f1, pearson, wilson_interval
from gmn.models.conditioning import Conditions
from gmn.models.resnet import ResNet, ResNetConfig
from gmn.training.loop import FitSettings


class ResNetSettings(Config):
    """A ResNet and how it is trained."""

    kind: Literal["resnet"] = "resnet"
    """The model to train."""
    head: Literal["genre", "emotion"] = "genre"
    """genre: one of the dataset's genres; emotion: the nine GEMS rates."""
    model: ResNetConfig = ResNetConfig()
    """The network's shape."""
    fit: FitSettings = FitSettings(batch_size=32, learning_rate=2e-3, weight_decay=0.03, ema_decay=0.995)
    """How it is fitted."""
    crop_seconds: float = Field(3.0, gt=0)
    """Length of a training example."""
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    """Share of a genre target spread over all genres."""
    mixup: float = Field(0.3, ge=0)
    """Alpha of mixup's Beta distribution (Zhang et al. 2018); 0 turns it off."""
    gain_db: float = Field(6.0, ge=0)
    """Examples are made louder or softer by up to this."""
    mask_share: float = Field(0.15, ge=0, lt=1)
    """Widest mask over bands, and over frames (Park et al. 2019, SpecAugment), as a share of the axis."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Decides the first weights and every draw."""


def open_readers(dataset: Dataset, head: str) -> dict[str, SegmentReader]:
    """Open the segments of each split's labelled tracks.

    Raises InputError where no track has a label for this head, there is but one genre, or a split has no track; and
    for emotion, where it has but one, which has no correlation.
    """
    labelled = {track.track_id for track in dataset.tracks if _label(track, head) is not None}
    if not labelled:
        raise InputError(f"dataset {dataset.folder}: no track has a label for head={head}")
    if head == "genre" and len(dataset.genres) < 2:
        raise InputError(f"dataset {dataset.folder}: one genre only ({dataset.genres[0]}), nothing to tell apart")
    readers = {split: dataset.segments(split, labelled) for split in SPLITS}
    for split, reader in readers.items():
        if head == "emotion" and len({segment.track.track_id for segment in reader.segments}) < 2:
            raise InputError(f"dataset {dataset.folder}: one {split} track with emotions only; head=emotion needs two")
    return readers


class ClassifierTask:
    """A ResNet with the data that it learns from."""

    def __init__(self, dataset: Dataset, settings: ResNetSettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.labels = dataset.genres if settings.head == "genre" else GEMS
        self.readers = open_readers(dataset, settings.head)
        tracks = {segment.track.track_id: segment.track for segment in self.readers["train"].segments}
        self.conditions = Conditions.fit(dataset.genres, [(t.genre, t.emotion) for t in tracks.values()])
        torch.manual_seed(settings.seed)
        self.model = ResNet(settings.model, dataset.sample_rate, len(self.labels), settings.head == "genre").to(device)
        self._frames = max(8, round(settings.crop_seconds * dataset.sample_rate / settings.model.hop_length))
        self._spectrograms: dict[tuple[str, int], npt.NDArray[np.float16]] = {}
        self._segments = self._by_class()
        self._fit_bands()

    @property
    def matrices(self) -> list[Tensor]:
        """None: AdamW moves all."""
        return []

    def loss(self, step: int, rank: int, world: int) -> Tensor:
        """Return the mean cross-entropy over this worker's crops of the step."""
        examples = [self._example(step, i) for i in range(rank, self.settings.fit.batch_size, world)]
        crops = torch.from_numpy(np.stack([crop for crop, _, _ in examples])).to(self.device)
        targets = torch.from_numpy(np.stack([target for _, target, _ in examples])).to(self.device)
        weights = torch.tensor([weight for _, _, weight in examples], device=self.device)
        if self.settings.mixup:
            rng = np.random.default_rng([self.settings.seed, step, 1 << 20, rank])
            share = float(rng.beta(self.settings.mixup, self.settings.mixup))
            crops = share * crops + (1 - share) * crops.flip(0)
            targets = share * targets + (1 - share) * targets.flip(0)
            weights = share * weights + (1 - share) * weights.flip(0)
        logits = self.model.logits(crops).float()
        if self.settings.head == "genre":
            return F.cross_entropy(logits, targets, label_smoothing=self.settings.label_smoothing)
        each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
        return (each * weights).sum() / weights.sum()

    def evaluate(self, model: nn.Module, split: str) -> dict[str, Any]:
        """Judge the tracks of a split, each by the mean over its segments.

        Genre: `accuracy`, with its 95 % interval, `macro_f1`, `confusion` [asked, heard]. Emotion: `mean_r`, the mean
        of Pearson's r over the nine rates, and each `r`.
        """
        assert isinstance(model, ResNet)
        tracks, predicted = self._judge(model, self.readers[split])
        if self.settings.head == "emotion":
            r = pearson(np.array([_label(track, "emotion") for track in tracks]), predicted)
            known = r[np.isfinite(r)]
            mean_r = float(known.mean()) if len(known) else 0.0
            each = {name: round(float(value), 4) for name, value in zip(GEMS, r, strict=True) if np.isfinite(value)}
            return {"mean_r": mean_r, "r": each, "tracks": len(tracks)}
        target = np.array([self.labels.index(str(track.genre)) for track in tracks])
        heard = predicted.argmax(1)
        return {
            "accuracy": float(accuracy(target, heard)),
            "interval": list(wilson_interval(int((target == heard).sum()), len(target))),
            "macro_f1": float(macro_f1(target, heard, len(self.labels))),
            "majority": float(np.bincount(target).max() / len(target)),
            "confusion": confusion(target, heard, len(self.labels)).tolist(),
            "tracks": len(tracks),
        }

    @torch.no_grad()
    def _judge(self, model: ResNet, reader: SegmentReader) -> tuple[list[Track], npt.NDArray[np.float32]]:
        total: dict[str, npt.NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(self.labels)))
        samples: dict[str, int] = defaultdict(int)
        tracks = {}
        for index, segment in enumerate(reader.segments):
            spectrogram = self._standardise(self._spectrogram(reader, index), 0.0)
            logits = model.logits(torch.from_numpy(spectrogram)[None].to(self.device))
            total[segment.track.track_id] += model.probabilities(logits)[0].cpu().numpy() * segment.n_samples
            samples[segment.track.track_id] += segment.n_samples
            tracks[segment.track.track_id] = segment.track
        return list(tracks.values()), np.array([total[name] / samples[name] for name in tracks], np.float32)

    def _example(self, step: int, item: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], float]:
        """Draw a crop [M, N], its target and its weight, by (seed, step, item) alone; genres are drawn evenly."""
        rng = np.random.default_rng([self.settings.seed, step, item])
        reader = self.readers["train"]
        choices = self._segments[int(rng.integers(len(self._segments)))]
        index = int(rng.choice(choices))
        track = reader.segments[index].track
        spectrogram = self._spectrogram(reader, index)
        spare = spectrogram.shape[1] - self._frames
        start = int(rng.integers(max(1, spare + 1)))
        cut = np.pad(spectrogram[:, start : start + self._frames], ((0, 0), (0, max(0, -spare))), mode="edge")
        gain = float(rng.uniform(-1, 1)) * self.settings.gain_db * np.log(10) / 10
        crop = self._standardise(cut, gain)
        for axis, size in enumerate(crop.shape):
            width = int(rng.integers(int(size * self.settings.mask_share) + 1))
            at = int(rng.integers(size - width + 1))
            np.moveaxis(crop, axis, 0)[at : at + width] = 0
        if self.settings.head == "genre":
            return crop, np.eye(len(self.labels), dtype=np.float32)[self.labels.index(str(track.genre))], 1.0
        return crop, np.array(track.emotion, np.float32), float(track.n_annotators or 1) ** 0.5

    def _by_class(self) -> list[list[int]]:
        """Group the training segments by genre, leaving out a track's short last one where it has others."""
        groups: dict[str | None, list[int]] = defaultdict(list)
        segments = self.readers["train"].segments
        # Where whole segments are shorter than a crop, they are all there is.
        enough = min(self._frames * self.settings.model.hop_length, max(segment.n_samples for segment in segments))
        for index, segment in enumerate(segments):
            if segment.index == 0 or segment.n_samples >= enough:
                groups[segment.track.genre].append(index)
        return list(groups.values())

    def _spectrogram(self, reader: SegmentReader, index: int) -> npt.NDArray[np.float16]:
        """Return the log-mel [M, N] of a segment, computed once."""
        segment = reader.segments[index]
        key = (segment.track.track_id, segment.index)
        if key not in self._spectrograms:
            waveform = torch.from_numpy(reader.pcm(index).astype(np.float32) / 32768)
            with torch.autocast(self.device.type, enabled=False):
                log_mel = self.model.log_mel(waveform[None].to(self.device))[0]
            self._spectrograms[key] = log_mel.cpu().numpy().astype(np.float16)
        return self._spectrograms[key]

    def _standardise(self, log_mel: npt.NDArray[np.float16], gain: float) -> npt.NDArray[np.float32]:
        """Add a gain in nats of power and standardise each band over the training tracks."""
        return (log_mel.astype(np.float32) + np.float32(gain) - self._mean) / self._std

    def _fit_bands(self) -> None:
        """Take each band's mean and deviation from up to 256 training segments; the model keeps them."""
        reader = self.readers["train"]
        picked = sorted({int(i) for i in np.linspace(0, len(reader) - 1, 256)})
        frames = np.concatenate([self._spectrogram(reader, i) for i in picked], axis=1).astype(np.float32)
        self._mean, self._std = frames.mean(1, keepdims=True), frames.std(1, keepdims=True) + 1e-3
        self.model.band_mean.copy_(torch.from_numpy(self._mean[:, 0]))
        self.model.band_std.copy_(torch.from_numpy(self._std[:, 0]))


def _label(track: Track, head: str) -> str | tuple[float, ...] | None:
    return track.genre if head == "genre" else track.emotion

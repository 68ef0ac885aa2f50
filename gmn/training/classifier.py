"""Training a classifier: random crops of log-mel spectrograms, mixed, masked, louder or softer; judged by track."""

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from gmn.config import Config
from gmn.datasets.dataset import Dataset, SegmentReader, Track
from gmn.models.classifier import Head, Heads, SpectrogramClassifier, head_loss
from gmn.models.cnn import CNN, CNNConfig
from gmn.models.conditioning import Conditions
from gmn.models.resnet import ResNet, ResNetConfig
from gmn.training.crops import Crops
from gmn.training.first_weights import read_first_weights, take_first_weights
from gmn.training.labelled import Predictions, choose_heads, judge_tracks, open_readers
from gmn.training.loop import Fit, FitSettings


class ClassifierSettings(Config):
    """How a network that hears spectrograms is trained."""

    heads: tuple[Head, ...] | None = Field(None, min_length=1)
    """What it tells: genre, one of the dataset's; emotion, the nine GEMS rates. None: all that there are labels for."""
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


class ResNetSettings(ClassifierSettings):
    """A ResNet and how it is trained."""

    kind: Literal["resnet"] = "resnet"
    """The model to train."""
    model: ResNetConfig = ResNetConfig()
    """The network's shape."""
    init: str | None = None
    """First weights: a .pth file with a state dict of torchvision's names, such as ResNet-18's, for the standard layout
    (model.blocks=2 model.widths=64,128,256,512). Only tensors are read from it, never code."""

    def make_model(self, sample_rate: int, heads: Heads) -> ResNet:
        """Return the network with first weights.

        Raises InputError where `init` does not fit.
        """
        model = ResNet(self.model, sample_rate, heads)
        if self.init is not None:
            take_first_weights(model, read_first_weights(self.init), self.init)
        return model


class CNNSettings(ClassifierSettings):
    """A plain convolutional network and how it is trained."""

    kind: Literal["cnn"] = "cnn"
    """The model to train."""
    model: CNNConfig = CNNConfig()
    """The network's shape."""

    def make_model(self, sample_rate: int, heads: Heads) -> CNN:
        """Return the network with first weights."""
        return CNN(self.model, sample_rate, heads)


class ClassifierTask:
    """A network with the data that it learns from."""

    def __init__(
        self,
        dataset: Dataset,
        settings: ResNetSettings | CNNSettings,
        device: torch.device,
        readers: Mapping[str, SegmentReader] | None = None,
    ) -> None:
        """`readers` has the segments of each split; none: those of the dataset's own splits."""
        self.settings, self.device = settings, device
        self.heads = choose_heads(dataset, settings.heads)
        self.readers = readers or open_readers(dataset, settings.heads)
        tracks = {segment.track.track_id: segment.track for segment in self.readers["train"].segments}
        self.conditions = Conditions.fit(dataset.genres, [(t.genre, t.emotion) for t in tracks.values()])
        torch.manual_seed(settings.seed)
        self.model = settings.make_model(dataset.sample_rate, self.heads).to(device)
        self.crops = Crops(self.readers["train"], self.heads, settings, self.model.log_mel, device)
        self.model.band_mean, self.model.band_std = (band.to(device) for band in self.crops.bands)

    @property
    def objective(self) -> str:
        """The sum of the heads' cross-entropies."""
        return "loss"

    @property
    def matrices(self) -> list[Tensor]:
        """None: AdamW moves all."""
        return []

    def loss(self, step: int, rank: int, world: int) -> Tensor:
        """Return the sum over heads of the mean cross-entropy over this worker's crops of the step."""
        examples = [self.crops.example(step, i) for i in range(rank, self.settings.fit.batch_size, world)]
        crops, targets, weights = (
            torch.from_numpy(np.stack(column)).to(self.device) for column in zip(*examples, strict=True)
        )
        if self.settings.mixup:
            rng = np.random.default_rng([self.settings.seed, step, 1 << 20, rank])
            share = float(rng.beta(self.settings.mixup, self.settings.mixup))
            crops, targets = (share * x + (1 - share) * x.flip(0) for x in (crops, targets))
            # An example of which one half has no label for a head says nothing about that head.
            both = (weights > 0) & (weights.flip(0) > 0)
            weights = (share * weights + (1 - share) * weights.flip(0)) * both
        logits = self.model.by_head(self.model.logits(crops))
        parts = self.model.by_head(targets)
        total = torch.zeros((), device=self.device)
        for column, head in enumerate(self.heads):
            each = head_loss(head, logits[head], parts[head], self.settings.label_smoothing).mean(0)
            total = total + (each * weights[:, column]).sum() / weights[:, column].sum().clamp(min=1e-6)
        return total

    def evaluate(self, model: nn.Module, split: str) -> dict[str, Any]:
        """Judge the tracks of a split, each by the mean over its segments.

        Test: the figures of each head, from `judge_genres` and `judge_rates`. Validation: `loss`, the sum of the heads'
        cross-entropies in nats, and the one figure of each head that people look at.
        """
        judged = judge_tracks(*self.predict(model, split), self.heads)
        if split == "test":
            return judged
        values = {"loss": sum(found["log_loss"] for found in judged.values())}
        main = {"genre": "accuracy", "emotion": "mean_r"}
        return values | {f"{head}_{main[head]}": found[main[head]] for head, found in judged.items()}

    def calibrate(self, model: SpectrogramClassifier) -> dict[str, float]:
        """Find the temperature of each head that makes the validation tracks likeliest (Guo et al. 2017)."""
        tracks, logits, samples = self._listen(model, "validation")

        def loss(head: str, log_temperature: float) -> float:
            temperatures = dict.fromkeys(self.heads, 1.0) | {head: float(np.exp(log_temperature))}
            predictions = self._average(logits, samples, temperatures)
            return float(judge_tracks(tracks, predictions, self.heads)[head]["log_loss"])

        return {
            head: float(np.exp(minimize_scalar(lambda t, head=head: loss(head, t), bounds=(-1.5, 1.5)).x))
            for head in self.heads
        }

    def predict(self, model: nn.Module, split: str) -> tuple[list[Track], Predictions]:
        """Return a split's tracks and each head's probabilities for them, [N, labels]: the mean over their segments."""
        tracks, logits, samples = self._listen(model, split)
        return tracks, self._average(logits, samples, dict.fromkeys(self.heads, 1.0))

    def check_bf16(self, model: SpectrogramClassifier) -> dict[str, Any]:
        """Say what bfloat16 changes of what is heard in the test tracks.

        Returns their number `tracks`, of how many each head's top label is `changed`, and the `largest` change of a
        probability.
        """
        rough = copy.deepcopy(model)
        rough.members.bfloat16()
        (tracks, exact), (_, near) = self.predict(model, "test"), self.predict(rough, "test")
        changed = {}
        for head in self.heads:
            tops = [
                [int(self.conditions.standing(head, row).argmax()) for row in heard[head]] for heard in (exact, near)
            ]
            changed[head] = sum(a != b for a, b in zip(*tops, strict=True))
        largest = max(float(np.abs(exact[head] - near[head]).max()) for head in self.heads)
        return {"tracks": len(tracks), "changed": changed, "largest": largest}

    @torch.no_grad()
    def _listen(self, model: nn.Module, split: str) -> tuple[list[Track], list[Tensor], list[Tensor]]:
        """Return a split's tracks, and the logits [E, segments, K] and lengths [segments] of each one's segments."""
        assert isinstance(model, SpectrogramClassifier)
        reader = self.readers[split]
        logits, samples = defaultdict(list), defaultdict(list)
        tracks = {segment.track.track_id: segment.track for segment in reader.segments}
        for index, segment in enumerate(reader.segments):
            spectrogram = self.crops.standardise(self.crops.spectrogram(reader, index), 0.0)
            heard = model.logits(torch.from_numpy(spectrogram)[None].to(self.device))
            logits[segment.track.track_id].append(heard.cpu())
            samples[segment.track.track_id].append(float(segment.n_samples))
        return (
            list(tracks.values()),
            [torch.cat(logits[name], dim=1) for name in tracks],
            [torch.tensor(samples[name]) for name in tracks],
        )

    def _average(self, logits: list[Tensor], samples: list[Tensor], temperatures: Mapping[str, float]) -> Predictions:
        of_track: dict[str, list[Tensor]] = defaultdict(list)
        for heard, lengths in zip(logits, samples, strict=True):
            cooled = [part / temperatures[head] for head, part in self.model.by_head(heard).items()]
            for head, probabilities in self.model.probabilities(torch.cat(cooled, dim=-1)).items():
                of_track[head].append((lengths / lengths.sum()) @ probabilities)
        return {head: torch.stack(rows).double().numpy() for head, rows in of_track.items()}


def fit_and_predict(
    dataset: Dataset,
    settings: ResNetSettings | CNNSettings,
    readers: Mapping[str, SegmentReader],
    tick: Callable[[int], None] = lambda step: None,
) -> tuple[list[Track], Predictions]:
    """Train in this process alone and return what the calibrated network predicts for the test tracks."""
    task = ClassifierTask(dataset, settings, torch.device("cpu"), readers)
    fit = Fit(task, settings.fit, settings.seed)
    fit.run(tick=tick)
    model = fit.kept
    assert isinstance(model, SpectrogramClassifier)
    model.divide_logits(task.calibrate(model))
    return task.predict(model, "test")

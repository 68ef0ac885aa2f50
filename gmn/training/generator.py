"""Training a generator of raw audio: random windows, cross-entropy in bits, conditions dropped now and then."""

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gmn.audio.mulaw import encode_pcm16
from gmn.config import Config
from gmn.datasets.dataset import Dataset, SegmentReader
from gmn.datasets.schemas import SPLITS
from gmn.models.classifier import Heads
from gmn.models.conditioning import Conditions
from gmn.models.lstm import LSTM, LSTMConfig
from gmn.models.wavenet import WaveNet, WaveNetConfig
from gmn.training.held_out import held_out_windows, judge, mean_bits
from gmn.training.loop import FitSettings

Codes = npt.NDArray[np.uint8]


class GeneratorSettings(Config):
    """How a generator of any kind is trained."""

    fit: FitSettings = FitSettings(batch_size=8, learning_rate=4e-3)
    """How it is fitted."""
    window_samples: int = Field(2048, ge=2)
    """Targets in a training window, every one of which counts."""
    condition_dropout: float = Field(0.1, ge=0, le=1)
    """Share of windows, for genre and for emotion apart, that are trained without the condition."""
    evaluation_windows: int = Field(64, ge=1)
    """Windows of 4,096 samples that a validation takes, spread over the tracks; a test takes four times as many."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Decides the first weights and every draw."""


class WaveNetSettings(GeneratorSettings):
    """A WaveNet and how it is trained."""

    kind: Literal["wavenet"] = "wavenet"
    """The model to train."""
    model: WaveNetConfig = WaveNetConfig()
    """The network's shape."""

    def make_model(self, condition_size: int) -> WaveNet:
        """Return the network with first weights."""
        return WaveNet(self.model, condition_size)


class LSTMSettings(GeneratorSettings):
    """An LSTM and how it is trained."""

    kind: Literal["lstm"] = "lstm"
    """The model to train."""
    model: LSTMConfig = LSTMConfig()
    """The network's shape."""

    def make_model(self, condition_size: int) -> LSTM:
        """Return the network with first weights."""
        return LSTM(self.model, condition_size)


def open_readers(dataset: Dataset) -> dict[str, SegmentReader]:
    """Open the segments of each split.

    Raises InputError where a split has none.
    """
    return {split: dataset.segments(split) for split in SPLITS}


class GeneratorTask:
    """A generator with the data that it learns from."""

    def __init__(self, dataset: Dataset, settings: WaveNetSettings | LSTMSettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.readers = open_readers(dataset)
        tracks = {segment.track.track_id: segment.track for segment in self.readers["train"].segments}
        self.conditions = Conditions.fit(dataset.genres, [(t.genre, t.emotion) for t in tracks.values()])
        torch.manual_seed(settings.seed)
        self.model = settings.make_model(self.conditions.size).to(device)
        lengths = np.array([segment.n_samples for segment in self.readers["train"].segments], np.float64)
        self._odds = np.cumsum(lengths) / lengths.sum()

    @property
    def objective(self) -> str:
        """Bits per sample."""
        return "bits"

    @property
    def heads(self) -> Heads:
        """None: a generator tells nothing."""
        return {}

    @property
    def matrices(self) -> list[Tensor]:
        """The WaveNet's weights between layers; of an LSTM none."""
        return self.model.matrices() if isinstance(self.model, WaveNet) else []

    def loss(self, step: int, rank: int, world: int) -> Tensor:
        """Return the mean bits per sample over this worker's windows of the step."""
        examples = [self._example(step, i) for i in range(rank, self.settings.fit.batch_size, world)]
        codes = torch.from_numpy(np.stack([codes for codes, _ in examples])).to(self.device, torch.long)
        conditions = torch.from_numpy(np.stack([condition for _, condition in examples])).to(self.device)
        logits = self.model(codes[:, :-1], conditions)
        return F.cross_entropy(logits.transpose(0, 1).flatten(0, 1), codes[:, 1:].T.flatten()) / math.log(2)

    def evaluate(self, model: nn.Module, split: str) -> dict[str, Any]:
        """Return the bits per sample of the validation split, and all that `held_out.judge` says of the test split."""
        count = self.settings.evaluation_windows * (4 if split == "test" else 1)
        windows = held_out_windows(self.readers[split], count, self.settings.model.context_samples)
        if split != "test":
            return {"bits": mean_bits(model, windows, self.conditions)}
        return judge(model, windows, self.readers["train"], self.conditions, self.settings.seed)

    def _example(self, step: int, item: int) -> tuple[Codes, npt.NDArray[np.float32]]:
        """Draw the window and condition of one example, by (seed, step, item) alone."""
        rng = np.random.default_rng([self.settings.seed, step, item])
        reader, length = self.readers["train"], self.settings.window_samples + 1
        index = int(np.searchsorted(self._odds, rng.random(), side="right"))
        pcm = reader.pcm(index)
        start = int(rng.integers(max(1, len(pcm) - length + 1)))
        codes = encode_pcm16(pcm[start : start + length])
        # The end of a track may be shorter than a window: silence follows it.
        codes = np.pad(codes, (0, length - len(codes)), constant_values=int(encode_pcm16(np.zeros(1, np.int16))[0]))
        track = reader.segments[index].track
        keep = rng.random(2) >= self.settings.condition_dropout
        genre, emotion = track.genre if keep[0] else None, track.emotion if keep[1] else None
        return codes, self.conditions.vector(genre, emotion)

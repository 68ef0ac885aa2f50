"""Training a generator of raw audio: random windows, cross-entropy in bits, conditions dropped now and then."""

import math
from collections import defaultdict
from collections.abc import Iterator
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
from gmn.metrics.bits import NGramLadder, verdict
from gmn.models.conditioning import Conditions
from gmn.models.lstm import LSTM, LSTMConfig
from gmn.models.wavenet import WaveNet, WaveNetConfig
from gmn.training.loop import FitSettings

Codes = npt.NDArray[np.uint8]

LADDER_SAMPLES = 20_000_000
"""Training samples that the n-gram models are counted on, at most; spread evenly over the segments."""


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

    def loss(self, step: int, rank: int, world: int) -> Tensor:
        """Return the mean bits per sample over this worker's windows of the step."""
        examples = [self._example(step, i) for i in range(rank, self.settings.fit.batch_size, world)]
        codes = torch.from_numpy(np.stack([codes for codes, _ in examples])).to(self.device, torch.long)
        conditions = torch.from_numpy(np.stack([condition for _, condition in examples])).to(self.device)
        logits = self.model(codes[:, :-1], conditions)
        return F.cross_entropy(logits.flatten(0, 1), codes[:, 1:].flatten()) / math.log(2)

    def evaluate(self, model: nn.Module, split: str) -> dict[str, Any]:
        """Return the bits per sample of a split: the mean over its tracks of each track's own mean.

        The test split also gets the figures of the n-gram models, counted on the training tracks and judged on the very
        same samples, and the verdict.
        """
        of_track: dict[str, list[float]] = defaultdict(list)
        seen: dict[str, list[Codes]] = defaultdict(list)
        count = self.settings.evaluation_windows * (4 if split == "test" else 1)
        for track_id, codes, condition in self._evaluation_windows(self.readers[split], count):
            of_track[track_id].append(self._bits(model, codes, condition))
            seen[track_id].append(codes[self._warm(codes) :])
        bits = float(np.mean([np.mean(values) for values in of_track.values()]))
        if split != "test":
            return {"bits": bits}
        ladder_model = NGramLadder.fit(self._ladder_codes())
        per_track = [ladder_model.bits(windows) for windows in seen.values()]
        ladder = {name: float(np.mean([track[name] for track in per_track])) for name in per_track[0]}
        judged = verdict(bits, ladder)
        return {
            "bits": bits,
            "tracks": len(of_track),
            "ladder": ladder,
            "verdict": judged.word,
            "sentence": judged.sentence,
        }

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

    def _evaluation_windows(
        self, reader: SegmentReader, count: int
    ) -> Iterator[tuple[str, Codes, npt.NDArray[np.float32]]]:
        """Take windows evenly over a split, from the middle of segments."""
        length = self.settings.model.context_samples + 4096
        for index in sorted({int(i) for i in np.linspace(0, len(reader) - 1, count)}):
            track, pcm = reader.segments[index].track, reader.pcm(index)
            start = max(0, (len(pcm) - length) // 2)
            if len(pcm) > 1:
                condition = self.conditions.vector(track.genre, track.emotion)
                yield track.track_id, encode_pcm16(pcm[start : start + length]), condition

    def _warm(self, codes: Codes) -> int:
        """Return how many first samples are context only: the model's, or half of a very short window."""
        return min(self.settings.model.context_samples, len(codes) // 2)

    @torch.no_grad()
    def _bits(self, model: nn.Module, codes: Codes, condition: npt.NDArray[np.float32]) -> float:
        given = torch.from_numpy(codes).to(self.device, torch.long)[None]
        logits = model(given[:, :-1], torch.from_numpy(condition)[None].to(self.device))
        warm = self._warm(codes)
        return F.cross_entropy(logits[0, warm - 1 :].float(), given[0, warm:]).item() / math.log(2)

    def _ladder_codes(self) -> Iterator[Codes]:
        reader = self.readers["train"]
        each = max(2, LADDER_SAMPLES // len(reader))
        for index in range(len(reader)):
            yield encode_pcm16(reader.pcm(index)[:each])

"""A small residual network on log-mel spectrograms (He et al. 2016), for genre or for the nine GEMS rates.

Shapes: B clips, T samples, M mel bands, N frames, W channels.

    waveform [B, T] -> log-mel [B, M, N], standardised per band -> stem, one block a width, each halving M and N
    -> mean and maximum over both axes [B, 2 W] -> dropout -> logits [B, classes]

Departures from the paper: one block a width, and mean and maximum pooling side by side, which suit some hundred tracks.
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gmn.audio.features import LogMel, LogMelConfig
from gmn.config import Config


class ResNetConfig(Config):
    """The network's shape and the spectrogram that it sees."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field((24, 48, 72, 96), min_length=1)
    """Channels of each block."""
    dropout: float = Field(0.4, ge=0, lt=1)
    """Share of pooled features dropped in training."""
    n_fft: int = Field(1024, ge=16)
    """Samples in a spectrogram frame."""
    hop_length: int = Field(320, ge=1)
    """Samples from one frame to the next."""
    n_mels: int = Field(64, ge=8)
    """Mel bands."""
    window_seconds: float = Field(6.0, gt=0)
    """The longest stretch judged at once; longer audio is cut into such windows and their probabilities averaged."""


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm beside a shortcut, then half the bands and frames."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, W, M, N] to [B, W', M / 2, N / 2]; halving first makes the block four times cheaper."""
        x = F.max_pool2d(x, 2, ceil_mode=True)
        return F.relu(self.residual(x) + self.shortcut(x))


class ResNet(nn.Module):
    """The whole classifier; its classes exclude each other (softmax, genre) or do not (sigmoid, emotion)."""

    kind: Literal["resnet"] = "resnet"
    band_mean: Tensor
    band_std: Tensor

    def __init__(self, config: ResNetConfig, sample_rate: int, classes: int, softmax: bool) -> None:
        super().__init__()
        self.config = config
        self.softmax = softmax
        self.sample_rate = sample_rate
        self.log_mel = LogMel(
            LogMelConfig(sample_rate, n_fft=config.n_fft, hop_length=config.hop_length, n_mels=config.n_mels)
        )
        self.register_buffer("band_mean", torch.zeros(config.n_mels))
        self.register_buffer("band_std", torch.ones(config.n_mels))
        first = config.widths[0]
        self.stem = nn.Sequential(nn.Conv2d(1, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        self.blocks = nn.Sequential(
            *(Block(a, b) for a, b in zip((first, *config.widths), config.widths, strict=False))
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * config.widths[-1], classes)

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """Map a waveform [B, T] to its standardised log-mel [B, M, N]."""
        return (self.log_mel(waveform) - self.band_mean[:, None]) / self.band_std[:, None]

    def logits(self, spectrogram: Tensor) -> Tensor:
        """Map standardised log-mel [B, M, N] to logits [B, classes]."""
        x = self.blocks(self.stem(spectrogram[:, None]))
        return self.head(self.dropout(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)))

    def forward(self, waveform: Tensor) -> Tensor:
        """Map a waveform [B, T] at the model's sample rate, in [-1, 1], to logits [B, classes]."""
        return self.logits(self.spectrogram(waveform))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Map logits [B, classes] to probabilities."""
        return logits.float().softmax(-1) if self.softmax else logits.float().sigmoid()

    @torch.no_grad()
    def judge(self, waveform: Tensor) -> Tensor:
        """Map one waveform [T] of any length to probabilities [classes]: the mean over its windows, by their length."""
        windows = waveform.split(round(self.config.window_seconds * self.sample_rate))
        judged = torch.stack([self.probabilities(self(window[None]))[0] for window in windows])
        weights = torch.tensor([float(len(window)) for window in windows])
        return (weights / weights.sum()) @ judged

"""A small residual network on log-mel spectrograms (He et al. 2016), for genre and for the nine GEMS rates.

Shapes: B clips, M mel bands, N frames, W channels.

    log-mel [B, 1, M, N] -> stem, one block a width, each halving M and N -> mean and maximum over both axes [B, 2 W]
    -> dropout -> logits

Departures from the paper: one block a width, and mean and maximum pooling side by side, which suit some hundred tracks.
"""

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gmn.models.classifier import Heads, Pool, SpectrogramClassifier, SpectrogramConfig


class ResNetConfig(SpectrogramConfig):
    """The network's shape and the spectrogram that it sees."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field((24, 48, 72, 96), min_length=1)
    """Channels of each block."""


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


class ResNet(SpectrogramClassifier):
    """The whole classifier."""

    kind: Literal["resnet"] = "resnet"

    def __init__(self, config: ResNetConfig, sample_rate: int, heads: Heads) -> None:
        super().__init__(config, sample_rate, heads, lambda size: _Network(config, size))
        self.config = config


class _Network(nn.Module):
    def __init__(self, config: ResNetConfig, size: int) -> None:
        super().__init__()
        first = config.widths[0]
        self.stem = nn.Sequential(nn.Conv2d(1, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        self.blocks = nn.Sequential(
            *(Block(a, b) for a, b in zip((first, *config.widths), config.widths, strict=False))
        )
        self.pool = Pool()
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * config.widths[-1], size)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.pool(self.blocks(self.stem(x)))))

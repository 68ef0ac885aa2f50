"""Residual networks on log-mel spectrograms (He et al. 2016), for genre and for the nine GEMS rates.

Shapes: B clips, M mel bands, N frames, W channels.

    log-mel [B, 1, M, N] -> stem -> a stage a width -> mean and maximum over both axes [B, 2 W] -> dropout -> logits

Two layouts. The small one is for some hundred tracks: a 3 x 3 stem at full resolution, and one block a stage, which
halves bands and frames before it convolves. The standard one, of `blocks` a stage, is the paper's ResNet-18 as
torchvision has it, with the names of its parameters, so that weights trained elsewhere can be the first ones.
"""

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gmn.models.classifier import Heads, Pool, SpectrogramClassifier, SpectrogramConfig


class ResNetConfig(SpectrogramConfig):
    """The network's shape and the spectrogram that it sees."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field((16, 32, 64, 128), min_length=1)
    """Channels of each stage."""
    blocks: int | None = Field(None, ge=1)
    """Blocks in a stage of the standard layout: 2, with widths 64,128,256,512, is ResNet-18. None: the small layout."""


class ResNet(SpectrogramClassifier):
    """The whole classifier."""

    kind: Literal["resnet"] = "resnet"

    def __init__(self, config: ResNetConfig, sample_rate: int, heads: Heads) -> None:
        network = SmallResNet if config.blocks is None else StandardResNet
        super().__init__(config, sample_rate, heads, lambda size: network(config, size))
        self.config = config


class SmallBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm beside a shortcut, on half the bands and frames."""

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


class SmallResNet(nn.Module):
    """The layout for some hundred tracks: [B, 1, M, N] to logits [B, size]."""

    def __init__(self, config: ResNetConfig, size: int) -> None:
        super().__init__()
        first = config.widths[0]
        self.stem = nn.Sequential(nn.Conv2d(1, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        self.blocks = nn.Sequential(
            *(SmallBlock(a, b) for a, b in zip((first, *config.widths), config.widths, strict=False))
        )
        self.pool = Pool()
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * config.widths[-1], size)

    def forward(self, x: Tensor) -> Tensor:
        """Map log-mel to logits."""
        return self.head(self.dropout(self.pool(self.blocks(self.stem(x)))))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm beside the identity, or a 1 x 1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, W, M, N] to [B, W', M / stride, N / stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + shortcut)


class StandardResNet(nn.Module):
    """The paper's layout (table 1, 18 layers), for one channel: [B, 1, M, N] to logits [B, size]."""

    def __init__(self, config: ResNetConfig, size: int) -> None:
        super().__init__()
        assert config.blocks is not None
        first = config.widths[0]
        self.conv1 = nn.Conv2d(1, first, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.stages = len(config.widths)
        inputs = first
        for stage, width in enumerate(config.widths, 1):
            blocks = [BasicBlock(inputs, width, 1 if stage == 1 else 2)]
            blocks += [BasicBlock(width, width, 1) for _ in range(config.blocks - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            inputs = width
        self.pool = Pool()
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(2 * inputs, size)

    def forward(self, x: Tensor) -> Tensor:
        """Map log-mel to logits."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        for stage in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.fc(self.dropout(self.pool(x)))

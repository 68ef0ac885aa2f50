"""A plain convolutional network on log-mel spectrograms, for genre and for the nine GEMS rates.

Shapes: B clips, M mel bands, N frames, W channels.

    log-mel [B, 1, M, N] -> a layer a width: 3 x 3 convolution, batch norm, ReLU, maximum over 2 x 2
    -> mean and maximum over both axes [B, 2 W] -> dropout -> logits

The layout is that of Choi et al. 2016 ("Automatic Tagging Using Deep Convolutional Neural Networks"), with pooling over
all that is left in place of large pools, so that audio may be of any length.
"""

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from gmn.models.classifier import Heads, Pool, SpectrogramClassifier, SpectrogramConfig


class CNNConfig(SpectrogramConfig):
    """The network's shape and the spectrogram that it sees."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field((24, 48, 72, 96), min_length=1)
    """Channels of each layer."""


class CNN(SpectrogramClassifier):
    """The whole classifier."""

    kind: Literal["cnn"] = "cnn"

    def __init__(self, config: CNNConfig, sample_rate: int, heads: Heads) -> None:
        super().__init__(config, sample_rate, heads, lambda size: _network(config, size))
        self.config = config


def _network(config: CNNConfig, size: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in zip((1, *config.widths), config.widths, strict=False):
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
        ]
    return nn.Sequential(*layers, Pool(), nn.Dropout(config.dropout), nn.Linear(2 * config.widths[-1], size))

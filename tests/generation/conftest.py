"""Small WaveNets far from the flat start of training, so that a wrong tap or bias shows."""

from collections.abc import Callable

import pytest
import torch

from gmn.models.wavenet import WaveNet, WaveNetConfig

MakeWaveNet = Callable[..., WaveNet]


@pytest.fixture(scope="session")
def make_wavenet() -> MakeWaveNet:
    """Return a maker of WaveNets with random weights and conditions of 5 numbers."""

    def make(**changes: int) -> WaveNet:
        torch.manual_seed(1)
        shape = {"stacks": 2, "layers": 4, "residual_channels": 10, "skip_channels": 14} | changes
        model = WaveNet(WaveNetConfig(**shape), 5).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5 if parameter.ndim > 1 else 0.1)
        return model

    return make

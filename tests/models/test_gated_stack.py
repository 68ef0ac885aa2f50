"""The layers laid out for training are the layers."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gmn.models.wavenet import WaveNet, WaveNetConfig

CONDITION_SIZE = 5

SHAPES = [
    WaveNetConfig(stacks=1, layers=1, residual_channels=3, skip_channels=8),
    WaveNetConfig(stacks=2, layers=4, residual_channels=4, skip_channels=8),
    WaveNetConfig(stacks=2, layers=3, residual_channels=4, skip_channels=8, kernel_size=3),
]


def layer_by_layer(model: WaveNet, codes: Tensor, condition: Tensor) -> Tensor:
    x = model.embedding(codes)
    gated = []
    for layer in model.stack:
        x, z = layer(x, condition)
        gated.append(z)
    return model.head(F.linear(torch.cat(gated, dim=-1), model.skip_weight(), model.skip_bias))


@pytest.mark.parametrize("config", SHAPES, ids=["one layer", "kernel 2", "kernel 3"])
@pytest.mark.parametrize("length", [1, 2, 9, 70])
def test_values_and_gradients_are_those_of_the_layers(config: WaveNetConfig, length: int) -> None:
    """Also where a tap reaches further back than there are samples."""
    torch.manual_seed(0)
    model = WaveNet(config, CONDITION_SIZE).double()
    codes, condition = torch.randint(0, 256, (3, length)), torch.rand(3, CONDITION_SIZE, dtype=torch.float64)
    found = []
    for forward in (model, lambda *given: layer_by_layer(model, *given)):
        model.zero_grad()
        logits = forward(codes, condition)
        logits.square().mean().backward()
        found.append((logits.detach(), [torch.zeros(()) if p.grad is None else p.grad for p in model.parameters()]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-12)
    for fused, plain in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(fused, plain.to(fused).expand_as(fused), rtol=1e-9, atol=1e-12)


def test_bfloat16_stays_near_float32_and_its_gradients_point_the_same_way() -> None:
    torch.manual_seed(0)
    model = WaveNet(SHAPES[1], CONDITION_SIZE)
    codes, condition = torch.randint(0, 256, (3, 80)), torch.rand(3, CONDITION_SIZE)
    found = []
    for bf16 in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(codes, condition)
        logits.float().square().mean().backward()
        gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        found.append((logits.detach().float(), gradients))
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in model.parameters())
    (exact, straight), (rough, near) = found
    assert (exact - rough).abs().max() < 0.02 * exact.abs().max()
    assert F.cosine_similarity(straight, near, dim=0) > 0.999

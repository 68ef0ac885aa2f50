"""WaveNet: causal, of the stated receptive field, and conditional."""

import pytest
import torch

from gmn.models.wavenet import WaveNet, WaveNetConfig

CONDITION_SIZE = 5

SHAPES = [
    WaveNetConfig(stacks=1, layers=1, residual_channels=4, skip_channels=48),
    WaveNetConfig(stacks=2, layers=4, residual_channels=4, skip_channels=48),
    WaveNetConfig(stacks=2, layers=3, residual_channels=4, skip_channels=48, kernel_size=3),
]


def wavenet(config: WaveNetConfig) -> WaveNet:
    torch.manual_seed(0)
    return WaveNet(config, CONDITION_SIZE).eval()


@pytest.mark.parametrize("config", SHAPES, ids=["one layer", "kernel 2", "kernel 3"])
@torch.no_grad()
def test_one_sample_reaches_exactly_the_receptive_field_ahead_and_nothing_before(config: WaveNetConfig) -> None:
    # In float64, so that no trace of the sample is rounded away.
    model, T, at = wavenet(config).double(), 3 * config.receptive_field + 5, config.receptive_field // 2 + 1
    codes = torch.randint(0, 256, (1, T))
    other = codes.clone()
    other[0, at] = (codes[0, at] + 128) % 256
    condition = torch.rand(1, CONDITION_SIZE, dtype=torch.float64)
    moved = (model(codes, condition) != model(other, condition)).any(-1)[0].nonzero()[:, 0].tolist()
    # The logits at t are those of the sample at t + 1, and t itself is among the given ones.
    assert moved[0] == at
    assert moved[-1] == at + config.receptive_field - 1
    assert len(moved) == config.receptive_field


def test_the_receptive_field_is_counted_in_given_samples() -> None:
    assert [config.receptive_field for config in SHAPES] == [2, 31, 29]
    assert WaveNetConfig(stacks=1, layers=10).receptive_field == 1024


@torch.no_grad()
def test_what_comes_later_plays_no_part() -> None:
    model, codes, condition = wavenet(SHAPES[1]), torch.randint(0, 256, (2, 50)), torch.rand(2, CONDITION_SIZE)
    torch.testing.assert_close(model(codes, condition)[:, :20], model(codes[:, :20], condition), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix() -> None:
    model, codes, condition = wavenet(SHAPES[1]), torch.randint(0, 256, (3, 40)), torch.rand(3, CONDITION_SIZE)
    alone = torch.cat([model(codes[i : i + 1], condition[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(model(codes, condition), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("entry", range(CONDITION_SIZE))
@torch.no_grad()
def test_every_entry_of_the_condition_moves_the_logits_at_every_sample(entry: int) -> None:
    model, codes, condition = wavenet(SHAPES[1]), torch.randint(0, 256, (1, 40)), torch.zeros(1, CONDITION_SIZE)
    before = model(codes, condition)
    condition[0, entry] = 1
    assert (model(codes, condition) != before).any(-1).all()


@torch.no_grad()
def test_logits_of_a_fresh_network_have_the_scale_of_a_guess() -> None:
    model = WaveNet(WaveNetConfig(), CONDITION_SIZE).eval()
    codes = torch.randint(0, 256, (2, 500))
    logits = model(codes[:, :-1], torch.zeros(2, CONDITION_SIZE))
    bits = torch.nn.functional.cross_entropy(logits.flatten(0, 1), codes[:, 1:].flatten()) / torch.tensor(2.0).log()
    assert logits.shape == (2, 499, 256)
    assert 7.9 < bits < 8.3


def test_every_weight_but_the_last_residual_is_trained() -> None:
    model = wavenet(SHAPES[1])
    model(torch.randint(0, 256, (2, 60)), torch.rand(2, CONDITION_SIZE)).square().mean().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == ["layers.7.residual.weight", "layers.7.residual.bias"]

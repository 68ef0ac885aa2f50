"""LSTM: causal, conditional, and a learner; its frames meet the samples where they should."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gmn.audio.mulaw import encode
from gmn.models.lstm import LSTM, LSTMConfig

CONDITION_SIZE = 5
FRAME_SIZES = [1, 2, 3, 8]


def lstm(frame_size: int, layers: int = 1) -> LSTM:
    torch.manual_seed(frame_size)
    config = LSTMConfig(frame_size=frame_size, layers=layers, hidden_size=12, embedding_size=4, head_size=40)
    return LSTM(config, CONDITION_SIZE).eval()


def moved(one: Tensor, other: Tensor) -> list[int]:
    """Return the times at which two runs of logits [1, T, 256] differ."""
    return (one != other).any(-1)[0].nonzero()[:, 0].tolist()


@pytest.mark.parametrize("frame_size", FRAME_SIZES)
@torch.no_grad()
def test_one_sample_moves_every_later_prediction_and_no_earlier_one(frame_size: int) -> None:
    # In float64, so that no trace of the sample is rounded away. Every place in a frame is tried.
    model, T = lstm(frame_size).double(), 6 * frame_size + 1
    codes, condition = torch.randint(0, 256, (1, T)), torch.rand(1, CONDITION_SIZE, dtype=torch.float64)
    expected = model(codes, condition)
    for at in range(2 * frame_size, 3 * frame_size):
        other = codes.clone()
        other[0, at] = (codes[0, at] + 128) % 256
        assert moved(expected, model(other, condition)) == list(range(at, T))


@pytest.mark.parametrize("frame_size", FRAME_SIZES)
@torch.no_grad()
def test_without_its_sample_tier_the_network_hears_only_whole_frames(frame_size: int) -> None:
    """A frame is heard from the first sample after it on."""
    model, T = lstm(frame_size).double(), 6 * frame_size
    model.recent = None
    codes, condition = torch.randint(0, 256, (1, T)), torch.rand(1, CONDITION_SIZE, dtype=torch.float64)
    other = codes.clone()
    other[0, 2 * frame_size] = (codes[0, 2 * frame_size] + 128) % 256
    # The logits at t are those of the sample at t + 1: those at 3 F - 1 are the first of the frame that starts at 3 F.
    assert moved(model(codes, condition), model(other, condition))[0] == 3 * frame_size - 1


@pytest.mark.parametrize("frame_size", FRAME_SIZES)
@pytest.mark.parametrize("layers", [1, 2])
@torch.no_grad()
def test_what_comes_later_plays_no_part_wherever_the_window_ends(frame_size: int, layers: int) -> None:
    model, T = lstm(frame_size, layers), 4 * frame_size
    codes, condition = torch.randint(0, 256, (2, T)), torch.rand(2, CONDITION_SIZE)
    whole = model(codes, condition)
    for end in range(1, T + 1):
        torch.testing.assert_close(model(codes[:, :end], condition), whole[:, :end], rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix() -> None:
    model, codes, condition = lstm(4), torch.randint(0, 256, (3, 40)), torch.rand(3, CONDITION_SIZE)
    alone = torch.cat([model(codes[i : i + 1], condition[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(model(codes, condition), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frame_size", [1, 8])
@pytest.mark.parametrize("entry", range(CONDITION_SIZE))
@torch.no_grad()
def test_every_entry_of_the_condition_moves_the_logits_at_every_sample(frame_size: int, entry: int) -> None:
    model, codes, condition = lstm(frame_size), torch.randint(0, 256, (1, 40)), torch.zeros(1, CONDITION_SIZE)
    before = model(codes, condition)
    condition[0, entry] = 1
    assert moved(before, model(codes, condition)) == list(range(40))


@torch.no_grad()
def test_logits_of_a_fresh_network_have_the_scale_of_a_guess() -> None:
    model, codes = LSTM(LSTMConfig(), CONDITION_SIZE).eval(), torch.randint(0, 256, (2, 500))
    logits = model(codes[:, :-1], torch.zeros(2, CONDITION_SIZE))
    bits = F.cross_entropy(logits.flatten(0, 1), codes[:, 1:].flatten()) / math.log(2)
    assert logits.shape == (2, 499, 256)
    assert 7.9 < bits < 8.3


@pytest.mark.parametrize("frame_size", [1, 4])
def test_every_weight_is_trained(frame_size: int) -> None:
    model = lstm(frame_size, layers=2)
    model(torch.randint(0, 256, (2, 60)), torch.rand(2, CONDITION_SIZE)).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("frame_size", [1, 4])
def test_it_learns_a_sine(frame_size: int) -> None:
    torch.manual_seed(0)
    time = np.arange(200) + 25 * np.arange(8)[:, None]
    codes = torch.from_numpy(encode(0.5 * np.sin(2 * np.pi * time / 29.3))).long()
    model, condition = lstm(frame_size), torch.zeros(8, CONDITION_SIZE)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for _ in range(60):
        loss = F.cross_entropy(model(codes[:, :-1], condition).flatten(0, 1), codes[:, 1:].flatten()) / math.log(2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 7.5
    assert losses[-1] < 4

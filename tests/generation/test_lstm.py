"""The LSTM's steps: fast equals slow, at every place in a frame, from a prime and from nothing."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gmn.audio.mulaw import SILENCE
from gmn.generation import lstm as module
from gmn.generation.engine import BACKENDS, Stream, generate
from gmn.generation.lstm import FoldedLSTM, ReferenceLSTM
from gmn.models.lstm import LSTM, LSTMConfig

CONDITION_SIZE = 5
T = 90

SHAPES = {
    "plain": LSTMConfig(frame_size=1, hidden_size=24, embedding_size=7, head_size=20),
    "plain, 2 layers": LSTMConfig(frame_size=1, layers=2, hidden_size=24, embedding_size=7, head_size=20),
    "frames of 2": LSTMConfig(frame_size=2, hidden_size=24, embedding_size=7, head_size=20),
    "frames of 5, 3 layers": LSTMConfig(frame_size=5, layers=3, hidden_size=24, embedding_size=7, head_size=20),
    "frames of 16": LSTMConfig(frame_size=16, hidden_size=24, embedding_size=7, head_size=20),
}
STEPPERS = [ReferenceLSTM, FoldedLSTM]
PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-9)]

pytestmark = [
    pytest.mark.parametrize("name", SHAPES),
    pytest.mark.parametrize("stepper", STEPPERS, ids=lambda stepper: stepper.__name__),
]


def make(name: str, dtype: torch.dtype = torch.float32) -> LSTM:
    torch.manual_seed(1)
    model = LSTM(SHAPES[name], CONDITION_SIZE).eval()
    for parameter in model.parameters():  # far from the flat start, so that a wrong gate shows
        torch.nn.init.normal_(parameter, std=0.4 if parameter.ndim > 1 else 0.1)
    return model.to(dtype)


def given(rows: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (rows, T)))
    return codes, torch.rand(rows, CONDITION_SIZE, dtype=dtype)


def assert_same(found: Tensor, expected: Tensor, tolerance: float) -> None:
    assert expected.std() > 0.4
    assert ((found - expected).abs().max() / expected.abs().max()).item() < tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("rows", [3, 9])
@torch.no_grad()
def test_steps_give_the_logits_of_the_full_forward(
    name: str, stepper: type[ReferenceLSTM | FoldedLSTM], dtype: torch.dtype, tolerance: float, rows: int
) -> None:
    """Weights are packed from 8 rows on where the processor gains by it."""
    model, (codes, conditions) = make(name, dtype), given(rows, dtype)
    steps = stepper(model, conditions)
    found = torch.stack([steps.step(codes[:, t]) for t in range(T)], dim=1)
    assert_same(found, model(codes, conditions), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("primed", [1, 15, 16, 60])
@torch.no_grad()
def test_a_prime_and_what_follows_equal_one_long_pass(
    name: str,
    stepper: type[ReferenceLSTM | FoldedLSTM],
    dtype: torch.dtype,
    tolerance: float,
    primed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A prime may end at any place in a frame, and be longer than what is computed side by side."""
    monkeypatch.setattr(module, "PRIMED_AT_ONCE", 60)
    model, (codes, conditions) = make(name, dtype), given(3, dtype)
    steps = stepper(model, conditions)
    first = steps.prime(codes[:, :primed])
    found = torch.stack([first, *(steps.step(codes[:, t]) for t in range(primed, T))], dim=1)
    assert_same(found, model(codes, conditions)[:, primed - 1 :], tolerance)


@torch.no_grad()
def test_the_condition_moves_every_step(name: str, stepper: type[ReferenceLSTM | FoldedLSTM]) -> None:
    model, (codes, conditions) = make(name), given(3, torch.float32)
    one, other = stepper(model, conditions), stepper(model, conditions + 0.5)
    for t in range(T):
        assert (one.step(codes[:, t]) != other.step(codes[:, t])).any(-1).all()


def test_the_loop_samples_from_it(name: str, stepper: type[ReferenceLSTM | FoldedLSTM]) -> None:
    """A clip is the same alone and beside another, and its bits are those of the full forward."""
    (backend,) = (backend for (_, backend, _), known in BACKENDS.items() if known is stepper)
    model = make(name)
    streams = [Stream(np.full(CONDITION_SIZE, 0.3, np.float32), 3, index) for index in (4, 7)]
    alone, beside = (generate(model, some, T, 8, backend=backend)[0] for some in (streams[:1], streams))
    np.testing.assert_array_equal(beside.codes, alone.codes)
    codes = torch.from_numpy(alone.codes.astype(np.int64))
    heard = torch.cat([torch.tensor([SILENCE]), codes[:-1]])
    with torch.no_grad():
        logits = model(heard[None], torch.from_numpy(streams[0].condition)[None])[0].double()
    expected = torch.nn.functional.cross_entropy(logits, codes).item() / math.log(2)
    assert alone.bits_per_sample == pytest.approx(expected, rel=1e-5)

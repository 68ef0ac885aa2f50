"""Fast equals slow: every backend gives, step by step, the logits of the full forward pass, primed or not."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from gmn.generation import packed, reference
from gmn.generation.engine import BACKENDS, Stepper, find_backend
from gmn.generation.folded import FoldedWaveNet
from gmn.models.wavenet import CLASSES, WaveNet

CONDITION_SIZE = 5
NewStepper = Callable[[Any, Tensor], Stepper]

EXACT = [BACKENDS["wavenet", backend, "float32"] for backend in ("reference", "folded")]
ROUGH = {"bf16": BACKENDS["wavenet", "folded", "bf16"], "fp16": partial(FoldedWaveNet, dtype=torch.float16)}
"""Of half a precision; fp16 is meant for GPUs, and its arithmetic can be had here as well."""
ROUGH_TOLERANCE = 0.02
"""Of the largest logit: the bound that docs/decisions/engine.md states."""

SHAPES = [
    {"kernel_size": 2},
    {"kernel_size": 3, "gate_channels": 7, "end_channels": 9},
    {"kernel_size": 4, "stacks": 3, "layers": 3, "gate_channels": 12, "skip_channels": 6},
    {"kernel_size": 2, "stacks": 1, "layers": 1},
]


def given(model: WaveNet, slots: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Return codes past the longest dilation, and conditions."""
    rng = torch.Generator().manual_seed(0)
    codes = torch.randint(0, CLASSES, (slots, 2 * model.config.receptive_field + 7), generator=rng)
    return codes, torch.rand(slots, CONDITION_SIZE, generator=rng).to(dtype)


def stepped(stepper: Stepper, codes: Tensor, primed: int = 0) -> Tensor:
    """Return the logits [B, T, 256] after each code, the first `primed` of which come at once."""
    first = [stepper.prime(codes[:, :primed]).clone()] if primed else []
    rest = [stepper.step(codes[:, t]).clone() for t in range(primed, codes.shape[1])]
    return torch.stack(first + rest, dim=1)


def error(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, as a share of the largest logit."""
    expected = expected[:, -found.shape[1] :]
    assert expected.std() > 0.5
    return float((found - expected).abs().max() / expected.abs().max())


@torch.no_grad()
@pytest.mark.parametrize("slots", [1, 3, packed.FEWEST_ROWS + 1])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("new", EXACT)
def test_steps_give_the_logits_of_the_full_forward(
    make_wavenet: Any, new: NewStepper, shape: dict[str, int], dtype: torch.dtype, tolerance: float, slots: int
) -> None:
    model = make_wavenet(**shape).to(dtype)
    codes, conditions = given(model, slots, dtype)
    found = stepped(new(model, conditions), codes)
    assert found.dtype == dtype
    assert error(found, model(codes, conditions)) < tolerance


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
@pytest.mark.parametrize("new", ROUGH.values(), ids=ROUGH)
def test_half_a_precision_keeps_its_bound(make_wavenet: Any, new: NewStepper, shape: dict[str, int]) -> None:
    model = make_wavenet(**shape)
    codes, conditions = given(model, 9)
    found = stepped(new(model, conditions), codes, primed=3)
    assert found.dtype == torch.float32
    assert 1e-5 < error(found, model(codes, conditions)) < ROUGH_TOLERANCE


@torch.no_grad()
@pytest.mark.parametrize("rows", [reference.PRIMED_AT_ONCE, 1])
@pytest.mark.parametrize("length", ["one", "shorter than a dilation", "receptive field", "longer"])
@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
@pytest.mark.parametrize("new", EXACT)
def test_prime_then_continue_equals_one_pass(
    make_wavenet: Any,
    monkeypatch: pytest.MonkeyPatch,
    new: NewStepper,
    shape: dict[str, int],
    length: str,
    rows: int,
) -> None:
    monkeypatch.setattr(reference, "PRIMED_AT_ONCE", rows)
    model = make_wavenet(**shape).double()
    field = model.config.receptive_field
    primed = {"one": 1, "shorter than a dilation": 5, "receptive field": field, "longer": field + 6}[length]
    codes, conditions = given(model, 3, torch.float64)
    assert error(stepped(new(model, conditions), codes, primed), model(codes, conditions)) < 1e-9


@torch.no_grad()
@pytest.mark.parametrize("new", EXACT)
def test_what_a_receptive_field_does_not_reach_is_not_computed(make_wavenet: Any, new: NewStepper) -> None:
    model = make_wavenet()
    field = model.config.receptive_field
    codes, conditions = given(model, 2)
    other = codes.clone()
    other[:, :-field] = 0
    torch.testing.assert_close(new(model, conditions).prime(codes), new(model, conditions).prime(other), rtol=0, atol=0)


@torch.no_grad()
def test_the_table_of_places_goes_on_where_it_ends(make_wavenet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmn.generation.folded.TABLE_STEPS", 7)
    model = make_wavenet(kernel_size=3).double()
    codes, conditions = given(model, 2, torch.float64)
    assert error(stepped(FoldedWaveNet(model, conditions), codes, primed=4), model(codes, conditions)) < 1e-9


def no_operator(*given: object) -> Tensor:
    raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_reorder_linear_weight'")


def not_this_build(*given: object) -> Tensor:
    raise RuntimeError("Could not run 'mkldnn::_reorder_linear_weight'")


@torch.no_grad()
@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build has no oneDNN")
@pytest.mark.parametrize("lacks", [no_operator, not_this_build])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_without_the_packed_layout_the_logits_are_the_same(
    make_wavenet: Any, monkeypatch: pytest.MonkeyPatch, lacks: Callable[..., Tensor], precision: str
) -> None:
    """Also on Intel's processors, where float32 is not packed otherwise."""
    monkeypatch.setattr(packed, "on_intel", lambda: False)
    model = make_wavenet()
    codes, conditions = given(model, packed.FEWEST_ROWS)
    new = find_backend("wavenet", "folded", precision)
    fast = stepped(new(model, conditions), codes)
    assert packed.pack(torch.ones(4, 4), packed.FEWEST_ROWS) is not None
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", lacks)
    assert packed.pack(torch.ones(4, 4), packed.FEWEST_ROWS) is None
    assert error(stepped(new(model, conditions), codes), fast) < (1e-5 if precision == "float32" else ROUGH_TOLERANCE)


@torch.no_grad()
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("fp16", ROUGH_TOLERANCE)])
@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_a_captured_step_gives_the_logits_of_the_full_forward(
    make_wavenet: Any, shape: dict[str, int], precision: str, tolerance: float
) -> None:
    model = make_wavenet(**shape).cuda()
    codes, conditions = (x.cuda() for x in given(model, 9))
    found = stepped(BACKENDS["wavenet", "graph", precision](model, conditions), codes, primed=5)
    assert error(found, model(codes, conditions)) < tolerance

"""Sampling step by step: fast equals slow, and a clip is the same whatever runs beside it."""

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import Tensor

from gmn.audio.mulaw import SILENCE
from gmn.generation.engine import Generated, Stepper, Stream, _generator, draw, generate
from gmn.models.wavenet import CLASSES, WaveNet, WaveNetConfig

CONDITION_SIZE = 5
SLOTS = 6
SAMPLES = 120


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute in one thread, as a generation task does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(kernel_size: int = 2, **changes: int) -> WaveNet:
    torch.manual_seed(kernel_size)
    shape = {"stacks": 2, "layers": 4, "residual_channels": 10, "skip_channels": 14} | changes
    model = WaveNet(WaveNetConfig(kernel_size=kernel_size, **shape), CONDITION_SIZE).eval()
    for parameter in model.parameters():  # far from the flat start, so that a wrong tap shows
        torch.nn.init.normal_(parameter, std=0.5 if parameter.ndim > 1 else 0.1)
    return model


def stream(index: int = 0, seed: int = 3, attempt: int = 0) -> Stream:
    condition = np.random.default_rng([9, index]).random(CONDITION_SIZE).astype(np.float32)
    return Stream(condition, seed, index, attempt)


def sample(model: WaveNet, streams: list[Stream], temperature: float = 1.0, slots: int = SLOTS) -> list[Generated]:
    return generate(model, streams, SAMPLES, temperature, slots)


def stepped(model: WaveNet, codes: Tensor, conditions: Tensor) -> Tensor:
    stepper = Stepper(model, conditions)
    return torch.stack([stepper.step(codes[:, t]) for t in range(codes.shape[1])], dim=1)


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("kernel_size", [2, 3, 4])
def test_steps_give_the_logits_of_the_full_forward(kernel_size: int, dtype: torch.dtype, tolerance: float) -> None:
    model = make(kernel_size).to(dtype)
    n_samples = 2 * model.config.receptive_field + 7
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, CLASSES, (3, n_samples)))
    conditions = torch.rand(3, CONDITION_SIZE, dtype=dtype)
    full = model(codes, conditions)
    assert full.std() > 0.5
    difference = (stepped(model, codes, conditions) - full).abs().max() / full.abs().max()
    assert difference < tolerance


def test_a_clip_is_the_same_at_any_occupancy() -> None:
    model = make()
    (alone,) = sample(model, [stream(4)])
    for others in ([0, 1], [0, 1, 2, 3, 5]):
        beside = sample(model, [stream(index) for index in (4, *others)])[0]
        np.testing.assert_array_equal(beside.codes, alone.codes)
        assert beside.bits_per_sample == alone.bits_per_sample


def test_shuffled_slots_change_nothing() -> None:
    model, order = make(), [3, 0, 5, 1, 4, 2]
    straight = sample(model, [stream(index) for index in range(SLOTS)])
    shuffled = sample(model, [stream(index) for index in order])
    for place, index in enumerate(order):
        np.testing.assert_array_equal(shuffled[place].codes, straight[index].codes)
        assert shuffled[place].bits_per_sample == pytest.approx(straight[index].bits_per_sample, rel=1e-6)


@pytest.mark.parametrize("other", [{"seed": 4}, {"index": 1}, {"attempt": 1}])
def test_another_name_gives_another_clip(other: dict[str, int]) -> None:
    model = make()
    condition = np.zeros(CONDITION_SIZE, np.float32)
    first = Stream(condition, **{"seed": 3, "index": 0, "attempt": 0})
    second = Stream(condition, **{"seed": 3, "index": 0, "attempt": 0} | other)
    one, two = sample(model, [first, second])
    assert (one.codes != two.codes).mean() > 0.5


def test_the_condition_is_heard() -> None:
    one, two = (sample(make(), [Stream(np.full(CONDITION_SIZE, x, np.float32), 3, 0)])[0] for x in (0, 1))
    assert not np.array_equal(one.codes, two.codes)


def test_temperature_zero_takes_the_likeliest_and_ignores_the_seed() -> None:
    model = make()
    condition = np.ones(CONDITION_SIZE, np.float32)
    one, two = sample(model, [Stream(condition, 1, 0), Stream(condition, 2, 7)], temperature=0)
    np.testing.assert_array_equal(one.codes, two.codes)
    given = torch.from_numpy(np.concatenate([[SILENCE], one.codes[:-1]]).astype(np.int64))
    with torch.no_grad():
        likeliest = model(given[None], torch.from_numpy(condition)[None])[0].argmax(-1)
    np.testing.assert_array_equal(one.codes, likeliest.numpy())


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
def test_draws_follow_the_softmax(temperature: float) -> None:
    n = 60_000
    logits = torch.from_numpy(np.random.default_rng(1).normal(0, 2, CLASSES).astype(np.float32))
    uniform = torch.from_numpy(_generator(stream()).random(n, np.float32))
    codes = draw(logits.expand(n, CLASSES), uniform, temperature)
    expected = n * (logits.double() / temperature).softmax(-1).numpy()
    found = np.bincount(codes.numpy(), minlength=CLASSES)
    often = expected >= 5  # the rarer codes together are one more class
    expected, found = (np.append(x[often], x[~often].sum()) for x in (expected, found))
    chi_square, freedom = float(((found - expected) ** 2 / expected).sum()), len(expected) - 1
    # Wilson and Hilferty 1931: (chi square / k) ** (1/3) is close to normal.
    z = ((chi_square / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
    assert abs(z) < NormalDist().inv_cdf(1 - 1e-4)


def test_the_ends_of_the_unit_interval_draw_codes_that_can_be() -> None:
    """The last code below 1 must not be one of no probability: full scale would be a click."""
    logits = torch.full((2, CLASSES), -200.0)
    logits[:, 100:110] = torch.linspace(0, 1, 10)
    uniform = torch.tensor([0.0, 1 - 2**-24])
    assert draw(logits, uniform, 1.0).tolist() == [100, 109]


def test_bits_are_those_of_the_full_forward_at_temperature_one() -> None:
    model = make()
    asked = [stream(0), stream(1)]
    for clip, its in zip(sample(model, asked, temperature=0.6), asked, strict=True):
        codes = torch.from_numpy(clip.codes.astype(np.int64))
        given = torch.cat([torch.tensor([SILENCE]), codes[:-1]])
        with torch.no_grad():
            logits = model(given[None], torch.from_numpy(its.condition)[None])[0].double()
        expected = torch.nn.functional.cross_entropy(logits, codes).item() / math.log(2)
        assert clip.bits_per_sample == pytest.approx(expected, rel=1e-5)


def test_a_longer_clip_begins_like_a_shorter_one() -> None:
    """Random numbers are drawn in runs, whose borders must not show."""
    model = make(layers=2, stacks=1)
    short, long = (generate(model, [stream()], n, 1.0, 1)[0].codes for n in (700, 1500))
    np.testing.assert_array_equal(long[:700], short)


def test_progress_counts_every_sample_once() -> None:
    heard: list[int] = []
    generate(make(layers=2, stacks=1), [stream(0), stream(1)], 1100, 1.0, 3, heard.append)
    assert heard == [2 * 1024, 2 * 76]

"""Drawing: codes follow the distribution that is left to draw from, and nothing else."""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest
import torch

from gmn.generation.sampling import Sampling, draw, guide, uniforms
from gmn.models.wavenet import CLASSES

LOGITS = torch.from_numpy(np.random.default_rng(1).normal(0, 2, CLASSES).astype(np.float32))


def draws(sampling: Sampling, n: int) -> npt.NDArray[np.int64]:
    uniform = torch.from_numpy(uniforms(3, 0, 0).random(n, np.float32))
    return np.bincount(draw(LOGITS.expand(n, CLASSES), uniform, sampling).numpy(), minlength=CLASSES)


def expected(sampling: Sampling) -> npt.NDArray[np.float64]:
    """Return the probabilities by their definition."""
    p = (LOGITS.double() / sampling.temperature).softmax(-1).numpy()
    order = np.argsort(-p, kind="stable")
    keep = CLASSES if sampling.top_k is None else sampling.top_k
    if sampling.top_p is not None:
        keep = min(keep, int(np.searchsorted(np.cumsum(p[order]), sampling.top_p)) + 1)
    p[order[keep:]] = 0
    return p / p.sum()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.7),
        Sampling(),
        Sampling(temperature=1.5),
        Sampling(top_k=10),
        Sampling(top_p=0.8),
        Sampling(temperature=1.2, top_k=40, top_p=0.7),
        Sampling(temperature=1.2, top_k=4, top_p=0.95),
    ],
    ids=str,
)
def test_draws_follow_the_distribution(sampling: Sampling) -> None:
    n = 60_000
    found, sought = draws(sampling, n), n * expected(sampling)
    assert not found[sought == 0].any()
    often = sought >= 5  # the rarer codes together are one more class
    rare = (sought[~often].sum(), found[~often].sum())
    sought, found = sought[often], found[often]
    if rare[0] > 0:
        sought, found = np.append(sought, rare[0]), np.append(found, rare[1])
    chi_square, freedom = float(((found - sought) ** 2 / sought).sum()), len(sought) - 1
    # Wilson and Hilferty 1931: (chi square / k) ** (1/3) is close to normal.
    z = ((chi_square / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
    assert abs(z) < NormalDist().inv_cdf(1 - 1e-4)


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), Sampling(top_k=1), Sampling(top_p=1e-9)], ids=str)
def test_the_likeliest_code_alone(sampling: Sampling) -> None:
    assert draws(sampling, 100)[int(LOGITS.argmax())] == 100


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(top_p=1.0), Sampling(top_p=0.9999), Sampling(top_k=12)], ids=str
)
def test_the_ends_of_the_unit_interval_draw_codes_that_can_be(sampling: Sampling) -> None:
    """The last code below 1 must not be one of no probability: full scale would be a click."""
    logits = torch.full((2, CLASSES), -200.0)
    logits[:, 100:110] = torch.linspace(0, 1, 10)
    codes = draw(logits, torch.tensor([0.0, 1 - 2**-24]), sampling).tolist()
    sorted_first = sampling.top_k is not None or sampling.top_p not in (None, 1)
    assert codes == ([109, 100] if sorted_first else [100, 109])


def test_guidance_moves_from_unconditional_through_conditional() -> None:
    conditional, unconditional = torch.randn(2, CLASSES), torch.randn(2, CLASSES)
    torch.testing.assert_close(guide(conditional, unconditional, 0.0), unconditional)
    torch.testing.assert_close(guide(conditional, unconditional, 1.0), conditional)
    torch.testing.assert_close(guide(conditional, unconditional, 3.0), 3 * conditional - 2 * unconditional)


@pytest.mark.parametrize("other", [(4, 0, 0), (3, 1, 0), (3, 0, 1)])
def test_another_name_has_other_numbers(other: tuple[int, int, int]) -> None:
    assert not np.array_equal(uniforms(3, 0, 0).random(8), uniforms(*other).random(8))

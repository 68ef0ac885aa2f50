"""Muon: the orthogonal matrix, and steps as those of torch.optim."""

import copy

import pytest
import torch

from gmn.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(3, 6, 6), (2, 12, 5), (2, 5, 12)])
def test_the_nearest_orthogonal_matrix(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    u, s, vh = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    matrices = u @ torch.diag_embed(s.clamp(min=1)) @ vh
    found = orthogonal(matrices)
    singular = torch.linalg.svdvals(found)
    assert singular.min() > 0.6
    assert singular.max() < 1.3
    # It keeps the directions of the given matrix and changes only how far each goes.
    turned = u.mT @ found @ vh.mT
    torch.testing.assert_close(turned, torch.diag_embed(turned.diagonal(dim1=-2, dim2=-1)), atol=1e-4, rtol=0)


def test_it_moves_as_torch_s_own() -> None:
    torch.manual_seed(0)
    first = [torch.randn(8, 16), torch.randn(8, 16), torch.randn(16, 4)]
    ours, theirs = ([torch.nn.Parameter(weight.clone()) for weight in first] for _ in range(2))
    muons = [Muon(ours, 0.02, weight_decay=0.1), torch.optim.Muon(theirs, 0.02, weight_decay=0.1)]
    for _ in range(5):
        gradients = [torch.randn_like(weight) for weight in first]
        for weights, muon in zip((ours, theirs), muons, strict=True):
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient.clone()
            muon.step()
    for mine, other, start in zip(ours, theirs, first, strict=True):
        moved = (other - start).norm()
        # Theirs computes in bfloat16.
        assert (mine - other).norm() < 0.05 * moved


def test_its_momentum_is_state() -> None:
    def steps(muon: Muon, weight: torch.Tensor, count: int) -> None:
        for _ in range(count):
            weight.grad = torch.randn(4, 4)
            muon.step()

    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(4, 4))
    muon = Muon([weight], 0.1)
    steps(muon, weight, 3)
    again = torch.nn.Parameter(weight.detach().clone())
    resumed = Muon([again], 0.1)
    resumed.load_state_dict(copy.deepcopy(muon.state_dict()))
    for one, parameter in ((muon, weight), (resumed, again)):
        torch.manual_seed(1)
        steps(one, parameter, 3)
    torch.testing.assert_close(weight, again, rtol=0, atol=0)

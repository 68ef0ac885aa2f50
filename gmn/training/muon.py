"""Muon (Jordan et al. 2024): a matrix moves along the orthogonal matrix nearest to its momentum.

All its directions learn at one pace then. As torch.optim.Muon, but matrices of one shape go through their products
together and in float32: that one takes them one by one and in bfloat16, which a processor may have to emulate.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of Jordan's quintic: five rounds of it bring singular values from about 0.01 to 1 near to one."""

ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal; decoupled weight decay."""

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, weight_decay: float = 0.0, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            of_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    of_shape[weight.shape].append((weight, weight.grad))
            for (rows, columns), pairs in of_shape.items():
                weights, gradients = map(list, zip(*pairs, strict=True))
                momenta = [self.state[weight].setdefault("momentum", torch.zeros_like(weight)) for weight in weights]
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
                directions = orthogonal(torch.stack(ahead))
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                scale = max(1, rows / columns) ** 0.5
                torch._foreach_add_(weights, list(directions), alpha=-group["lr"] * scale)


def orthogonal(matrices: Tensor) -> Tensor:
    """Return about the orthogonal matrix nearest to each of [N, rows, columns]: singular values from 0.7 to 1.2."""
    a, b, c = COEFFICIENTS
    wide = matrices.mT if matrices.shape[-2] > matrices.shape[-1] else matrices
    x = wide / wide.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if wide is not matrices else x

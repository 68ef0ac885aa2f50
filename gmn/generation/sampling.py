"""Drawing codes from logits: one uniform number a sample, inverted through the distribution that is left to draw from.

    logits --guidance--> guided --/ temperature, softmax--> weights --top-k, top-p--> what is left --uniform--> code

Shapes: B slots. The uniform numbers of a stream are keyed by (seed, index, attempt): they depend on nothing else.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_BELOW_ONE = 1 - 2**-23
"""The largest uniform number: times any float32 sum it stays below that sum, so a code of no weight is never drawn."""


@dataclass(frozen=True)
class Sampling:
    """What is done to a model's distribution before a code is drawn from it."""

    temperature: float = 1.0
    """Divides the logits, at least 0; 0 takes the likeliest code."""
    top_k: int | None = None
    """Only the k likeliest codes are drawn; of equally likely ones, the lower come first."""
    top_p: float | None = None
    """In (0, 1]; only the fewest codes whose probabilities reach p in sum are drawn (Holtzman et al. 2020, 3.1). The
    sum is taken over all codes, also where `top_k` leaves fewer."""
    guidance: float = 1.0
    """Moves the logits from unconditional (0) to conditional (1) and beyond (Ho and Salimans 2022: their w + 1)."""

    @property
    def guided(self) -> bool:
        """Whether the unconditional logits are needed."""
        return self.guidance != 1


def guide(conditional: Tensor, unconditional: Tensor, guidance: float) -> Tensor:
    """Move logits [B, 256] from the unconditional towards and beyond the conditional ones."""
    return unconditional + guidance * (conditional - unconditional)


def draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> Tensor:
    """Draw codes [B] from (guided) logits [B, 256] by inverting the distribution at uniform numbers [B] in [0, 1)."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    weights = (logits / sampling.temperature).softmax(-1)
    if sampling.top_k is None and sampling.top_p in (None, 1):
        return _invert(weights, uniform)
    weights, codes = weights.sort(dim=-1, descending=True, stable=True)
    if sampling.top_p not in (None, 1):
        likelier = weights.cumsum(-1) - weights
        weights = weights.where(likelier < sampling.top_p, 0)
    if sampling.top_k is not None:
        weights[:, sampling.top_k :] = 0
    return codes.gather(-1, _invert(weights, uniform)[:, None])[:, 0]


def _invert(weights: Tensor, uniform: Tensor) -> Tensor:
    """Return the first position whose cumulative weight exceeds the uniform share of the sum."""
    cumulative = weights.cumsum(-1)
    share = uniform.clamp(max=_BELOW_ONE) * cumulative[:, -1]
    return torch.searchsorted(cumulative, share[:, None], right=True)[:, 0]


def uniforms(seed: int, index: int, attempt: int) -> np.random.Generator:
    """Return the random numbers of a stream: Philox (Salmon et al. 2011), keyed by what names the stream."""
    key = np.random.SeedSequence([seed, index, attempt]).generate_state(2, np.uint64)
    return np.random.Generator(np.random.Philox(key=key))

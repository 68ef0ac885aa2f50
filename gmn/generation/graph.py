"""The folded step on a GPU, captured once as a CUDA graph: a step is then three launches instead of some 150."""

import torch
from torch import Tensor

from gmn.generation.folded import FoldedWaveNet
from gmn.models.wavenet import WaveNet

WARM_UP_STEPS = 3
"""Steps before the capture, in which cuBLAS takes its workspace."""


class GraphWaveNet(FoldedWaveNet):
    """A WaveNet with the state of B streams on the GPU that holds the model; `dtype` may be float16."""

    def __init__(self, model: WaveNet, conditions: Tensor, dtype: torch.dtype | None = None) -> None:
        super().__init__(model, conditions, dtype)
        # What a replay reads: it computes on these very tensors.
        self._codes = torch.zeros(len(conditions), dtype=torch.int64, device=conditions.device)
        self._now = next(self._places_from(0)).clone()
        rings = self._rings.clone()
        side = torch.cuda.Stream(conditions.device)
        side.wait_stream(torch.cuda.current_stream(conditions.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                self._run(self._codes, self._now)
        torch.cuda.current_stream(conditions.device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = self._run(self._codes, self._now)
        self._rings.copy_(rings)  # as before the warm-up

    def step(self, codes: Tensor) -> Tensor:
        """Map the newest codes [B] to the logits [B, 256] of the next ones; the next step writes over them."""
        self._codes.copy_(codes)
        self._now.copy_(next(self._places))
        self._graph.replay()
        return self._logits

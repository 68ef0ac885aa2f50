"""The training loop: plain PyTorch, one process or one of several that average their gradients. No Ray.

Every random choice of a step is drawn from (seed, step), so that a resumed training takes the steps that an undisturbed
one would have taken, and the position in the data is the number of the step.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import torch
import torch.distributed as dist
from pydantic import Field
from torch import Tensor, nn

from gmn.config import Config
from gmn.errors import InputError
from gmn.models.judging import has_bf16
from gmn.training.muon import Muon

History = list[dict[str, float]]
"""Points of the learning curves: `step`, and the values measured there."""


class FitSettings(Config):
    """How a network is fitted."""

    steps: int = Field(2000, ge=1)
    """Optimizer steps in all."""
    batch_size: int = Field(8, ge=1)
    """Examples in a step, over all workers."""
    learning_rate: float = Field(2e-3, gt=0)
    """Peak of the schedule: linear warm-up, then a cosine to zero."""
    matrix_learning_rate: float | None = Field(None, gt=0)
    """Peak for a generator's matrices between its layers, which Muon then moves; none: AdamW moves all."""
    warmup_steps: int = Field(50, ge=0)
    """Steps of linear warm-up."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled decay."""
    clip_norm: float = Field(1.0, gt=0)
    """Gradients of a larger norm are scaled down to it."""
    ema_decay: float = Field(0.998, ge=0, lt=1)
    """Decay of the running average of the weights, which is what gets evaluated and kept."""
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """bf16: matrix products in bfloat16 by autocast; auto: bf16 where the processor computes with it."""
    evaluate_every: int = Field(200, ge=1)
    """Steps from one validation, and checkpoint, to the next."""
    patience: int | None = Field(None, ge=1)
    """Validations without a better result after which training stops; the weights of the best one are kept. None: it
    goes on to the end, and the last weights are kept."""


class Task(Protocol):
    """What is trained: a model, the loss of each step, and its judgement."""

    @property
    def model(self) -> nn.Module:
        """The network whose weights are fitted."""

    @property
    def objective(self) -> str:
        """The figure of a validation that is to fall."""

    @property
    def matrices(self) -> Sequence[Tensor]:
        """Those of its weights that Muon may move."""

    def loss(self, step: int, rank: int, world: int) -> Tensor:
        """Return the mean loss over this worker's share of the step's batch."""

    def evaluate(self, model: nn.Module, split: str) -> dict[str, Any]:
        """Judge a model on a split; plain numbers become curves."""


def use_bf16(precision: str, device: torch.device) -> bool:
    """Decide whether matrix products run in bfloat16; `auto` asks the processor."""
    return has_bf16(device) if precision == "auto" else precision == "bf16"


def learning_rate(step: int, settings: FitSettings, peak: float) -> float:
    """Return the learning rate of a step: linear warm-up to the peak, then a cosine to zero."""
    if step < settings.warmup_steps:
        return peak * (step + 1) / settings.warmup_steps
    share = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * share))


class Fit:
    """One training: weights, their running average, the optimizer, the step and the curves."""

    def __init__(self, task: Task, settings: FitSettings, seed: int, rank: int = 0, world: int = 1) -> None:
        self.task, self.settings, self.seed = task, settings, seed
        self.rank, self.world = rank, world
        self.average = copy.deepcopy(task.model).eval()
        self.optimizers = _optimizers(task, settings)
        self.device = next(task.model.parameters()).device
        self.bf16 = use_bf16(settings.precision, self.device)
        self.step = 0
        self.history: History = []
        self.best: dict[str, Any] | None = None

    def run(
        self,
        report: Callable[[dict[str, float]], None] = lambda values: None,
        tick: Callable[[int], None] = lambda step: None,
    ) -> None:
        """Take the steps that are left.

        `report` is called with the new point of the curves after each validation, `tick` after every step. Raises
        InputError where the loss is no longer a finite number.
        """
        losses: list[Tensor] = []
        while self.step < self.settings.steps and not self._stalled:
            losses.append(self._take_step())
            self.step += 1
            tick(self.step)
            if self.step % self.settings.evaluate_every == 0 or self.step == self.settings.steps:
                values = {"step": float(self.step), "train_loss": torch.stack(losses).mean().item()}
                losses.clear()
                if not math.isfinite(values["train_loss"]):
                    raise InputError(f"training diverged before step {self.step}: try a lower fit.learning_rate")
                judged = self.task.evaluate(self.average, "validation")
                values |= {f"validation_{key}": value for key, value in judged.items() if isinstance(value, float)}
                self.history.append(values)
                if self.settings.patience is not None and (
                    self.best is None or judged[self.task.objective] < self.best["value"]
                ):
                    weights = copy.deepcopy(self.average.state_dict())
                    self.best = {"value": judged[self.task.objective], "step": self.step, "weights": weights}
                report(values)

    @property
    def kept(self) -> nn.Module:
        """The network with the weights to keep: the running average, at the best validation where there is patience."""
        model = copy.deepcopy(self.average)
        if self.best is not None:
            model.load_state_dict(self.best["weights"])
        return model

    @property
    def _stalled(self) -> bool:
        if self.best is None or self.settings.patience is None:
            return False
        return sum(point["step"] > self.best["step"] for point in self.history) >= self.settings.patience

    def state(self) -> dict[str, Any]:
        """Return all that a resumed training needs."""
        return {
            "model": self.task.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer, _ in self.optimizers],
            "step": self.step,
            "history": self.history,
            "best": self.best,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.task.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for (optimizer, _), kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.step, self.history, self.best = state["step"], state["history"], state["best"]

    def _take_step(self) -> Tensor:
        torch.manual_seed((self.seed * 1_000_003 + self.step) * 1009 + self.rank)
        for optimizer, peak in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.step, self.settings, peak)
        self.task.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            loss = self.task.loss(self.step, self.rank, self.world)
        self.task.model.zero_grad()
        loss.backward()
        self._average_gradients()
        nn.utils.clip_grad_norm_(self.task.model.parameters(), self.settings.clip_norm)
        for optimizer, _ in self.optimizers:
            optimizer.step()
        self._average_weights()
        return loss.detach()

    def _average_gradients(self) -> None:
        """Average the gradients over all workers, as one message."""
        if self.world == 1:
            return
        gradients = [p.grad for p in self.task.model.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.world
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    @torch.no_grad()
    def _average_weights(self) -> None:
        """Move the running average; a young one moves faster, so that it forgets the first weights."""
        weight = 1 - min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.task.model.parameters()), weight)
        for mean, value in zip(self.average.buffers(), self.task.model.buffers(), strict=True):
            mean.copy_(value)


def _optimizers(task: Task, settings: FitSettings) -> list[tuple[torch.optim.Optimizer, float]]:
    """Return the optimizers, each with the peak of its learning rate."""
    matrices = list(task.matrices) if settings.matrix_learning_rate is not None else []
    of_muon = {id(parameter) for parameter in matrices}
    rest = [parameter for parameter in task.model.parameters() if id(parameter) not in of_muon]
    adamw = torch.optim.AdamW(rest, settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay)
    optimizers: list[tuple[torch.optim.Optimizer, float]] = [(adamw, settings.learning_rate)]
    if settings.matrix_learning_rate is not None:
        rate = settings.matrix_learning_rate
        optimizers.append((Muon(matrices, rate, settings.weight_decay), rate))
    return optimizers

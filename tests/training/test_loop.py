"""The training loop on a toy task: schedule, running average, resuming, and averaging over workers."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor, nn

from gmn.training.loop import Fit, FitSettings, learning_rate, use_bf16

SETTINGS = FitSettings(
    steps=12, batch_size=4, learning_rate=0.01, warmup_steps=3, evaluate_every=4, precision="float32"
)

UNCLIPPED = SETTINGS.model_copy(update={"clip_norm": 1000.0})


class Toy:
    """A line through points, with dropout, so that the random state counts."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.evaluated: list[str] = []

    objective = "error"

    @property
    def matrices(self) -> list[nn.Parameter]:
        return [self.model[0].weight]

    def loss(self, step: int, rank: int, world: int) -> Tensor:
        rows = [np.random.default_rng([step, item]).random(3, np.float32) for item in range(rank, 4, world)]
        x = torch.from_numpy(np.stack(rows))
        return (self.model(x)[:, 0] - x.sum(1)).square().mean()

    def evaluate(self, model: nn.Module, split: str) -> dict[str, Any]:
        assert not model.training
        self.evaluated.append(split)
        return {"error": float(model(torch.ones(1, 3)).item()), "tracks": 3, "each": [1.0]}


def copied(state: dict[str, Any]) -> dict[str, Any]:
    """Send a state through a file, as a checkpoint does."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def test_the_learning_rate_warms_up_and_then_falls_as_a_cosine_to_zero() -> None:
    settings = FitSettings(steps=110, warmup_steps=10)
    rates = [learning_rate(step, settings, 2.0) for step in range(111)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == 2.0
    assert rates[60] == pytest.approx(1.0)
    assert rates[35] == pytest.approx(1 + math.cos(math.pi / 4))
    assert rates[110] == pytest.approx(0)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_warm_up_longer_than_the_training_and_none_at_all() -> None:
    assert learning_rate(4, FitSettings(steps=5, warmup_steps=100), 1.0) == 0.05
    assert learning_rate(0, FitSettings(steps=5, warmup_steps=0), 1.0) == 1.0


def test_the_optimizer_follows_the_schedule() -> None:
    fit = Fit(Toy(), SETTINGS.model_copy(update={"matrix_learning_rate": 0.5}), seed=0)
    seen: list[list[float]] = []
    fit.run(tick=lambda step: seen.append([optimizer.param_groups[0]["lr"] for optimizer, _ in fit.optimizers]))
    assert seen == [[learning_rate(step, SETTINGS, peak) for peak in (0.01, 0.5)] for step in range(12)]


def test_muon_moves_the_matrices_and_adamw_the_rest() -> None:
    """Both leave what the other moves alone; Muon's step has all its singular values near the learning rate."""
    task = Toy()
    before = [parameter.detach().clone() for parameter in task.model.parameters()]
    settings = SETTINGS.model_copy(update={"matrix_learning_rate": 0.5, "steps": 1, "warmup_steps": 0})
    fit = Fit(task, settings, seed=0)
    fit.run()
    steps = [(new - old).detach() for new, old in zip(task.model.parameters(), before, strict=True)]
    assert all(step.abs().max() <= 0.0101 for step in steps[1:])
    singular = torch.linalg.svdvals(steps[0]) / math.sqrt(8 / 3)
    assert (singular > 0.3 * 0.5).all()
    assert (singular < 1.3 * 0.5).all()


def test_the_running_average_is_young_at_first_and_copies_buffers() -> None:
    task = Toy()
    fit = Fit(task, SETTINGS, seed=0)
    expected = task.model[0].weight.detach().clone()

    def follow(step: int) -> None:
        decay = min(SETTINGS.ema_decay, step / (9 + step))
        expected.mul_(decay).add_((1 - decay) * task.model[0].weight.detach())

    fit.run(tick=follow)
    average = fit.average
    assert isinstance(average, nn.Sequential)
    torch.testing.assert_close(average[0].weight, expected)
    assert not torch.equal(average[0].weight, task.model[0].weight)
    assert torch.equal(average[1].running_mean, task.model[1].running_mean)


def test_no_decay_keeps_the_newest_weights() -> None:
    task = Toy()
    fit = Fit(task, SETTINGS.model_copy(update={"ema_decay": 0.0}), seed=0)
    fit.run()
    for mean, value in zip(fit.average.parameters(), task.model.parameters(), strict=True):
        torch.testing.assert_close(mean, value)


def test_curves_have_a_point_at_each_validation_and_at_the_end() -> None:
    task, reported, ticks = Toy(), [], []
    fit = Fit(task, SETTINGS.model_copy(update={"steps": 10}), seed=0)
    fit.run(reported.append, ticks.append)
    assert [point["step"] for point in fit.history] == [4, 8, 10]
    assert all(set(point) == {"step", "train_loss", "validation_error"} for point in fit.history)
    assert reported == fit.history
    assert ticks == list(range(1, 11))
    assert task.evaluated == ["validation"] * 3


@pytest.mark.parametrize("at", [4, 8, 12])
def test_a_resumed_training_equals_an_undisturbed_one_bit_by_bit(at: int) -> None:
    whole = Fit(Toy(), SETTINGS, seed=5)
    kept: dict[float, dict[str, Any]] = {}
    whole.run(lambda values: kept.update({values["step"]: copied(whole.state())}))
    resumed = Fit(Toy(), SETTINGS, seed=5)
    resumed.resume(kept[at])
    torch.manual_seed(999)
    resumed.run()
    for name in ("model", "average"):
        expected, found = whole.state()[name], resumed.state()[name]
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert resumed.history == whole.history


class Drifting(Toy):
    """A toy whose validations are as given, whatever it learns."""

    def __init__(self, errors: list[float]) -> None:
        super().__init__()
        self.errors = errors

    def evaluate(self, model: nn.Module, split: str) -> dict[str, Any]:
        self.evaluated.append(split)
        return {"error": self.errors[len(self.evaluated) - 1]}


PATIENT = SETTINGS.model_copy(update={"steps": 10, "evaluate_every": 1, "patience": 2})


def test_patience_stops_and_keeps_the_best() -> None:
    task = Drifting([3.0, 1.0, 2.0, 1.5, 0.0])
    fit = Fit(task, PATIENT, 0)
    states: list[dict[str, Any]] = []
    fit.run(lambda _: states.append(copied(fit.state())))
    assert [point["validation_error"] for point in fit.history] == [3.0, 1.0, 2.0, 1.5]
    best, kept = states[1]["average"], fit.kept.state_dict()
    assert all(torch.equal(value, best[name]) for name, value in kept.items())
    assert not all(torch.equal(value, best[name]) for name, value in fit.average.state_dict().items())


def test_patience_is_remembered_by_a_resumed_training() -> None:
    whole = Fit(Drifting([3.0, 1.0, 2.0, 1.5]), PATIENT, 0)
    states: list[dict[str, Any]] = []
    whole.run(lambda _: states.append(copied(whole.state())))
    resumed = Fit(Drifting([1.5]), PATIENT, 0)
    resumed.resume(states[2])
    resumed.run()
    assert resumed.history == whole.history
    for one, other in zip(resumed.kept.parameters(), whole.kept.parameters(), strict=True):
        assert torch.equal(one, other)


def test_without_patience_the_last_weights_are_kept() -> None:
    fit = Fit(Drifting([1.0, 2.0, 3.0]), PATIENT.model_copy(update={"steps": 3, "patience": None}), 0)
    fit.run()
    assert len(fit.history) == 3
    for one, other in zip(fit.kept.parameters(), fit.average.parameters(), strict=True):
        assert torch.equal(one, other)


def test_large_gradients_are_clipped() -> None:
    norms = []
    for clip_norm in (1000.0, 0.01):
        task = Toy()
        settings = SETTINGS.model_copy(update={"clip_norm": clip_norm, "steps": 1})
        Fit(task, settings, seed=0).run()
        norms.append(torch.cat([p.grad.flatten() for p in task.model.parameters() if p.grad is not None]).norm().item())
    assert norms[0] > 0.1
    assert norms[1] == pytest.approx(0.01, rel=1e-3)


def test_another_seed_is_another_training() -> None:
    weights = []
    for seed in (0, 1):
        fit = Fit(Toy(), SETTINGS, seed)
        fit.run()
        weights.append(fit.average.state_dict()["0.weight"])
    assert not torch.equal(*weights)


def _line() -> Toy:
    """Make a toy without batch norm and dropout, for which the mean of two halves is the mean of the whole."""
    task = Toy()
    task.model = nn.Sequential(nn.Linear(3, 1))
    nn.init.zeros_(task.model[0].weight)
    nn.init.zeros_(task.model[0].bias)
    return task


def _learned(task: Toy) -> dict[str, Tensor]:
    """Return the weights and the last gradients; Adam alone would forgive gradients of another scale."""
    return {name: p.detach() for name, p in task.model.named_parameters()} | {
        f"{name}.grad": p.grad for name, p in task.model.named_parameters() if p.grad is not None
    }


def _fit_as_one_of_two(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    task = _line()
    Fit(task, UNCLIPPED, 0, rank, 2).run()
    torch.save(_learned(task), Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


def test_two_workers_learn_what_one_learns(tmp_path: Path) -> None:
    task = _line()
    Fit(task, UNCLIPPED, seed=0).run()
    torch.multiprocessing.spawn(_fit_as_one_of_two, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    expected = _learned(task)
    assert len(expected) == 4
    for key, value in expected.items():
        assert value.any()
        assert torch.equal(first[key], second[key])
        torch.testing.assert_close(first[key], value)


def test_each_step_and_worker_draws_its_own_random_numbers() -> None:
    class Drawing(Toy):
        def loss(self, step: int, rank: int, world: int) -> Tensor:
            drawn.append(torch.rand(1).item())
            return super().loss(step, rank, 1)

    drawn: list[float] = []
    for seed in (0, 1):
        Fit(Drawing(), SETTINGS, seed).run()
    fit = Fit(Drawing(), SETTINGS, seed=0, rank=1)
    fit.run()
    assert len(set(drawn)) == len(drawn) == 3 * SETTINGS.steps


def test_precision() -> None:
    cpu = torch.device("cpu")
    assert use_bf16("bf16", cpu)
    assert not use_bf16("float32", cpu)
    assert use_bf16("auto", cpu) in (True, False)

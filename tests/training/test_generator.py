"""Training a generator on the small collection, in plain PyTorch."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from gmn.audio.mulaw import encode_pcm16
from gmn.datasets.dataset import Dataset
from gmn.metrics.bits import LINEAR_PREDICTION, RUNGS
from gmn.models.wavenet import WaveNetConfig
from gmn.training.generator import GeneratorTask, WaveNetSettings
from gmn.training.held_out import held_out_windows
from gmn.training.loop import Fit, FitSettings

CPU = torch.device("cpu")
SETTINGS = WaveNetSettings(
    model=WaveNetConfig(stacks=1, layers=5, residual_channels=12, skip_channels=24),
    fit=FitSettings(
        steps=40,
        batch_size=4,
        learning_rate=0.02,
        warmup_steps=5,
        evaluate_every=20,
        ema_decay=0.8,
        precision="float32",
    ),
    window_samples=400,
    evaluation_windows=6,
)

RECEPTIVE_FIELD = SETTINGS.model.receptive_field


@pytest.fixture(scope="module")
def task(dataset: Dataset) -> GeneratorTask:
    """Build a task that no test trains."""
    return GeneratorTask(dataset, SETTINGS, CPU)


def changed(dataset: Dataset, **changes: object) -> GeneratorTask:
    return GeneratorTask(dataset, SETTINGS.model_copy(update=changes), CPU)


def test_a_few_steps_learn_something(dataset: Dataset) -> None:
    task = GeneratorTask(dataset, SETTINGS, CPU)
    first = task.loss(10_000, 0, 1).item()
    before = task.evaluate(task.model, "validation")["bits"]
    fit = Fit(task, SETTINGS.fit, SETTINGS.seed)
    fit.run()
    assert 7.5 < first < 8.6
    assert task.evaluate(fit.average, "validation")["bits"] < before - 0.7
    assert fit.history[1]["validation_bits"] < fit.history[0]["validation_bits"]
    assert task.loss(10_000, 0, 1).item() < first - 0.7


def test_interrupted_and_resumed_equals_undisturbed(dataset: Dataset) -> None:
    settings = SETTINGS.fit.model_copy(update={"steps": 6, "evaluate_every": 3})
    whole = Fit(GeneratorTask(dataset, SETTINGS, CPU), settings, SETTINGS.seed)
    states: list[dict[str, Any]] = []
    whole.run(lambda _: states.append(copy.deepcopy(whole.state())))
    resumed = Fit(GeneratorTask(dataset, SETTINGS, CPU), settings, SETTINGS.seed)
    resumed.resume(states[0])
    resumed.run()
    expected = whole.average.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in resumed.average.state_dict().items())
    assert resumed.history == whole.history


def test_an_example_depends_on_seed_step_and_item_alone(dataset: Dataset, task: GeneratorTask) -> None:
    codes, condition = task._example(3, 1)
    torch.manual_seed(99)
    again = GeneratorTask(dataset, SETTINGS, CPU)
    again._example(0, 0)
    np.testing.assert_array_equal(again._example(3, 1)[0], codes)
    np.testing.assert_array_equal(again._example(3, 1)[1], condition)
    for step, item in ((3, 2), (4, 1)):
        assert not np.array_equal(task._example(step, item)[0], codes)
    assert not np.array_equal(changed(dataset, seed=1)._example(3, 1)[0], codes)


def test_two_ranks_cover_the_examples_of_one(task: GeneratorTask, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = [task.loss(7, rank, 2).item() for rank in (0, 1)]
    assert np.mean(halves) == pytest.approx(task.loss(7, 0, 1).item(), rel=1e-5)
    drawn: list[int] = []
    example = task._example
    monkeypatch.setattr(task, "_example", lambda step, item: (drawn.append(item), example(step, item))[1])
    for rank in (0, 1):
        task.loss(7, rank, 2)
    assert sorted(drawn) == [0, 1, 2, 3]


def test_an_example_is_a_window_of_a_training_track_with_its_condition(dataset: Dataset) -> None:
    task = changed(dataset, condition_dropout=0.0)
    reader = dataset.segments("train")
    codes, condition = task._example(0, 0)
    assert (codes.shape, codes.dtype) == ((401,), np.uint8)
    whole = [encode_pcm16(reader.pcm(item)) for item in range(len(reader))]
    found = [item for item, other in enumerate(whole) if codes.tobytes() in other.tobytes()]
    assert len(found) == 1
    track = reader.segments[found[0]].track
    np.testing.assert_array_equal(condition, task.conditions.vector(track.genre, track.emotion))


def test_a_window_longer_than_the_segment_ends_in_silence(dataset: Dataset) -> None:
    codes, _ = changed(dataset, window_samples=20_000)._example(0, 0)
    assert len(codes) == 20_001
    assert (codes[16_000:] == encode_pcm16(np.zeros(1, np.int16))[0]).all()


def test_conditions_are_dropped_apart_at_the_given_share(dataset: Dataset, task: GeneratorTask) -> None:
    presence = [len(dataset.genres), -1]
    always = changed(dataset, condition_dropout=1.0)
    assert not any(always._example(0, item)[1].any() for item in range(20))
    half = changed(dataset, condition_dropout=0.5)
    kept = np.array([half._example(0, item)[1][presence] for item in range(400)])
    assert kept.mean(0) == pytest.approx([0.5, 0.5], abs=0.1)
    assert (kept[:, 0] * kept[:, 1]).mean() == pytest.approx(0.25, abs=0.1)


def test_segments_are_drawn_by_their_length(
    dataset: Dataset, task: GeneratorTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    reader = task.readers["train"]
    read = reader.pcm
    monkeypatch.setattr(reader, "pcm", lambda item: (lengths.append(reader.segments[item].n_samples), read(item))[1])
    for item in range(300):
        task._example(0, item)
    assert np.mean(np.array(lengths) == 16_000) == pytest.approx(2 / 3, abs=0.1)


def test_the_tables_come_from_the_training_tracks_alone(dataset: Dataset, task: GeneratorTask) -> None:
    train_ids = {row["track_id"] for row in dataset.split_rows() if row["split"] == "train"}
    train = [track for track in dataset.tracks if track.track_id in train_ids]
    np.testing.assert_allclose(task.conditions.rate_mean, np.mean([track.emotion for track in train], 0), atol=1e-6)


def test_a_uniform_model_is_judged_at_eight_bits(task: GeneratorTask) -> None:
    class Uniform(torch.nn.Embedding):
        def forward(self, codes: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
            return torch.zeros(*codes.shape, 256)

    assert task.evaluate(Uniform(1, 1), "validation") == {"bits": pytest.approx(8)}


def test_a_model_that_sees_the_answer_is_judged_at_zero_bits(task: GeneratorTask) -> None:
    """The logits at t are scored against the code at t + 1, and no other."""

    class Oracle(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            windows = held_out_windows(task.readers["validation"], SETTINGS.evaluation_windows, RECEPTIVE_FIELD)
            self.answers = [torch.from_numpy(window.codes).long() for window in windows]
            self.anywhere = torch.nn.Parameter(torch.zeros(()))

        def forward(self, codes: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
            (answer,) = (a for a in self.answers if torch.equal(a[:-1], codes[0]))
            return 100 * torch.nn.functional.one_hot(answer[1:], 256)[None].float()

    assert task.evaluate(Oracle(), "validation")["bits"] == pytest.approx(0, abs=1e-4)


def test_the_test_split_gets_a_ladder_and_a_verdict(task: GeneratorTask) -> None:
    judged = task.evaluate(task.model, "test")
    assert set(judged) == {"bits", "tracks", "ladder", "verdict", "sentence", "conditions"}
    assert tuple(judged["ladder"]) == (*RUNGS, LINEAR_PREDICTION)
    assert judged["ladder"]["uniform"] == pytest.approx(8)
    assert judged["ladder"]["trigram"] < judged["ladder"]["unigram"] < 8
    assert judged["ladder"]["linear prediction"] < judged["ladder"]["bigram"]
    assert judged["tracks"] == 4
    assert judged["verdict"] == "noise"
    assert math.isfinite(judged["bits"])
    assert judged["sentence"].startswith(f"{judged['bits']:.2f} bits per sample")

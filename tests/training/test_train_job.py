"""The training job: what it refuses before any worker starts, and one training through Ray."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from gmn import runtime
from gmn.datasets.dataset import Dataset
from gmn.errors import InputError
from gmn.generation.library import GenerateConfig, generate_library
from gmn.models.bundle import load_bundle
from gmn.models.lstm import LSTM, LSTMConfig
from gmn.models.wavenet import WaveNetConfig
from gmn.training.job import TrainLSTM, TrainWaveNet, make_task, train
from gmn.training.loop import Fit, FitSettings

FIT = FitSettings(steps=6, batch_size=2, warmup_steps=2, evaluate_every=3, precision="float32")


def wavenet(dataset: Dataset, output: Path, **changes: Any) -> TrainWaveNet:
    settings: dict[str, Any] = {
        "model": WaveNetConfig(stacks=1, layers=4, residual_channels=8, skip_channels=16),
        "fit": FIT,
        "window_samples": 200,
        "evaluation_windows": 4,
        "workers": {"count": 1},
    }
    return TrainWaveNet(dataset=dataset.folder.uri, output=str(output), **settings | changes)


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> None:
        pytest.fail("Ray was asked for")

    monkeypatch.setattr(runtime, "connect", connect)


@pytest.mark.usefixtures("no_ray")
def test_a_batch_that_workers_cannot_share_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fit\.batch_size: 2 is not a multiple of workers\.count=3"):
        train(wavenet(dataset, tmp_path / "out", workers={"count": 3}))
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_ray")
def test_a_missing_dataset_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: no such folder"):
        train(wavenet(dataset, tmp_path / "out", seed=1).model_copy(update={"dataset": str(tmp_path / "none")}))


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_that_no_generator_takes_is_refused(dataset: Dataset, tmp_path: Path, seed: int) -> None:
    """A negative seed once passed and broke in the worker."""
    with pytest.raises(ValueError, match="seed"):
        wavenet(dataset, tmp_path, seed=seed)


@pytest.mark.ray
@pytest.mark.usefixtures("ray")
def test_more_workers_than_the_cluster_has_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="workers: 1 of 999 CPUs each are more than the cluster's"):
        train(wavenet(dataset, tmp_path / "run" / "out", workers={"cpus": 999}))


@pytest.mark.ray
@pytest.mark.usefixtures("ray")
def test_a_training_end_to_end(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a relative path, as typed: a worker may run in another directory."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(Path(dataset.folder.path).parent)
    config = wavenet(dataset, tmp_path / "run" / "wavenet").model_copy(update={"dataset": "dataset"})
    heard: list[tuple[int, int, Mapping[str, float]]] = []
    summary = train(config, lambda *said: heard.append(said))

    loaded = load_bundle(config.output, "generator")
    assert loaded.digest == summary.digest
    assert [point["step"] for point in loaded.facts["history"]] == [3, 6]
    assert loaded.facts["dataset"]["digest"] == dataset.digest
    assert f"{summary.parameters:,} parameters" in Path(config.output, "README.md").read_text()
    assert (6, 6) in [(step, steps) for step, steps, _ in heard]

    # The weights are those of the fit without Ray.
    fit = Fit(make_task(config, next(loaded.model.parameters()).device), config.fit, config.seed)
    fit.run()
    for key, value in loaded.model.state_dict().items():
        assert value.equal(fit.average.state_dict()[key])

    client = MlflowClient(f"sqlite:///{tmp_path}/run/mlflow.db")
    experiment = client.get_experiment_by_name("gmn")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["fit.steps"] == "6"
    assert run.data.metrics["test.bits"] == summary.test["bits"]
    curve = client.get_metric_history(run.info.run_id, "validation_bits")
    assert [(point.step, point.value) for point in curve] == [
        (point["step"], point["validation_bits"]) for point in loaded.facts["history"]
    ]
    assert {item.path for item in client.list_artifacts(run.info.run_id, "bundle")} == {
        f"bundle/{name}" for name in ("model.json", "model.safetensors", "README.md")
    }

    # A kill between the last step and the root: the same command ends it, without another step.
    root = Path(config.output, "model.json").read_bytes()
    Path(config.output, "model.json").unlink()
    assert train(config).digest == summary.digest
    assert len(client.search_runs([experiment.experiment_id])) == 1

    # A whole bundle: nothing to do, and no Ray either.
    assert len(root) > 0
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "connect", None)
        assert train(config) == summary


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray")
def test_an_lstm_is_trained_and_generates(dataset: Dataset, tmp_path: Path) -> None:
    config = TrainLSTM(
        dataset=dataset.folder.uri,
        output=str(tmp_path / "lstm"),
        model=LSTMConfig(frame_size=4, hidden_size=8, embedding_size=4, head_size=8),
        fit=FIT,
        window_samples=200,
        evaluation_windows=4,
        workers={"count": 1},
    )
    summary = train(config)
    loaded = load_bundle(config.output, "generator")
    assert isinstance(loaded.model, LSTM)
    assert loaded.model.config == config.model
    assert summary.test["bits"] < 8.5
    assert "# lstm: a generator of raw audio" in Path(config.output, "README.md").read_text()

    # The weights are those of the fit without Ray.
    fit = Fit(make_task(config, next(loaded.model.parameters()).device), config.fit, config.seed)
    fit.run()
    for key, value in loaded.model.state_dict().items():
        assert value.equal(fit.average.state_dict()[key])

    asked = GenerateConfig(model=config.output, output=str(tmp_path / "library"), clips=2, seconds=0.02, slots=2)
    assert generate_library(asked).clips == 2


def test_another_request_needs_another_output(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StopError(Exception):
        """Stands for a kill before the first step."""

    def stop(*_: object) -> None:
        raise StopError

    monkeypatch.setattr("gmn.training.job._train", stop)
    with pytest.raises(StopError):
        train(wavenet(dataset, tmp_path / "run" / "out"))
    with pytest.raises(InputError, match=r"was made by another request \(seed 0 -> 1\)"):
        train(wavenet(dataset, tmp_path / "run" / "out", seed=1))
    with pytest.raises(StopError):  # workers are no part of the request: another machine may finish the work
        train(wavenet(dataset, tmp_path / "run" / "out", workers={"count": 2}))

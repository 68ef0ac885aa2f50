"""MLflow runs: kept by their output, ended with their job."""

from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from gmn import tracking
from gmn.errors import InputError
from gmn.storage import Folder
from gmn.tracking import Run, run_folder


@pytest.fixture(autouse=True)
def _no_store_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run folder, and so one store, for all tests here: making its tables takes seconds."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def output(folder: Path, request: pytest.FixtureRequest) -> Folder:
    return Folder(folder / request.node.name)


def runs(folder: Path) -> list[Any]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("gmn")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def run_of(output: Folder) -> Any:
    (run,) = (run for run in runs(Path(output.path).parent) if run.info.run_name.endswith(output.path.rsplit("/")[-1]))
    return run


def history(output: Folder, key: str) -> list[tuple[int, float]]:
    client = MlflowClient(f"sqlite:///{Path(output.path).parent}/mlflow.db")
    return [(point.step, point.value) for point in client.get_metric_history(run_of(output).info.run_id, key)]


def test_a_run_has_parameters_curves_results_and_files(output: Folder, tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text("card")
    with tracking.start("train", output, {"fit": {"steps": 5}, "name": None}, {"gmn.kind": "wavenet"}) as run:
        assert run_of(output).info.status == "RUNNING"
        run.log_curves([{"step": 1.0, "loss": 4.0}, {"step": 2.0, "loss": 3.0, "bits": 2.5}])
        run.log_results({"test": {"bits": 2.0, "tracks": 3, "word": "noise", "each": [1, 2]}})
        run.log_files(tmp_path / "card.md", "bundle")
        run.log_files(tmp_path, "all")
    found = run_of(output)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"fit.steps": "5", "name": "None"}
    assert found.data.metrics == {"loss": 3.0, "bits": 2.5, "test.bits": 2.0, "test.tracks": 3.0}
    assert history(output, "loss") == [(1, 4.0), (2, 3.0)]
    assert {"gmn.job": "train", "gmn.kind": "wavenet"}.items() <= found.data.tags.items()
    files = Path(found.info.artifact_uri.removeprefix("file://"))
    assert (files / "bundle" / "card.md").read_text() == "card"
    assert (files / "all" / "card.md").exists()
    assert files.is_relative_to(Path(output.path).parent / "mlartifacts")


def test_more_points_than_mlflow_takes_at_once(output: Folder) -> None:
    with tracking.start("train", output, {f"p{i}": i for i in range(150)}, {}) as run:
        run.log_curves([{"step": float(i), "loss": float(i)} for i in range(1200)])
    assert len(history(output, "loss")) == 1200
    assert len(run_of(output).data.params) == 150


def test_the_same_output_goes_on_with_its_run(output: Folder) -> None:
    class KilledError(Exception):
        """Stands for the kill."""

    with pytest.raises(KilledError), tracking.start("train", output, {}, {}):
        raise KilledError
    assert run_of(output).info.status == "FAILED"
    with tracking.start("train", output, {}, {}):
        assert run_of(output).info.status == "RUNNING"
    assert run_of(output).info.status == "FINISHED"


def test_a_run_that_the_store_does_not_know_is_made_anew(output: Folder) -> None:
    output.write_json("mlflow_run.json", {"run_id": "0" * 32})
    with tracking.start("train", output, {}, {}):
        pass
    assert run_of(output).info.run_id == output.read_json("mlflow_run.json")["run_id"] != "0" * 32


def test_another_store_by_the_environment(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    output = Folder(tmp_path / "elsewhere")
    with tracking.start("train", output, {}, {}):
        pass
    assert not (tmp_path / "mlflow.db").exists()
    assert "train elsewhere" in [run.info.run_name for run in runs(folder)]


def test_a_store_that_cannot_be_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "bogus://store")
    with (
        pytest.raises(InputError, match="MLflow store bogus://store cannot be used"),
        tracking.start("train", Folder(tmp_path / "out"), {}, {}),
    ):
        pytest.fail("it started")


def test_without_mlflow_nothing_is_tracked() -> None:
    run = Run()
    run.log_curves([{"step": 1.0, "loss": 2.0}])
    run.log_results({"a": 1})
    run.log_files(Path("none"))


def test_the_run_folder_holds_the_output(tmp_path: Path) -> None:
    assert run_folder(Folder(tmp_path / "run" / "wavenet")) == tmp_path / "run"

"""MLflow, and the only module that touches it.

The store is SQLite in the run folder, the folder that holds a job's output, unless MLFLOW_TRACKING_URI names another.
A job's run is kept by its output: the same command again goes on with the same run. Where MLflow is not installed, the
jobs run without tracking.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gmn.errors import InputError
from gmn.storage import Folder

EXPERIMENT = "gmn"
RUN_FILE = "mlflow_run.json"
BATCH = 1000
"""MLflow takes at most a thousand metrics, or a hundred parameters, at a time."""

log = logging.getLogger(__name__)


class Run:
    """One MLflow run, or nothing where MLflow is not installed."""

    def __init__(self, client: Any = None, run_id: str = "") -> None:
        self._client, self._run_id = client, run_id

    def log_curves(self, points: Sequence[Mapping[str, float]]) -> None:
        """Log points of curves, each a mapping with its `step`, in batches."""
        self._log_metrics(
            [(key, value, int(point["step"])) for point in points for key, value in point.items() if key != "step"]
        )

    def log_results(self, results: Mapping[str, Any]) -> None:
        """Log final numbers under dotted names; lists and texts among them are left out."""
        self._log_metrics([(key, float(value), 0) for key, value in _flat(results) if isinstance(value, int | float)])

    def log_files(self, path: Path, folder: str = "") -> None:
        """Log a file, or a folder's files, as artifacts."""
        if self._client is None:
            return
        if path.is_dir():
            self._client.log_artifacts(self._run_id, str(path), folder)
        else:
            self._client.log_artifact(self._run_id, str(path), folder)

    def _log_metrics(self, metrics: Sequence[tuple[str, float, int]]) -> None:
        if self._client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entities = [Metric(key, value, now, step) for key, value, step in metrics]
        for start in range(0, len(entities), BATCH):
            self._client.log_batch(self._run_id, metrics=entities[start : start + BATCH])


@contextlib.contextmanager
def start(job: str, output: Folder, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> Iterator[Run]:
    """Open the run of a job's output, a new one or the one of an interrupted job; it ends with the block.

    Raises InputError where the tracking store cannot be used.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError:
        log.warning("MLflow is not installed: %s runs without tracking", job)
        yield Run()
        return
    _quieten()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or _default_uri(output)
    try:
        client = MlflowClient(uri)
        run_id = _open_run(client, job, output, parameters, tags)
    except MlflowException as error:
        raise InputError(f"MLflow store {uri} cannot be used: {error.message.splitlines()[0]}") from None
    try:
        yield Run(client, run_id)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def run_folder(output: Folder) -> Path:
    """Return the local folder that holds a job's output, where its tracking store and log lie by default."""
    return output.local.parent if output.local is not None else Path.cwd()


def _default_uri(output: Folder) -> str:
    folder = run_folder(output)
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder}/mlflow.db"


def _open_run(client: Any, job: str, output: Folder, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        default = not os.environ.get("MLFLOW_TRACKING_URI")
        artifacts = (run_folder(output) / "mlartifacts").as_uri() if default else None
        experiment_id = client.create_experiment(EXPERIMENT, artifact_location=artifacts)
    else:
        experiment_id = experiment.experiment_id
    if output.exists(RUN_FILE):
        run_id = str(output.read_json(RUN_FILE)["run_id"])
        known = client.search_runs([experiment_id], f"attributes.run_id = '{run_id}'")
        if known:
            client.update_run(run_id, "RUNNING")
            return run_id
    name = output.path.rstrip("/").rsplit("/", 1)[-1]
    run = client.create_run(experiment_id, run_name=f"{job} {name}", tags={"gmn.job": job, **tags})
    from mlflow.entities import Param

    flat = [Param(key, str(value)) for key, value in _flat(parameters)]
    for start in range(0, len(flat), 100):
        client.log_batch(run.info.run_id, params=flat[start : start + 100])
    output.write_json(RUN_FILE, {"run_id": run.info.run_id})
    return str(run.info.run_id)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _quieten() -> None:
    for name in ("mlflow", "alembic"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True

"""The training job: Ray Train around a plain fit, from a dataset to a bundle.

    driver: check, claim ----> worker(s): Fit, checkpoint at each validation ----> driver: bundle, tracking
                 ^------------- mailbox: steps and curve points -------------'

A worker that dies is started again from the last checkpoint; so is the whole job, by the same command.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from gmn import __version__, runtime, tracking
from gmn.config import Config
from gmn.datasets.dataset import Dataset
from gmn.errors import InputError
from gmn.models.bundle import BUNDLE, CLASSIFIERS, Bundle, Classifier, Generator, count_parameters, save_bundle
from gmn.models.classifier import SpectrogramClassifier
from gmn.models.conditioning import Conditions
from gmn.storage import Folder
from gmn.training import generator, labelled
from gmn.training.card import model_card
from gmn.training.classifier import ClassifierTask, CNNSettings, ResNetSettings
from gmn.training.generator import GeneratorTask, LSTMSettings, WaveNetSettings
from gmn.training.knn import KNNSettings
from gmn.training.knn_job import learn_knn
from gmn.training.loop import Fit

STATE = "training_state"

Tick = Callable[[int, int, Mapping[str, float]], None]
"""Called with the steps done, the steps in all, and the newest point of the curves."""


class Workers(Config):
    """The processes that train together."""

    count: int | None = Field(None, ge=1)
    """Number of processes; each takes an equal share of every batch. None: as many as the cluster has room for and the
    batch divides by, at most 8."""
    cpus: int = Field(1, ge=1)
    """Cores, and torch threads, of each. Several threads of one process wait for each other where a core is busy."""


class Paths(Config):
    """From what, and to where."""

    dataset: str
    """The dataset to learn from."""
    output: str
    """The bundle to write."""


class TrainPaths(Paths):
    """The same, and by how many."""

    workers: Workers = Workers()
    """The processes that train together."""


class TrainWaveNet(WaveNetSettings, TrainPaths):
    """Train a conditional WaveNet, a generator of raw audio."""


class TrainLSTM(LSTMSettings, TrainPaths):
    """Train a conditional LSTM, a generator of raw audio."""


class TrainResNet(ResNetSettings, TrainPaths):
    """Train a ResNet, a classifier of genre and of emotion."""


class TrainCNN(CNNSettings, TrainPaths):
    """Train a plain convolutional network, a classifier of genre and of emotion."""


class TrainKNN(KNNSettings, Paths):
    """Fit a k-NN on hand-made features, a classifier of genre and of emotion."""


Network = TrainWaveNet | TrainLSTM | TrainResNet | TrainCNN
Training = Network | TrainKNN

TRAINING: dict[str, type[Training]] = {
    "wavenet": TrainWaveNet,
    "lstm": TrainLSTM,
    "resnet": TrainResNet,
    "cnn": TrainCNN,
    "knn": TrainKNN,
}
"""What `kind` may name."""


@dataclass(frozen=True)
class TrainSummary:
    """What a training gave."""

    digest: str
    parameters: int
    test: Mapping[str, Any]


def train(config: Training, tick: Tick = lambda step, steps, values: None) -> TrainSummary:
    """Train a model and write its bundle, or go on where an interrupted training stopped.

    Raises InputError before any worker starts where the dataset, the output or the settings cannot be used.
    """
    dataset, output = Dataset(config.dataset), Folder(config.output)
    check(config, dataset)
    request = config.model_dump(mode="json", exclude={"output", "workers", "dataset"}) | {"dataset": dataset.digest}
    with BUNDLE.claim(output, request) as whole:
        if not whole:
            tags = {"gmn.kind": config.kind, "gmn.dataset": dataset.digest, "gmn.version": __version__}
            with tracking.start("train", output, config.model_dump(mode="json"), tags) as run:
                _train(config, dataset, output, run, tick)
        root = BUNDLE.read(output)
        return TrainSummary(root["digest"], root["parameters"], root["test"])


def check(config: Training, dataset: Dataset) -> None:
    """Check that a dataset has what a training needs.

    Raises InputError where it has not.
    """
    if isinstance(config, TrainKNN):
        labelled.open_readers(dataset, config.heads)
        return
    if config.workers.count is not None and config.fit.batch_size % config.workers.count:
        raise InputError(
            f"fit.batch_size: {config.fit.batch_size} is not a multiple of workers.count={config.workers.count}"
        )
    if config.fit.matrix_learning_rate is not None and config.kind != "wavenet":
        raise InputError(f"fit.matrix_learning_rate: only a wavenet has matrices for it, a {config.kind} has none")
    if isinstance(config, TrainResNet | TrainCNN):
        labelled.open_readers(dataset, config.heads)
        config.make_model(dataset.sample_rate, labelled.choose_heads(dataset, config.heads))  # for what `init` raises
    else:
        generator.open_readers(dataset)


def _train(config: Training, dataset: Dataset, output: Folder, run: tracking.Run, tick: Tick) -> None:
    started = time.time()
    model: Generator | Classifier
    if isinstance(config, TrainKNN):
        model, found = learn_knn(dataset, config, lambda done, total: tick(done, total, {}))
    else:
        model, found = _fit_on_ray(config, dataset, output, tick)
    conditions = Conditions.from_json(found["conditions"])
    facts = {
        "parameters": count_parameters(model),
        "dataset": {"uri": dataset.folder.uri, "digest": dataset.digest, "counts": dataset.root["counts"]},
        "training": config.model_dump(mode="json", exclude={"dataset", "output"}),
        "test": found["test"],
        "temperatures": found["temperatures"],
        "bf16": found["bf16"],
        "history": found["history"],
        "train_seconds": round(time.time() - started, 1),
    }
    bundle = Bundle(model, dataset.sample_rate, conditions, facts)
    save_bundle(output, bundle, model_card(bundle))
    run.log_curves(found["history"])
    run.log_results({"test": found["test"], "train_seconds": facts["train_seconds"]})
    if output.local is not None:
        for name in ("model.json", "model.safetensors", "README.md"):
            run.log_files(output.local / name, "bundle")


def _fit_on_ray(
    config: Network, dataset: Dataset, output: Folder, tick: Tick
) -> tuple[Generator | Classifier, dict[str, Any]]:
    """Run the fit under Ray Train; returns the network to keep and what the first worker found."""
    runtime.connect()
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    available, cpus = int(ray.cluster_resources().get("CPU", 1)), config.workers.cpus
    room = max(1, min(8, available // cpus))
    count = config.workers.count or max(n for n in range(1, room + 1) if config.fit.batch_size % n == 0)
    if cpus * count > available:
        raise InputError(f"workers: {count} of {cpus} CPUs each are more than the cluster's {available} CPUs")
    # A worker may run in another directory, where a relative path would mean something else.
    absolute = config.model_copy(update={"dataset": Folder(config.dataset).address})
    if isinstance(absolute, TrainResNet) and absolute.init is not None:
        absolute = absolute.model_copy(update={"init": str(Path(absolute.init).absolute())})
    with runtime.listening(lambda message: tick(message[0], config.fit.steps, message[1])) as mailbox:
        result = TorchTrainer(
            _worker,
            train_loop_config={"config": absolute, "cpus": cpus, "mailbox": mailbox},
            scaling_config=ScalingConfig(num_workers=count, resources_per_worker={"CPU": cpus}),
            run_config=RunConfig(
                name=STATE,
                storage_path=output.address,
                checkpoint_config=CheckpointConfig(num_to_keep=1),
                failure_config=FailureConfig(max_failures=2),
            ),
        ).fit()
    if "error" in result.return_value:
        raise InputError(result.return_value["error"])
    with result.checkpoint.as_directory() as folder:
        state = torch.load(Path(folder, "state.pt"), weights_only=True)
    found: dict[str, Any] = result.return_value
    if isinstance(config, TrainResNet | TrainCNN):
        model = CLASSIFIERS[config.kind][0](config.model, dataset.sample_rate, found["heads"])
    else:
        model = config.make_model(Conditions.from_json(found["conditions"]).size)
    model.load_state_dict(state["best"]["weights"] if state["best"] else state["average"])
    if isinstance(model, SpectrogramClassifier):
        model.divide_logits(found["temperatures"])
    return model, found


def _worker(arguments: dict[str, Any]) -> dict[str, Any]:
    """Fit in one worker process; the first one validates, saves and returns what is worth keeping."""
    import ray.train
    from ray.train.torch import get_device

    config, mailbox = arguments["config"], arguments["mailbox"]
    torch.set_num_threads(arguments["cpus"])
    # Numbers below 1e-38 count as zero: a processor takes many times as long for them, and an LSTM comes to have many.
    torch.set_flush_denormal(True)
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    task = make_task(config, get_device())
    fit = Fit(task, config.fit, config.seed, rank, world)
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            fit.resume(torch.load(Path(folder, "state.pt"), weights_only=True))

    def report(values: dict[str, float]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            kept = None
            if rank == 0:
                torch.save(fit.state(), Path(folder, "state.pt"))
                kept = ray.train.Checkpoint.from_directory(folder)
                mailbox.put.remote((fit.step, values))
            ray.train.report(values, checkpoint=kept)

    last = time.monotonic()

    def tick(step: int) -> None:
        nonlocal last
        if rank == 0 and time.monotonic() - last > 0.5:
            last = time.monotonic()
            mailbox.put.remote((step, {}))

    try:
        fit.run(report, tick)
    except InputError as error:
        # Returned, since Ray would start a worker that raises once more, only to see it fail again.
        return {"error": str(error)}
    if rank > 0:
        return {}
    model = fit.kept
    temperatures: dict[str, float] = {}
    bf16: dict[str, Any] = {}
    if isinstance(task, ClassifierTask):
        assert isinstance(model, SpectrogramClassifier)
        temperatures = task.calibrate(model)
        model.divide_logits(temperatures)
        bf16 = task.check_bf16(model)
    return {
        "test": task.evaluate(model, "test"),
        "history": fit.history,
        "conditions": task.conditions.to_json(),
        "heads": task.heads,
        "temperatures": temperatures,
        "bf16": bf16,
    }


def make_task(config: Network, device: torch.device) -> GeneratorTask | ClassifierTask:
    """Build what a configuration trains, on a device."""
    dataset = Dataset(config.dataset)
    if isinstance(config, TrainResNet | TrainCNN):
        return ClassifierTask(dataset, config, device)
    return GeneratorTask(dataset, config, device)

"""A small synthetic collection, its dataset and untrained models of it, made once; and Ray, real or in this process."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import settings

from gmn import runtime
from gmn.corpus.write import write_corpus
from gmn.datasets import ingest as ingest_module
from gmn.datasets.dataset import Dataset
from gmn.datasets.ingest import ingest
from gmn.datasets.labels import GEMS, LabelsConfig
from gmn.datasets.listing import Chunk
from gmn.datasets.settings import IngestConfig
from gmn.datasets.stage import ingest_chunk
from gmn.datasets.summary import IngestSummary
from gmn.models.bundle import Bundle, save_bundle
from gmn.models.conditioning import Conditions
from gmn.models.resnet import ResNet, ResNetConfig
from gmn.models.wavenet import WaveNet, WaveNetConfig
from gmn.storage import Folder

RATE = 8000

# How long an example takes says how busy the machine is.
settings.register_profile("gmn", deadline=None)
settings.load_profile("gmn")

# Another number of threads rounds otherwise; and the tests share the cores with Ray's workers.
torch.set_num_threads(1)

Ingest = Callable[[IngestConfig], IngestSummary]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 tracks of 3 s, 6 a genre, with labels.csv."""
    return write_corpus(tmp_path_factory.mktemp("corpus") / "audio", tracks=24, seconds=3.0, sample_rate=RATE)


@pytest.fixture(scope="session")
def ingest_here() -> Ingest:
    """Return `ingest` with its decode stage in this process instead of Ray."""

    def run_chunks(todo: Sequence[Chunk], config: IngestConfig) -> Iterator[int]:
        for chunk in todo:
            yield ingest_chunk(chunk, config.source, Folder(config.output), config.sample_rate, config.segment_samples)

    def run(config: IngestConfig) -> IngestSummary:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ingest_module, "_run_chunks", run_chunks)
            return ingest(config)

    return run


@pytest.fixture(scope="session")
def dataset(corpus: Path, ingest_here: Ingest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Ingest the collection: 8 kHz, segments of 2 s (so that each track has a short last one), genre and emotion."""
    output = tmp_path_factory.mktemp("dataset") / "dataset"
    labels = LabelsConfig(kind="table", path=str(corpus / "labels.csv"))
    ingest_here(
        IngestConfig(source=str(corpus), output=str(output), sample_rate=RATE, segment_seconds=2.0, labels=labels)
    )
    return Dataset(str(output))


@pytest.fixture(scope="session")
def ray() -> Iterator[None]:
    """Start a Ray of this machine, as the jobs do; stop it at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "local")
        runtime.connect()
        yield
        import ray

        ray.shutdown()


class RayHere:
    """As much of Ray as generation and labelling use, in this process: a task runs when its result is asked for."""

    @staticmethod
    def remote(**_: object) -> Callable[[Callable[..., Any]], SimpleNamespace]:
        return lambda task: SimpleNamespace(remote=lambda *given: lambda: task(*given))

    @staticmethod
    def cluster_resources() -> dict[str, float]:
        return {"CPU": 1.0}


@pytest.fixture
def ray_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the tasks of the generation and labelling jobs in this process, without Ray."""

    @contextlib.contextmanager
    def listening(hear: Callable[[Any], None]) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(put=SimpleNamespace(remote=hear))

    monkeypatch.setitem(sys.modules, "ray", RayHere())
    monkeypatch.setattr(runtime, "connect", lambda: None)
    monkeypatch.setattr(runtime, "listening", listening)
    monkeypatch.setattr(runtime, "results", lambda tasks: (task() for task in tasks))


@pytest.fixture(scope="session")
def bundles(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write untrained models of the dataset, of a few channels: wavenet, resnet-genre and resnet-emotion."""
    folder = tmp_path_factory.mktemp("bundles")
    conditions = Conditions.fit(dataset.genres, [(track.genre, track.emotion) for track in dataset.tracks])
    facts = {
        "parameters": 1234,
        "dataset": {"uri": dataset.folder.uri, "digest": dataset.digest, "counts": dataset.root["counts"]},
        "train_seconds": 1.0,
    }
    torch.manual_seed(0)
    wavenet = WaveNet(WaveNetConfig(stacks=1, layers=4, residual_channels=6, skip_channels=8), conditions.size)
    ladder = {"uniform": 8.0, "unigram": 6.0, "bigram": 5.0, "trigram": 4.5}
    of_wavenet = {
        "training": {"kind": "wavenet", "seed": 0, "fit": {"steps": 6, "batch_size": 2}},
        "test": {"bits": 5.5, "tracks": 4, "ladder": ladder, "verdict": "noise", "sentence": "5.50 bits: noise."},
        "history": [{"step": 3.0, "train_loss": 7.0, "validation_bits": 6.0}],
    }
    save_bundle(Folder(folder / "wavenet"), Bundle(wavenet, RATE, conditions, facts=facts | of_wavenet), "# card\n")
    tests: dict[str, dict[str, Any]] = {
        "genre": {
            "accuracy": 0.5,
            "interval": [0.15, 0.85],
            "macro_f1": 0.5,
            "majority": 0.25,
            "confusion": [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]],
            "tracks": 4,
        },
        "emotion": {"mean_r": 0.25, "r": {"power": 0.25}, "tracks": 4},
    }
    for head, test in tests.items():
        labels = dataset.genres if head == "genre" else GEMS
        shape = ResNetConfig(widths=(4, 6), n_fft=512, hop_length=160, n_mels=24)
        resnet = ResNet(shape, RATE, {head: labels})
        training = {"kind": "resnet", "seed": 0, "fit": {"steps": 6, "batch_size": 2}}
        more = {"training": training, "test": {head: test}, "history": [{"step": 3.0, "train_loss": 1.0}]}
        save_bundle(Folder(folder / f"resnet-{head}"), Bundle(resnet, RATE, conditions, facts | more), "# card\n")
    return folder

"""A small synthetic collection and its dataset, made once; and a local Ray for the tests that need one."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gmn.corpus.write import write_corpus
from gmn.datasets import ingest as ingest_module
from gmn.datasets.dataset import Dataset
from gmn.datasets.ingest import IngestConfig, IngestSummary, SourceFile, ingest, ingest_chunk
from gmn.datasets.labels import LabelsConfig

RATE = 8000

Ingest = Callable[[IngestConfig], IngestSummary]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 tracks of 3 s, 6 a genre, with labels.csv."""
    return write_corpus(tmp_path_factory.mktemp("corpus") / "audio", tracks=24, seconds=3.0, sample_rate=RATE)


@pytest.fixture(scope="session")
def ingest_here() -> Ingest:
    """Return `ingest` with its decode stage in this process instead of Ray."""

    def run_chunks(todo: Sequence[tuple[list[SourceFile], str]], config: IngestConfig) -> Iterator[int]:
        for chunk, stem in todo:
            yield ingest_chunk(chunk, stem, config)

    def run(config: IngestConfig) -> IngestSummary:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ingest_module, "_run_chunks", run_chunks)
            return ingest(config)

    return run


@pytest.fixture(scope="session")
def dataset(corpus: Path, ingest_here: Ingest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The collection's dataset: 8 kHz, segments of 2 s (so that each track has a short last one), genre and emotion."""
    output = tmp_path_factory.mktemp("dataset") / "dataset"
    labels = LabelsConfig(kind="table", path=str(corpus / "labels.csv"))
    ingest_here(
        IngestConfig(source=str(corpus), output=str(output), sample_rate=RATE, segment_seconds=2.0, labels=labels)
    )
    return Dataset(str(output))


@pytest.fixture(scope="session")
def ray() -> Iterator[None]:
    """A Ray of this machine, as the jobs start it; stopped at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "local")
        from gmn import runtime

        runtime.connect()
        yield
        import ray

        ray.shutdown()

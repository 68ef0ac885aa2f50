"""Run the whole chain, from a folder of music to a labelled clip library and its report.

Each stage is skipped when its output is whole, so that the same command goes on after a kill. Without a source, gmn
composes its own small collection first.
"""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from pydantic import Field

from gmn.config import Config
from gmn.datasets.dataset import Dataset
from gmn.datasets.labels import LabelsConfig
from gmn.datasets.settings import IngestConfig, IngestSettings
from gmn.errors import InputError
from gmn.evaluation.evaluate import EvaluateConfig, EvaluateSettings
from gmn.generation.prime import read_prime
from gmn.generation.settings import GenerateConfig, GenerateSettings
from gmn.labelling.classify import ClassifyConfig
from gmn.models.conditioning import Conditions
from gmn.storage import Folder
from gmn.training.classifier import ResNetSettings
from gmn.training.generator import WaveNetSettings
from gmn.training.job import Training, TrainResNet, TrainWaveNet, check
from jobs._job import run
from jobs.classify import run_classify
from jobs.corpus import CorpusConfig, CorpusSettings, run_corpus
from jobs.evaluate import run_evaluate
from jobs.generate import run_generate
from jobs.ingest import run_ingest
from jobs.train import run_train

C = TypeVar("C", bound=Config)


class PipelineConfig(Config):
    """The chain's settings, a group for each stage."""

    output: str = Field("runs/demo", min_length=1)
    """The run folder, a local one: every stage writes a folder of its own in it."""
    source: str | None = None
    """A directory of audio; none: gmn composes a small collection of its own."""
    corpus: CorpusSettings = CorpusSettings()
    """The collection that gmn composes."""
    ingest: IngestSettings = IngestSettings()
    """The dataset; gmn's own collection comes with its own labels."""
    wavenet: WaveNetSettings = WaveNetSettings()
    """The generator."""
    resnet: ResNetSettings = ResNetSettings()
    """The classifier, of all heads that the dataset has labels for; without any there is none."""
    generate: GenerateSettings = GenerateSettings()
    """The clips."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """The report."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    return run("jobs.pipeline", __doc__, PipelineConfig, run_pipeline, argv)


def run_pipeline(config: PipelineConfig) -> str:
    """Run the stages in turn."""
    out, started = config.output.rstrip("/"), time.monotonic()
    if Folder(out).local is None:
        raise InputError(f"output {out}: the report is written to a local folder")
    source, dataset, ingest = config.source, f"{out}/dataset", dict(config.ingest)
    if source is None:
        source = f"{out}/corpus"
        _stage("corpus", run_corpus, CorpusConfig(output=source, **dict(config.corpus)))
        ingest["labels"] = LabelsConfig(kind="table", path=f"{source}/labels.csv")
    _stage("ingest", run_ingest, IngestConfig(source=source, output=dataset, **ingest))
    written = Dataset(dataset)
    wavenet = TrainWaveNet(dataset=dataset, output=f"{out}/wavenet", **dict(config.wavenet))
    classifiers = [TrainResNet(dataset=dataset, output=f"{out}/resnet", **dict(config.resnet))] if written.heads else []
    # What a later stage would refuse is refused before the long ones.
    trainings: list[Training] = [wavenet, *classifiers]
    for training in trainings:
        check(training, written)
    _check_asked(config, written)
    _stage("train the generator", run_train, wavenet)
    for classifier in classifiers:
        _stage("train the classifier", run_train, classifier)
    library = f"{out}/library"
    _stage("generate", run_generate, GenerateConfig(model=wavenet.output, output=library, **dict(config.generate)))
    if classifiers:
        models = tuple(classifier.output for classifier in classifiers)
        _stage("classify", run_classify, ClassifyConfig(models=models, source=library))
    report = EvaluateConfig(library=library, dataset=dataset, output=f"{out}/report", **dict(config.evaluate))
    _stage("evaluate", run_evaluate, report)
    minutes = (time.monotonic() - started) / 60
    return f"\ndone in {minutes:.1f} minutes; the report is {report.output}/index.html"


def _check_asked(config: PipelineConfig, dataset: Dataset) -> None:
    """Refuse a genre or an emotion that no track carries, and an unusable prime, before the generator is trained."""
    asked = config.generate
    known = Conditions.fit(dataset.genres, [(track.genre, track.emotion) for track in dataset.tracks])
    for genre in asked.genres or ():
        known.vector(genre, None)
    for emotion in asked.emotions or ():
        known.vector(None, emotion)
    if asked.prime is not None:
        field = config.wavenet.model.receptive_field
        read_prime(asked.prime, asked.prime_seconds, dataset.sample_rate, field)


def _stage(name: str, stage: Callable[[C], str], config: C) -> None:
    print(f"\n[{name}]", flush=True)
    print(stage(config), flush=True)


if __name__ == "__main__":
    sys.exit(main())

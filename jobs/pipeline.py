"""Run the whole chain, from a folder of music to a labelled clip library and its report.

Each stage is skipped when its output is whole, so that the same command goes on after a kill. Without a source, gmn
composes its own small collection first.
"""

import sys
import time
from collections.abc import Callable

from gmn.config import Config
from gmn.datasets.ingest import IngestConfig, IngestSettings
from gmn.datasets.labels import LabelsConfig
from gmn.evaluation.evaluate import EvaluateConfig, EvaluateSettings
from gmn.generation.library import GenerateConfig, GenerateSettings
from gmn.labelling.classify import ClassifyConfig
from gmn.training.classifier import ResNetSettings
from gmn.training.generator import WaveNetSettings
from gmn.training.job import TrainResNet, TrainWaveNet
from jobs._job import run
from jobs.classify import run_classify
from jobs.corpus import CorpusConfig, CorpusSettings, run_corpus
from jobs.evaluate import run_evaluate
from jobs.generate import run_generate
from jobs.ingest import run_ingest
from jobs.train import run_train


class PipelineConfig(Config):
    """The chain's settings, a group for each stage."""

    output: str = "runs/demo"
    """The run folder: every stage writes a folder of its own in it."""
    source: str | None = None
    """A directory of audio; none: gmn composes a small collection of its own."""
    labels: LabelsConfig = LabelsConfig()
    """Where a given source's labels come from; emotions are trained where they hold rates."""
    corpus: CorpusSettings = CorpusSettings()
    """The collection that gmn composes."""
    ingest: IngestSettings = IngestSettings()
    """Its labels are those above."""
    wavenet: WaveNetSettings = WaveNetSettings()
    """The generator."""
    resnet: ResNetSettings = ResNetSettings()
    """The classifiers, one for genre and one for emotion."""
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
    source, labels = config.source, config.labels
    if source is None:
        source, labels = f"{out}/corpus", LabelsConfig(kind="table", path=f"{out}/corpus/labels.csv")
        _stage("corpus", lambda: run_corpus(CorpusConfig(output=source, **dict(config.corpus))))
    dataset = f"{out}/dataset"
    ingest = dict(config.ingest) | {"labels": labels}
    _stage("ingest", lambda: run_ingest(IngestConfig(source=source, output=dataset, **ingest)))
    heads = ("genre", "emotion") if labels.kind in ("table", "emotify") else ("genre",)
    wavenet = TrainWaveNet(dataset=dataset, output=f"{out}/wavenet", **dict(config.wavenet))
    _stage("train the generator", lambda: run_train(wavenet))
    for head in heads:
        settings = dict(config.resnet) | {"head": head}
        resnet = TrainResNet(dataset=dataset, output=f"{out}/resnet-{head}", **settings)
        _stage(f"train the {head} classifier", lambda resnet=resnet: run_train(resnet))
    library = f"{out}/library"
    generate = GenerateConfig(model=wavenet.output, output=library, **dict(config.generate))
    _stage("generate", lambda: run_generate(generate))
    models = tuple(f"{out}/resnet-{head}" for head in heads)
    _stage("classify", lambda: run_classify(ClassifyConfig(models=models, source=library)))
    report = EvaluateConfig(library=library, dataset=dataset, output=f"{out}/report", **dict(config.evaluate))
    _stage("evaluate", lambda: run_evaluate(report))
    minutes = (time.monotonic() - started) / 60
    return f"\ndone in {minutes:.1f} minutes. Open {report.output}/index.html in a browser; `make ui` shows the runs."


def _stage(name: str, stage: Callable[[], str]) -> None:
    print(f"\n[{name}]", flush=True)
    print(stage(), flush=True)


if __name__ == "__main__":
    sys.exit(main())

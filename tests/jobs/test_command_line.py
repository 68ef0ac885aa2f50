"""What every job does with its command line: help, and one clear line for what cannot be used, before Ray starts."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from gmn import runtime
from gmn.config import keys
from gmn.datasets.dataset import Dataset
from gmn.datasets.settings import IngestConfig
from gmn.errors import InputError
from gmn.evaluation.compare import CompareConfig
from gmn.evaluation.evaluate import EvaluateConfig
from gmn.generation.settings import GenerateConfig
from gmn.labelling.classify import ClassifyConfig
from gmn.training.job import TrainCNN, TrainLSTM, TrainResNet, TrainWaveNet
from jobs import _job, classify, compare, corpus, evaluate, generate, ingest, pipeline, train
from jobs.corpus import CorpusConfig
from jobs.pipeline import PipelineConfig

JOBS: dict[str, tuple[Any, tuple[type[Any], ...]]] = {
    "classify": (classify.main, (ClassifyConfig,)),
    "compare": (compare.main, (CompareConfig,)),
    "corpus": (corpus.main, (CorpusConfig,)),
    "evaluate": (evaluate.main, (EvaluateConfig,)),
    "generate": (generate.main, (GenerateConfig,)),
    "ingest": (ingest.main, (IngestConfig,)),
    "pipeline": (pipeline.main, (PipelineConfig,)),
    "train": (train.main, (TrainWaveNet, TrainLSTM, TrainResNet, TrainCNN)),
}


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "connect", lambda: pytest.fail("Ray was asked for"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundles: Path, dataset: Dataset) -> Path:
    """Lay out one folder of each kind of unusable input, and good ones beside them; jobs run in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "words", "music"):
        Path(name).mkdir()
    Path("words/a.txt").write_text("a")
    soundfile.write("music/a.wav", [0.1] * 100, 8000)
    Path("file").write_text("a file")
    for name in ("wavenet", "resnet-genre"):
        Path(name).symlink_to(bundles / name)
    Path("dataset").symlink_to(dataset.folder.path)
    for name, root in (("dataset", "dataset.json"), ("resnet-genre", "model.json")):
        Path(f"future-{name}").mkdir()
        content = json.loads(Path(name, root).read_text()) | {"version": "2.0"}
        Path(f"future-{name}", root).write_text(json.dumps(content))
    return tmp_path


REFUSED = {
    # ingest
    "ingest source=none output=out": "source none: no such folder",
    "ingest source=empty output=out": "source empty: no audio in it",
    "ingest source=words output=out": "source words: no audio in it",
    "ingest source=file output=out": "source file: not a folder",
    "ingest source=music output=words": "output words: holds something else (it has 'a.txt' but no job.json)",
    "ingest source=music output=file/out": "output file/out: cannot be written: Not a directory",
    "ingest source=music output=new/out labels.kind=table labels.path=none.csv": "none.csv: No such file",
    "ingest source=music output=out sample_rat=1": "sample_rat: unknown key; did you mean sample_rate?",
    "ingest source=music output=out sample_rate=high": "sample_rate: Input should be a valid integer",
    "ingest source=music": "output: is required",
    "ingest music": "music: not understood",
    "ingest --config none.yaml": "--config none.yaml: No such file or directory",
    "ingest --config": "--config needs a file name",
    "ingest source=music output=nowhere://x": "nowhere://x: cannot open this address",
    # train
    "train dataset=dataset output=out": "kind: is required, one of wavenet, lstm, resnet",
    "train kind=lstn dataset=dataset output=out": "kind: 'lstn' is unknown",
    "train kind=wavenet dataset=none output=out": "none: no such folder",
    "train kind=wavenet dataset=wavenet output=out": "wavenet: not a dataset",
    "train kind=wavenet dataset=future-dataset output=out": "future-dataset: a dataset of format 2.0, written by",
    "train kind=wavenet dataset=dataset output=words": "output words: holds something else",
    "train kind=wavenet dataset=dataset output=out fit.stepz=1": "fit.stepz: unknown key; did you mean fit.steps?",
    # generate
    "generate model=none output=out": "none: no such folder",
    "generate model=dataset output=out": "dataset: not a bundle",
    "generate model=resnet-genre output=out": "resnet-genre: holds a classifier",
    "generate model=wavenet output=out genres=polka": "genre 'polka' is unknown to this model, which knows: chorale",
    "generate model=wavenet output=out seconds=0": "seconds: Input should be greater than 0",
    "generate model=wavenet output=out emotions=0.5:0.5": "emotion [0.5, 0.5]: needs 9 rates from 0 to 1",
    "generate model=wavenet output=out top_p=1.5": "top_p: Input should be less than or equal to 1",
    "generate model=wavenet output=out precision=fp16": "backend folded with precision fp16: not for a wavenet",
    "generate model=wavenet output=out prime=none.wav": "prime none.wav: ",
    "generate model=wavenet output=out prime=wavenet": "prime wavenet: ",
    "generate model=wavenet output=words": "output words: holds something else",
    # classify
    "classify models=wavenet source=music output=out": "wavenet: holds a generator",
    "classify models=future-resnet-genre source=music output=out": "a bundle of format 2.0, written by a newer gmn",
    "classify models=resnet-genre source=none/deep output=out": "source none/deep: no such folder",
    "classify models=resnet-genre source=none/deep": "source none/deep: no such folder",
    "classify models=resnet-genre source=music": "output: is required for a directory",
    "classify models=resnet-genre source=file": "source file: not an audio file by its name",
    "classify models=resnet-genre source=empty output=out": "source empty: no audio in it",
    "classify models= source=music output=out": "models: Tuple should have at least 1 item",
    # evaluate
    "evaluate library=none dataset=dataset output=out": "none: no such folder",
    "evaluate library=dataset dataset=dataset output=out": "dataset: not a library",
    "evaluate library=dataset dataset=future-dataset output=out": "future-dataset: a dataset of format 2.0",
    # corpus
    "corpus output=words": "words exists and is not a corpus of gmn",
    "corpus output=mock://bucket": "output mock://bucket: the collection is written to a local folder",
    "corpus output=out tracks=many": "tracks: Input should be a valid integer",
    # pipeline
    "pipeline output=out wavenet.fit.stepz=3": "wavenet.fit.stepz: unknown key; did you mean wavenet.fit.steps?",
    "pipeline output=": "output: String should have at least 1 character",
    "pipeline output=out source=nowhere": "source nowhere: no such folder",
    "pipeline output=mock://bucket": "output mock://bucket: the report is written to a local folder",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_used_is_told_in_one_line(line: str, call: Any, here: Path) -> None:
    before = sorted(here.rglob("*"))
    name, *given = line.split()
    ended = call(JOBS[name][0], *given)
    assert ended.code == 2
    (said,) = ended.err.splitlines()
    assert said.startswith(f"jobs.{name}: ")
    assert REFUSED[line] in said
    assert sorted(here.rglob("*")) == before


def test_all_mistakes_are_told_at_once(call: Any) -> None:
    ended = call(ingest.main, "sample_rate=high", "source=music", "colour=red")
    assert ended.code == 2
    assert {line.split(":")[1].strip() for line in ended.err.splitlines()} == {"sample_rate", "output", "colour"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("generate.genres=rock,polka", "genre 'polka' is unknown"),
        ("generate.prime=none.wav", "prime none.wav: "),
    ],
)
def test_what_cannot_be_generated_is_refused_before_the_generator_is_trained(
    call: Any, here: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, asked: str, message: str
) -> None:
    (here / "run").mkdir()
    (here / "run" / "dataset").symlink_to(here / "dataset")
    monkeypatch.setattr(pipeline, "run_ingest", lambda config: "already there")
    monkeypatch.setattr(pipeline, "run_train", lambda config: pytest.fail("a model was trained"))
    ended = call(pipeline.main, f"source={corpus}", "output=run", asked)
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert message in ended.err


def test_bad_input_does_not_even_import_ray(here: Path) -> None:
    code = "import sys; from jobs.ingest import main; code = main(); assert 'ray' not in sys.modules; sys.exit(code)"
    command = [sys.executable, "-c", code, "source=none", "output=out"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "jobs.ingest: source none: no such folder\n"


@pytest.mark.parametrize("name", JOBS)
def test_help_lists_every_key(name: str, call: Any) -> None:
    main, schemas = JOBS[name]
    ended = call(main, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"usage: python -m jobs.{name} [--config FILE.yaml] [key=value ...]\n\n")
    words = {line.split()[0] for line in ended.out.splitlines() if line.strip()}
    for schema in schemas:
        listed = list(keys(schema))
        assert {key.path for key in listed} <= words
        assert all(key.meaning for key in listed)


def fails(error: BaseException) -> Callable[[Any], str]:
    def job(config: Any) -> str:
        raise error

    return job


def run(call: Any, error: BaseException) -> Any:
    given = ["source=a", "output=b"]
    return call(lambda argv: _job.run("jobs.x", "", IngestConfig, fails(error), argv), *given)


def test_a_workers_error_of_ours_is_told_in_one_line(call: Any) -> None:
    """Ray's copy of an error is of its class too, but its text is the worker's whole traceback."""

    class WorkerError(InputError):
        def __init__(self, cause: Exception) -> None:
            super().__init__(cause)
            self.cause = cause

        def __str__(self) -> str:
            return "ray::task()\nTraceback\n  File\nInputError: the file is gone"

    ended = run(call, WorkerError(InputError("the file is gone")))
    assert (ended.code, ended.err) == (2, "jobs.x: the file is gone\n")


def test_an_error_of_ours_inside_another_is_found(call: Any) -> None:
    outer = RuntimeError("training failed")
    outer.__cause__ = InputError("the file is gone")
    assert run(call, outer).code == 2


def test_a_bug_is_not_hidden(call: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        run(call, ZeroDivisionError())


def test_an_interruption_says_how_to_go_on(call: Any) -> None:
    ended = run(call, KeyboardInterrupt())
    assert (ended.code, ended.err) == (130, "jobs.x: interrupted; the same command goes on from here\n")

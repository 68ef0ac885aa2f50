"""The pulse of every job: each through its real main, on what the one before it wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

from gmn.datasets.dataset import Dataset
from gmn.datasets.library import CLIPS, LABEL_ROWS, LABELS, LIBRARY, read_rows
from gmn.models.bundle import load_bundle
from gmn.storage import Folder
from jobs import classify, corpus, evaluate, generate, ingest, pipeline, train

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180), pytest.mark.usefixtures("ray")]

FIT = ["fit.steps=4", "fit.batch_size=2", "fit.evaluate_every=2", "fit.precision=float32"]
WAVENET = ["model.stacks=1", "model.layers=4", "model.residual_channels=8", "model.skip_channels=16"]
WAVENET += ["window_samples=200", "evaluation_windows=4", *FIT]
RESNET = ["model.widths=4,6", "model.n_fft=512", "model.hop_length=160", "model.n_mels=24", "crop_seconds=1", *FIT]
INGEST = ["sample_rate=8000", "segment_seconds=1.5"]
GENERATE = ["clips=5", "seconds=0.05", "slots=2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def music(call: Any, folder: Path) -> Path:
    ended = call(corpus.main, f"output={folder}/music", "tracks=12", "seconds=2")
    assert ended.code == 0, ended.err
    assert ended.out == f"corpus: {folder}/music (12 tracks of 2 s)\n"
    return folder / "music"


@pytest.fixture(scope="module")
def its_dataset(call: Any, folder: Path, music: Path) -> Path:
    ended = call(ingest.main, f"source={music}", f"output={folder}/dataset", *INGEST)
    assert ended.code == 0, ended.err
    assert "files     12, rejected: none" in ended.out
    assert ended.err == "ingest: 12 of 12 files\n"
    return folder / "dataset"


@pytest.fixture(scope="module")
def wavenet(call: Any, folder: Path, its_dataset: Path) -> Path:
    given = ["kind=wavenet", f"dataset={its_dataset}", f"output={folder}/wavenet", "workers.count=1"]
    ended = call(train.main, *given, *WAVENET)
    assert ended.code == 0, ended.err
    assert "bits per sample" in ended.out
    return folder / "wavenet"


@pytest.fixture(scope="module")
def resnet(call: Any, folder: Path, its_dataset: Path) -> Path:
    given = ["kind=resnet", f"dataset={its_dataset}", f"output={folder}/resnet", "workers.count=1"]
    ended = call(train.main, *given, *RESNET)
    assert ended.code == 0, ended.err
    assert "accuracy" in ended.out
    return folder / "resnet"


@pytest.fixture(scope="module")
def library(call: Any, folder: Path, wavenet: Path) -> Path:
    ended = call(generate.main, f"model={wavenet}", f"output={folder}/library", *GENERATE)
    assert ended.code == 0, ended.err
    assert "clips     5 of 0.05 s" in ended.out
    return folder / "library"


@pytest.fixture(scope="module")
def labels(call: Any, library: Path, resnet: Path) -> Path:
    ended = call(classify.main, f"models={resnet}", f"source={library}")
    assert ended.code == 0, ended.err
    assert "inputs    5, rejected: none" in ended.out
    return library / "labels"


def test_corpus_and_ingest(its_dataset: Path) -> None:
    dataset = Dataset(str(its_dataset))
    assert len(dataset.tracks) == 12
    assert dataset.heads == ("genre",)


def test_train(wavenet: Path, resnet: Path) -> None:
    assert load_bundle(str(wavenet), "generator").facts["training"]["fit"]["steps"] == 4
    assert load_bundle(str(resnet), "classifier").heads.keys() == {"genre"}


def test_generate_and_classify(library: Path, labels: Path) -> None:
    clips = read_rows(Folder(library), LIBRARY.read(Folder(library))["clips"], CLIPS)
    heard = read_rows(Folder(labels), LABELS.read(Folder(labels))["parts"], LABEL_ROWS)
    assert {row["input"] for row in heard} == {clip["clip_id"] for clip in clips}


@pytest.mark.usefixtures("labels")
def test_evaluate(call: Any, folder: Path, its_dataset: Path, library: Path) -> None:
    ended = call(evaluate.main, f"library={library}", f"dataset={its_dataset}", f"output={folder}/report-alone")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == f"report: {folder}/report-alone/index.html"
    assert json.loads((folder / "report-alone" / "metrics.json").read_text())["obedience"]["genre"]["n"] == 5
    assert (folder / "report-alone" / "index.html").is_file()


def test_one_file_is_told_at_once(call: Any, music: Path, resnet: Path) -> None:
    before = sorted(music.parent.rglob("*"))
    ended = call(classify.main, f"models={resnet}", f"source={music}/labels.csv")
    assert ended.code == 2
    song = next(music.rglob("*.wav"))
    ended = call(classify.main, f"models={resnet}", f"source={song}")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert len(lines) == 4  # a line a genre, the likeliest first
    assert lines[0].startswith("genre     ")
    shares = [int(line.split()[-1].rstrip("%")) for line in lines]
    assert shares == sorted(shares, reverse=True)
    ended = call(classify.main, f"models={resnet}", f"source={song}", "format=json")
    (told,) = json.loads(ended.out)
    assert told["probabilities"].keys() == {line.removeprefix("genre").split()[0] for line in lines}
    assert sum(told["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert sorted(music.parent.rglob("*")) == before


@pytest.mark.usefixtures("labels")
def test_the_pipeline_goes_on_from_what_the_jobs_made(call: Any, folder: Path, music: Path) -> None:
    roots = [folder / name for name in ("dataset/dataset.json", "wavenet/model.json", "library/labels/labels.json")]
    before = [root.stat().st_mtime_ns for root in roots]
    groups = {"ingest": INGEST, "wavenet": WAVENET, "resnet": RESNET, "generate": GENERATE}
    given = [f"{group}.{text}" for group, texts in groups.items() for text in texts]
    ended = call(pipeline.main, f"source={music}", f"output={folder}", *given)
    assert ended.code == 0, ended.err
    assert [root.stat().st_mtime_ns for root in roots] == before
    stages = ["ingest", "train the generator", "train the classifier", "generate", "classify", "evaluate"]
    assert [line[1:-1] for line in ended.out.splitlines() if line.startswith("[")] == stages
    assert (folder / "report" / "index.html").is_file()

"""The labelling job: one row for every input and model, whatever the chunks, and nothing lost in silence."""

import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.fs as pafs
import pytest
import soundfile

from gmn import runtime
from gmn.datasets.labels import GEMS
from gmn.datasets.library import LABEL_ROWS, LABELS, read_rows
from gmn.errors import InputError
from gmn.generation.library import generate_library
from gmn.generation.settings import GenerateConfig
from gmn.labelling import classify as module
from gmn.labelling.classify import ClassifyConfig, ClassifySummary, Input, classify, judge
from gmn.models.bundle import load_bundle
from gmn.storage import Folder

RATE = 8000


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "connect", lambda: pytest.fail("Ray was asked for"))


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write five sounds, one of them at another rate, and a file that is none."""
    folder = tmp_path_factory.mktemp("music")
    (folder / "below").mkdir()
    for i, (name, rate) in enumerate(
        {"a.wav": RATE, "b.flac": 11025, "below/c.wav": RATE, "d.wav": RATE, "e.ogg": RATE}.items()
    ):
        t = np.arange(rate // 2) / rate
        noise = np.random.default_rng(i).normal(0, 0.05 * i, len(t))
        soundfile.write(folder / name, np.sin(2 * np.pi * 150 * (i + 1) * t) * 0.5 + noise, rate)
    (folder / "bad.mp3").write_bytes(b"no sound at all")
    (folder / "notes.txt").write_text("no audio by its name")
    return folder


@pytest.fixture
def library(bundles: Path, tmp_path: Path, ray_here: None) -> GenerateConfig:
    config = GenerateConfig(
        model=str(bundles / "wavenet"), output=str(tmp_path / "library"), clips=5, seconds=0.05, slots=5
    )
    generate_library(config)
    return config


def make(bundles: Path, source: Path, output: Path | None = None, *heads: str) -> ClassifyConfig:
    models = tuple(str(bundles / f"resnet-{head}") for head in heads or ("genre", "emotion"))
    return ClassifyConfig(models=models, source=str(source), output=None if output is None else str(output))


def rows_of(output: Path) -> list[dict[str, Any]]:
    folder = Folder(output)
    return read_rows(folder, LABELS.read(folder)["parts"], LABEL_ROWS)


def by_input(output: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["input"], row["head"]): row for row in rows_of(output)}


@pytest.mark.usefixtures("ray_here")
def test_a_directory_gets_a_row_for_every_input_and_model(bundles: Path, music: Path, tmp_path: Path) -> None:
    summary = classify(make(bundles, music, tmp_path / "labels"))
    rows = rows_of(tmp_path / "labels")
    names = {"a.wav", "b.flac", "bad.mp3", "below/c.wav", "d.wav", "e.ogg"}
    assert Counter((row["input"], row["head"]) for row in rows) == {
        (name, head): 1 for name in names for head in ("genre", "emotion")
    }
    bad = [row for row in rows if row["status"] == "rejected"]
    assert [(row["input"], row["reason"], row["label"], row["probabilities"]) for row in bad] == [
        ("bad.mp3", "not_audio", None, None)
    ] * 2
    assert isinstance(summary, ClassifySummary)
    assert (summary.inputs, summary.rejected) == (6, {"not_audio": 1})
    heard = [row["label"] for row in rows if row["head"] == "genre" and row["label"]]
    assert summary.labels["genre"] == dict(Counter(heard))
    assert sum(summary.labels["emotion"].values()) == 5


@pytest.mark.usefixtures("ray_here")
def test_the_root_tells_the_models(bundles: Path, music: Path, tmp_path: Path) -> None:
    classify(make(bundles, music, tmp_path / "labels"))
    genre, emotion = LABELS.read(Folder(tmp_path / "labels"))["models"]
    assert (genre["head"], emotion["head"]) == ("genre", "emotion")
    assert genre["digest"] == load_bundle(str(bundles / "resnet-genre")).digest
    assert emotion["labels"] == list(GEMS)
    assert genre["test"]["accuracy"] == 0.5


def test_genre_probabilities_sum_to_one_and_the_label_is_the_largest(bundles: Path, music: Path) -> None:
    bundle = load_bundle(str(bundles / "resnet-genre"))
    (row,) = judge(Input("a", str(music), "a.wav"), [bundle])
    assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-6)
    assert row["confidence"] == max(row["probabilities"])
    assert row["label"] == bundle.heads["genre"][int(np.argmax(row["probabilities"]))]


def test_an_emotion_stands_out_from_the_training_tracks(bundles: Path, music: Path) -> None:
    """The label is the rate that is largest once standardised; its confidence is the rate itself."""
    bundle = load_bundle(str(bundles / "resnet-emotion"))
    (row,) = judge(Input("a", str(music), "a.wav"), [bundle])
    standing_out = (np.array(row["probabilities"]) - bundle.conditions.rate_mean) / bundle.conditions.rate_std
    assert row["label"] == GEMS[int(np.argmax(standing_out))]
    assert row["confidence"] == row["probabilities"][GEMS.index(row["label"])]


def test_the_shortest_sound_is_judged(bundles: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "blip.wav", np.array([0.5]), RATE)
    (row,) = judge(Input("blip", str(tmp_path), "blip.wav"), [load_bundle(str(bundles / "resnet-genre"))])
    assert np.isfinite(row["probabilities"]).all()


def test_a_file_that_went_away_is_rejected(bundles: Path, tmp_path: Path) -> None:
    (row,) = judge(Input("gone", str(tmp_path), "gone.wav"), [load_bundle(str(bundles / "resnet-genre"))])
    assert (row["status"], row["reason"]) == ("rejected", "unreadable")


@pytest.mark.usefixtures("no_ray")
def test_one_file_is_only_told(bundles: Path, music: Path) -> None:
    before = sorted(music.rglob("*"))
    rows = classify(make(bundles, music / "a.wav"))
    assert isinstance(rows, list)
    assert [(row["input"], row["head"], row["status"]) for row in rows] == [
        ("a.wav", "genre", "ok"),
        ("a.wav", "emotion", "ok"),
    ]
    assert sorted(music.rglob("*")) == before


@pytest.mark.usefixtures("ray_here")
def test_labels_do_not_depend_on_chunks(
    bundles: Path, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classify(make(bundles, music, tmp_path / "one"))
    monkeypatch.setattr(module, "CHUNK_INPUTS", 2)
    straight = module.list_inputs
    monkeypatch.setattr(module, "list_inputs", lambda source: straight(source)[::-1])
    classify(make(bundles, music, tmp_path / "three"))
    assert len(LABELS.read(Folder(tmp_path / "three"))["parts"]) == 6
    assert by_input(tmp_path / "one") == by_input(tmp_path / "three")


@pytest.mark.usefixtures("ray_here")
def test_a_killed_labelling_is_completed(
    bundles: Path, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_INPUTS", 2)
    config = make(bundles, music, tmp_path / "labels")
    summary, whole = classify(config), by_input(tmp_path / "labels")
    root = LABELS.read(Folder(tmp_path / "labels"))
    (tmp_path / "labels" / "labels.json").unlink()
    (tmp_path / "labels" / root["parts"][1]).unlink()  # of one model only: the other's part was already written
    heard: list[tuple[int, int]] = []
    assert classify(config, lambda *said: heard.append(said)) == summary
    assert heard == [(4, 6), (6, 6)]
    assert by_input(tmp_path / "labels") == whole
    assert len(rows_of(tmp_path / "labels")) == 12


def test_a_librarys_clips_are_labelled_inside_it(bundles: Path, library: GenerateConfig) -> None:
    classify(make(bundles, Path(library.output)))
    rows = rows_of(Path(library.output, "labels"))
    clips = {path.stem for path in Path(library.output).rglob("*.flac")}
    assert len(clips) == 5
    assert Counter(row["input"] for row in rows) == dict.fromkeys(clips, 2)
    assert {row["status"] for row in rows} == {"ok"}


def test_a_whole_labelling_is_left_alone(
    bundles: Path, library: GenerateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = classify(make(bundles, Path(library.output)))
    monkeypatch.setattr(runtime, "connect", lambda: pytest.fail("Ray was asked for"))
    assert classify(make(bundles, Path(library.output))) == summary


def test_other_models_need_another_output(bundles: Path, library: GenerateConfig) -> None:
    classify(make(bundles, Path(library.output), None, "genre"))
    with pytest.raises(InputError, match="was made by another request"):
        classify(make(bundles, Path(library.output), None, "emotion"))


def test_a_library_behind_a_uri_is_labelled(bundles: Path, library: GenerateConfig) -> None:
    """Its clips were once opened as if the URI were a path, and all rejected as unreadable."""
    config = make(bundles, Path(library.output)).model_copy(update={"source": f"file://{library.output}"})
    summary = classify(config)
    assert isinstance(summary, ClassifySummary)
    assert summary.rejected == {}


def test_a_library_in_an_object_store_is_labelled(
    bundles: Path, library: GenerateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = pafs.SubTreeFileSystem(str(Path(library.output).parent), pafs.LocalFileSystem())
    opener = SimpleNamespace(from_uri=lambda uri: (store, uri.partition("://")[2].partition("?")[0]))
    for module_name in ("gmn.storage", "gmn.datasets.walk"):
        monkeypatch.setattr(f"{module_name}.pafs", SimpleNamespace(**vars(pafs) | {"FileSystem": opener}))
    inputs = module.list_inputs("store://library?region=here")
    assert inputs[0].folder == "store://library?region=here"
    bundle = load_bundle(str(bundles / "resnet-genre"))
    assert judge(inputs[0], [bundle])[0]["status"] == "ok"
    Path(library.output, inputs[0].path).unlink()
    assert judge(inputs[0], [bundle])[0]["reason"] == "unreadable"


@pytest.mark.usefixtures("no_ray")
def test_what_cannot_be_labelled_is_refused(bundles: Path, music: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(bundles / "resnet-genre", tmp_path / "copy")
    cases = {
        "2 of them tell the genre; give one model a head": make(bundles, music, tmp_path / "out").model_copy(
            update={"models": (str(bundles / "resnet-genre"), str(tmp_path / "copy"))}
        ),
        r"wavenet: holds a generator \(wavenet\), but a classifier is needed": make(
            bundles, music, tmp_path / "out"
        ).model_copy(update={"models": (str(bundles / "wavenet"),)}),
        "output: is required for a directory": make(bundles, music),
        f"source {tmp_path}/none: no such folder": make(bundles, tmp_path / "none", tmp_path / "out"),
        f"source {tmp_path}/empty: no audio in it": make(bundles, tmp_path / "empty", tmp_path / "out"),
        r"notes.txt: not an audio file by its name": make(bundles, music / "notes.txt"),
    }
    for message, config in cases.items():
        with pytest.raises(InputError, match=message):
            classify(config)
    assert not (tmp_path / "out").exists()

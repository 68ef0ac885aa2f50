"""The labelling job: one row for every input and model, whatever the chunks, and nothing lost in silence."""

import dataclasses
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.fs as pafs
import pytest
import soundfile
import torch

from gmn import runtime
from gmn.audio.rejection import DecodeError
from gmn.datasets.dataset import Dataset
from gmn.datasets.labels import GEMS
from gmn.datasets.library import LABEL_ROWS, LABELS, read_rows
from gmn.datasets.walk import AudioSource, Found
from gmn.errors import InputError
from gmn.generation.library import generate_library
from gmn.generation.settings import GenerateConfig
from gmn.labelling import inputs, label
from gmn.labelling.classify import ClassifyConfig, ClassifySummary, classify
from gmn.labelling.label import Heard, holds_in_bf16
from gmn.models import judging
from gmn.models.bundle import LoadedBundle, load_bundle
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


def judge(bundle: LoadedBundle, folder: Path | str, path: str, reason: str | None = None) -> dict[str, Any]:
    row = {"input": "its name", "path": path, "track_id": None, "reason": reason}
    label.make_fast([bundle], torch.device("cpu"))
    (said,) = label.label(str(folder), [row], [bundle])
    assert (said["input"], said["model"]) == ("its name", bundle.digest)
    return said


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
    row = judge(bundle, music, "a.wav")
    assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-6)
    assert row["confidence"] == max(row["probabilities"])
    assert row["label"] == bundle.heads["genre"][int(np.argmax(row["probabilities"]))]


def test_an_emotion_stands_out_from_the_training_tracks(bundles: Path, music: Path) -> None:
    """The label is the rate that is largest once standardised; its confidence is the rate itself."""
    bundle = load_bundle(str(bundles / "resnet-emotion"))
    row = judge(bundle, music, "a.wav")
    standing_out = (np.array(row["probabilities"]) - bundle.conditions.rate_mean) / bundle.conditions.rate_std
    assert row["label"] == GEMS[int(np.argmax(standing_out))]
    assert row["confidence"] == row["probabilities"][GEMS.index(row["label"])]


def test_odd_sounds_are_judged_or_rejected_with_their_reason(bundles: Path, tmp_path: Path) -> None:
    """Each as a file among others: none of them ends the job."""
    bundle = load_bundle(str(bundles / "resnet-genre"))
    tone = 0.4 * np.sin(np.arange(RATE) / 9)
    sounds = {
        "one-sample.wav": np.array([0.5]),
        "10-ms.wav": tone[: RATE // 100],
        "silence.wav": np.zeros(RATE),
        "8-channels.wav": np.outer(tone, np.linspace(0.1, 1, 8)),
        "nan.wav": np.where(np.arange(RATE) == 77, np.nan, tone),
    }
    for name, sound in sounds.items():
        soundfile.write(tmp_path / name, sound, RATE, subtype="FLOAT")
    (tmp_path / "text.mp3").write_text("no sound at all, but many words")
    (tmp_path / "empty.wav").write_bytes(b"")
    rejected = {"nan.wav": "non_finite", "text.mp3": "not_audio", "empty.wav": "empty", "gone.wav": "unreadable"}
    for name in {*sounds, *rejected}:
        said = judge(bundle, tmp_path, name)
        assert said.get("reason") == rejected.get(name), name
        assert (said["status"] == "ok") == (name not in rejected)
        if said["status"] == "ok":
            assert np.isfinite(said["probabilities"]).all()
    assert judge(bundle, tmp_path, "link.wav", "dangling_link")["reason"] == "dangling_link"


def test_a_long_file_is_held_as_16_bits_and_judged_by_windows(
    bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was once held as floats as well, twice as large."""
    seconds = 130
    soundfile.write(tmp_path / "long.flac", np.random.default_rng(0).normal(0, 0.1, seconds * RATE), RATE)
    row = {"input": "long", "path": "long.flac", "track_id": None, "reason": None}
    ((_, sound),) = inputs.read_inputs(str(tmp_path), [row], {RATE})
    assert not isinstance(sound, DecodeError)
    assert (sound[RATE].dtype, len(sound[RATE])) == (torch.int16, seconds * RATE)
    converted: list[int] = []
    as_float = judging._as_float
    monkeypatch.setattr(judging, "_as_float", lambda codes: (converted.append(codes.numel()), as_float(codes))[1])
    bundle = load_bundle(str(bundles / "resnet-genre"))
    assert judge(bundle, tmp_path, "long.flac")["status"] == "ok"
    assert sum(converted) == seconds * RATE
    assert max(converted) == judging.BATCH_SECONDS * RATE  # four windows of 6 s


@pytest.mark.usefixtures("no_ray")
def test_one_file_is_only_told(bundles: Path, music: Path) -> None:
    before = sorted(music.rglob("*"))
    told = classify(make(bundles, music / "a.wav"))
    assert sorted(music.rglob("*")) == before
    assert isinstance(told, list)
    assert [one.head for one in told] == ["genre", "emotion"]
    for one in told:
        assert isinstance(one, Heard)
        bundle = load_bundle(str(bundles / f"resnet-{one.head}"))
        row = judge(bundle, music, "a.wav")
        assert one.probabilities == dict(sorted(one.probabilities.items(), key=lambda item: -standing(bundle, item)))
        assert next(iter(one.probabilities)) == row["label"]
        in_order = [one.probabilities[name] for name in bundle.heads[one.head]]
        assert in_order == row["probabilities"]


def standing(bundle: LoadedBundle, item: tuple[str, float]) -> float:
    if "genre" in bundle.heads:
        return item[1]
    place = GEMS.index(item[0])
    return (item[1] - bundle.conditions.rate_mean[place]) / bundle.conditions.rate_std[place]


@pytest.mark.usefixtures("no_ray")
def test_one_file_that_cannot_be_used_is_refused(bundles: Path, music: Path) -> None:
    """It was once told as a row, with exit code 0."""
    with pytest.raises(InputError, match=r"source .*bad.mp3: not_audio: "):
        classify(make(bundles, music / "bad.mp3"))


@pytest.mark.usefixtures("ray_here")
def test_labels_depend_neither_on_chunks_nor_on_the_order(
    bundles: Path, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit; the second time each input is a chunk, and they come backwards."""
    classify(make(bundles, music, tmp_path / "one"))
    assert len(LABELS.read(Folder(tmp_path / "one"))["parts"]) == 2
    monkeypatch.setattr(inputs, "CHUNK_COST", 0.0)
    straight = AudioSource.walk
    monkeypatch.setattr(AudioSource, "walk", lambda source: iter(list(straight(source))[::-1]))
    classify(make(bundles, music, tmp_path / "many"))
    assert len(LABELS.read(Folder(tmp_path / "many"))["parts"]) == 12
    assert by_input(tmp_path / "one") == by_input(tmp_path / "many")


def test_a_chunk_is_some_seconds_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Found(f"{i:05d}.mp3", 480_000) for i in range(200)]  # of 30 s
    monkeypatch.setattr(AudioSource, "walk", lambda source: iter(found))
    sizes = [len(chunk) for chunk in inputs.Source(str(tmp_path)).chunks()]
    assert sizes == [48, 48, 48, 48, 8]


@pytest.mark.usefixtures("ray_here")
def test_a_datasets_tracks_are_labelled_by_path(bundles: Path, dataset: Dataset, tmp_path: Path) -> None:
    """Each as a whole, its segments joined: what its file gives, which was at the same rate."""
    summary = classify(make(bundles, Path(dataset.folder.path), tmp_path / "labels"))
    assert isinstance(summary, ClassifySummary)
    assert summary.inputs == len(dataset.tracks)
    rows = by_input(tmp_path / "labels")
    assert {name for name, _ in rows} == {track.path for track in dataset.tracks}
    track = dataset.tracks[5]
    for head in ("genre", "emotion"):
        of_file = judge(load_bundle(str(bundles / f"resnet-{head}")), dataset.root["source"], track.path)
        assert rows[track.path, head]["label"] == of_file["label"]
        np.testing.assert_array_equal(rows[track.path, head]["probabilities"], np.float32(of_file["probabilities"]))


def test_a_datasets_tracks_are_read_at_other_rates(dataset: Dataset) -> None:
    source = inputs.Source(dataset.folder.uri)
    ((row, *_), *_) = source.chunks()
    ((_, sound),) = inputs.read_inputs(source.address, [row], {RATE, 11025})
    assert not isinstance(sound, DecodeError)
    assert len(sound[11025]) == pytest.approx(len(sound[RATE]) * 11025 / RATE, abs=1)
    assert sound[11025].float().std() == pytest.approx(sound[RATE].float().std().item(), rel=0.05)


def test_bfloat16_needs_a_check_that_holds(bundles: Path) -> None:
    bundle = load_bundle(str(bundles / "resnet-genre"))
    cases: list[tuple[dict[str, Any], bool]] = [
        ({}, False),  # before it was checked
        ({"bf16": {"tracks": 100, "changed": {"genre": 0, "emotion": 1}, "largest": 0.01}}, True),
        ({"bf16": {"tracks": 100, "changed": {"genre": 0, "emotion": 2}, "largest": 0.01}}, False),
        ({"bf16": {"tracks": 100, "changed": {"genre": 0, "emotion": 0}, "largest": 0.03}}, False),
    ]
    for facts, holds in cases:
        assert holds_in_bf16(dataclasses.replace(bundle, facts=facts)) == holds


@pytest.mark.usefixtures("ray_here")
def test_a_killed_labelling_is_completed(
    bundles: Path, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "CHUNK_COST", 0.0)
    config = make(bundles, music, tmp_path / "labels")
    summary, whole = classify(config), by_input(tmp_path / "labels")
    root = LABELS.read(Folder(tmp_path / "labels"))
    (tmp_path / "labels" / "labels.json").unlink()
    (tmp_path / "labels" / root["parts"][1]).unlink()  # of one model only: the other's part was already written
    heard: list[tuple[int, int]] = []
    assert classify(config, lambda *said: heard.append(said)) == summary
    assert heard == [(5, 6), (6, 6)]
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
    source = inputs.Source("store://library?region=here")
    assert source.address == "store://library?region=here"
    ((row, *_),) = source.chunks()
    bundle = load_bundle(str(bundles / "resnet-genre"))
    assert judge(bundle, source.address, row["path"])["status"] == "ok"
    Path(library.output, row["path"]).unlink()
    assert judge(bundle, source.address, row["path"])["reason"] == "unreadable"


@pytest.mark.usefixtures("no_ray")
def test_what_cannot_be_labelled_is_refused(bundles: Path, music: Path, dataset: Dataset, tmp_path: Path) -> None:
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
        "output: is required for a dataset": make(bundles, Path(dataset.folder.path)),
        f"source {tmp_path}/none: no such folder": make(bundles, tmp_path / "none", tmp_path / "out"),
        f"source {tmp_path}/empty: no audio in it": make(bundles, tmp_path / "empty", tmp_path / "out"),
        r"notes.txt: not an audio file by its name": make(bundles, music / "notes.txt"),
    }
    for message, config in cases.items():
        with pytest.raises(InputError, match=message):
            classify(config)
    assert not (tmp_path / "out").exists()

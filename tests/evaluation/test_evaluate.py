"""The evaluation job: exact numbers of a library labelled by hand, and a page that shows all of it."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from mlflow.tracking import MlflowClient

from gmn import tracking
from gmn.datasets.dataset import Dataset
from gmn.datasets.library import CLIPS, LABEL_ROWS, LABELS, LIBRARY, read_rows
from gmn.errors import InputError
from gmn.evaluation.evaluate import EvaluateConfig, evaluate
from gmn.generation import library as generation
from gmn.generation.library import generate_library, generate_part
from gmn.generation.settings import GenerateConfig
from gmn.models.bundle import Bundle, load_bundle, save_bundle
from gmn.models.conditioning import Conditions
from gmn.models.wavenet import WaveNet
from gmn.storage import Folder


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Keep one tracking store for all tests here: making its tables takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("gmn.tracking.run_folder", lambda output: folder)
        yield f"sqlite:///{folder}/mlflow.db"


def generate_here(config: GenerateConfig) -> None:
    def run_parts(config: GenerateConfig, bundle: object, grid: Any, prime: Any, parts: Any, progress: object) -> None:
        for part in parts:
            generate_part(config, part, [grid[index] for index in part])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "_run_parts", run_parts)
        generate_library(config)


@pytest.fixture(scope="module")
def plain(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a library of 8 clips, each genre twice, two emotions; no test may change it."""
    output = tmp_path_factory.mktemp("plain") / "library"
    asked: dict[str, Any] = {"clips": 8, "seconds": 0.05, "slots": 8, "emotions": ("power", "sadness")}
    generate_here(GenerateConfig(model=str(bundles / "wavenet"), output=str(output), **asked))
    return output


@pytest.fixture
def library(plain: Path, tmp_path: Path) -> Path:
    return shutil.copytree(plain, tmp_path / "library")


def clips_of(library: Path) -> list[dict[str, Any]]:
    return read_rows(Folder(library), LIBRARY.read(Folder(library))["clips"], CLIPS)


def write_labels(library: Path, bundles: Path, head: str, heard: list[str | None]) -> None:
    """Label a library by hand, in order; None stands for a clip that was rejected."""
    bundle = load_bundle(str(bundles / f"resnet-{head}"))
    folder = Folder(library / "labels")
    rows = [
        {"input": clip["clip_id"], "model": bundle.digest, "head": head, "label": label, "confidence": 0.5}
        | {"probabilities": [0.1] * len(bundle.heads[head]), "status": "ok" if label else "rejected"}
        for clip, label in zip(clips_of(library), heard, strict=False)
    ]
    folder.write_table(f"{head}/part.parquet", pa.Table.from_pylist(rows, LABEL_ROWS))
    before = LABELS.read(folder) if LABELS.whole(folder) else {"models": [], "parts": []}
    model = {"digest": bundle.digest, "uri": bundle.uri, "head": head, "labels": list(bundle.heads[head])}
    model |= dict(bundle.facts) | {"test": bundle.facts["test"][head]}
    LABELS.write(folder, {"models": [*before["models"], model], "parts": [*before["parts"], f"{head}/part.parquet"]})


def make(library: Path, dataset: Dataset, **changes: Any) -> EvaluateConfig:
    settings: dict[str, Any] = {"library": str(library), "dataset": dataset.folder.uri}
    return EvaluateConfig(**settings | {"output": str(library.parent / "report")} | changes)


def metrics(library: Path) -> dict[str, Any]:
    return json.loads((library.parent / "report" / "metrics.json").read_text())


def test_the_numbers_of_labels_by_hand(library: Path, bundles: Path, dataset: Dataset) -> None:
    """Asked for chorale, rock, techno, waltz, twice; power and sadness in turn, then the other way round."""
    write_labels(library, bundles, "genre", ["chorale", "rock", "rock", "waltz", "chorale", "chorale", None, "waltz"])
    write_labels(library, bundles, "emotion", ["power", "power", "power", "tension", "sadness", "power"])
    summary = evaluate(make(library, dataset))
    found = metrics(library)["obedience"]
    genre, emotion = found["genre"], found["emotion"]
    assert (genre["n"], genre["hits"], genre["chance"]) == (7, 5, 2 / 7)
    assert genre["interval"] == pytest.approx([0.3589, 0.9178], abs=1e-4)
    assert genre["confusion"] == [[2, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 2]]
    assert (emotion["n"], emotion["hits"], emotion["chance"]) == (6, 4, 0.5)
    assert found["emotion_rates_r"] is None  # the rates that were heard are all the same
    assert (summary.genre_obedience, summary.emotion_obedience) == (5 / 7, 4 / 6)


def test_what_is_known_of_the_models_is_passed_on(library: Path, bundles: Path, dataset: Dataset) -> None:
    write_labels(library, bundles, "genre", ["rock"] * 8)
    summary = evaluate(make(library, dataset))
    found = metrics(library)
    assert (summary.clips, summary.bits, summary.verdict) == (8, 5.5, "noise")
    assert found["generator"]["digest"] == load_bundle(str(bundles / "wavenet")).digest
    assert found["generator"]["test"]["ladder"]["trigram"] == 4.5
    assert found["classifiers"]["genre"]["test"]["accuracy"] == 0.5
    assert found["health"] == dict(Counter(clip["health"] for clip in clips_of(library)))
    assert summary.healthy == found["health"].get("ok", 0)


def test_a_library_without_labels_gets_a_report(library: Path, dataset: Dataset) -> None:
    summary = evaluate(make(library, dataset))
    assert (summary.genre_obedience, summary.emotion_obedience) == (None, None)
    assert metrics(library)["obedience"] == {"genre": {"n": 0}, "emotion": {"n": 0}, "emotion_rates_r": None}


def test_the_page_shows_every_clip(library: Path, bundles: Path, dataset: Dataset) -> None:
    write_labels(library, bundles, "genre", ["rock"] * 8)
    heard: list[tuple[int, int]] = []
    evaluate(make(library, dataset), lambda *said: heard.append(said))
    report = library.parent / "report"
    assert "8 clips" in (report / "index.html").read_text()
    cards = (report / "clips.js").read_text()
    for clip in clips_of(library):
        assert clip["clip_id"] in cards
        assert (report / f"audio/{clip['clip_id']}.flac").read_bytes() == (library / clip["path"]).read_bytes()
        assert (report / f"pictures/{clip['clip_id']}.png").stat().st_size > 0
    assert heard == [(i, 8) for i in range(1, 9)]


def test_a_card_says_what_was_asked_and_heard(library: Path, bundles: Path, dataset: Dataset) -> None:
    write_labels(library, bundles, "genre", ["rock", None])
    write_labels(library, bundles, "emotion", ["power", "sadness"])
    evaluate(make(library, dataset))
    cards = (library.parent / "report" / "clips.js").read_text().removeprefix("window.gmnClips = ").rstrip(";\n")
    first, second, third = json.loads(cards)[:3]
    assert (first["genre"], first["predicted_genre"], first["genre_confidence"]) == ("chorale", "rock", 0.5)
    assert (first["emotion"], first["predicted_emotion"], first["obeyed"]) == ("power", "power", False)
    assert (second["predicted_genre"], second["predicted_emotion"], second["obeyed"]) == (None, "sadness", True)
    assert (third["predicted_emotion"], third["obeyed"], third["seconds"]) == (None, None, 0.05)


def test_shown_clips_are_spread_evenly_and_the_numbers_are_of_all(library: Path, dataset: Dataset) -> None:
    evaluate(make(library, dataset, show_clips=3))
    shown = {path.stem for path in (library.parent / "report" / "audio").iterdir()}
    assert shown == {clips_of(library)[i]["clip_id"] for i in (0, 3, 7)}
    assert metrics(library)["clips"] == 8


def test_a_whole_report_is_left_alone(library: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = evaluate(make(library, dataset))
    monkeypatch.setattr(tracking, "start", lambda *_: pytest.fail("it was made again"))
    assert evaluate(make(library, dataset)) == summary


def test_new_labels_need_another_report(library: Path, bundles: Path, dataset: Dataset) -> None:
    evaluate(make(library, dataset))
    write_labels(library, bundles, "genre", ["rock"] * 8)
    with pytest.raises(InputError, match="was made by another request"):
        evaluate(make(library, dataset))


def test_an_interrupted_report_is_made_whole(library: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledError(Exception):
        """Stands for a kill before the page is written."""

    def kill(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("gmn.evaluation.evaluate.write_page", kill)
        with pytest.raises(KilledError):
            evaluate(make(library, dataset))
    assert not (library.parent / "report" / "metrics.json").exists()
    evaluate(make(library, dataset))
    assert metrics(library)["clips"] == 8
    assert len(list((library.parent / "report" / "audio").iterdir())) == 8


def test_numbers_and_clips_are_tracked(library: Path, dataset: Dataset, tmp_path: Path, store: str) -> None:
    evaluate(make(library, dataset, output=str(tmp_path / "tracked")))
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("gmn")
    assert experiment is not None
    (run,) = (
        run
        for run in client.search_runs([experiment.experiment_id])
        if run.data.params["output"] == str(tmp_path / "tracked")
    )
    assert run.info.status == "FINISHED"
    assert run.data.metrics["clips"] == 8
    assert run.data.metrics["generator.test.bits"] == 5.5
    assert len(client.list_artifacts(run.info.run_id, "audio")) == 8


def test_a_generator_without_emotions(dataset: Dataset, bundles: Path, tmp_path: Path) -> None:
    conditions = Conditions.fit(dataset.genres, [("rock", None)])
    trained = load_bundle(str(bundles / "wavenet"))
    model = WaveNet(trained.model.config, conditions.size)
    save_bundle(Folder(tmp_path / "wavenet"), Bundle(model, 8000, conditions, facts=trained.facts), "# card\n")
    config = GenerateConfig(model=str(tmp_path / "wavenet"), output=str(tmp_path / "library"), clips=4, seconds=0.05)
    generate_here(config)
    write_labels(tmp_path / "library", bundles, "genre", ["chorale", "rock", "techno", "waltz"])
    summary = evaluate(make(tmp_path / "library", dataset))
    assert (summary.genre_obedience, summary.emotion_obedience) == (1.0, None)


def test_another_dataset_is_refused(library: Path, dataset: Dataset, tmp_path: Path) -> None:
    """Its tracks were once shown as those that the generator learned from."""
    shutil.copytree(dataset.folder.path, tmp_path / "other")
    root = json.loads((tmp_path / "other" / "dataset.json").read_text())
    (tmp_path / "other" / "dataset.json").write_text(json.dumps(root | {"digest": "0" * 64}))
    with pytest.raises(InputError, match=r"not the one that the generator of .* learned from"):
        evaluate(make(library, dataset).model_copy(update={"dataset": str(tmp_path / "other")}))


def test_what_cannot_be_reported_is_refused(library: Path, dataset: Dataset, tmp_path: Path) -> None:
    cases = {
        "output mock://report: a report is written to a local folder": {"output": "mock://report"},
        "none: no such folder": {"library": str(tmp_path / "none")},
        "library: not a dataset": {"dataset": str(library)},
        "holds something else": {"output": str(library)},
    }
    for message, changes in cases.items():
        with pytest.raises(InputError, match=message):
            evaluate(make(library, dataset).model_copy(update=changes))

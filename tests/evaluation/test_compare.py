"""The comparison job: the same tracks for every model, nothing learned from what is tested, and a page."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gmn import runtime
from gmn.datasets.dataset import Dataset
from gmn.datasets.labels import GEMS
from gmn.errors import InputError
from gmn.evaluation import predictions as module
from gmn.evaluation.compare import CompareConfig, compare
from gmn.models.bundle import Bundle, load_bundle, save_bundle
from gmn.models.cnn import CNN, CNNConfig
from gmn.storage import Folder

FIT = {"steps": 12, "batch_size": 8, "learning_rate": 0.01, "warmup_steps": 2, "evaluate_every": 12, "ema_decay": 0.5}


@pytest.fixture(scope="module")
def judges(bundles: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a CNN of both heads beside the small ResNets, whose recipes take a second to train anew."""
    folder = tmp_path_factory.mktemp("judges")
    resnet = load_bundle(str(bundles / "resnet-genre"))
    shape = {"widths": (4, 6), "n_fft": 512, "hop_length": 160, "n_mels": 24}
    torch.manual_seed(0)
    cnn = CNN(CNNConfig(**shape), 8000, {"genre": dataset.genres, "emotion": GEMS})
    for name, model, heads in (("resnet", resnet.model, ["genre"]), ("cnn", cnn, None)):
        training = {
            "kind": name,
            "heads": heads,
            "model": shape,
            "fit": FIT,
            "crop_seconds": 1.0,
            "seed": 0,
            "workers": {},
        }
        facts = dict(resnet.facts) | {"training": training}
        save_bundle(Folder(folder / name), Bundle(model, 8000, resnet.conditions, facts), "# card\n")
    return folder


def make(judges: Path, dataset: Dataset, output: Path, **changes: Any) -> CompareConfig:
    models = (str(judges / "resnet"), str(judges / "cnn"))
    return CompareConfig(models=models, dataset=dataset.folder.uri, output=str(output), **changes)


@pytest.mark.usefixtures("ray_here")
def test_bundles_are_judged_on_the_test_tracks(judges: Path, dataset: Dataset, tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    numbers = compare(make(judges, dataset, tmp_path / "report"), lambda *counts: said.append(counts))
    resnet, cnn = (model["judged"]["test"] for model in numbers["models"])
    assert list(resnet) == ["genre"]
    assert list(cnn) == ["genre", "emotion"]
    reader = dataset.segments("test")
    tracks = {s.track.track_id: s.track for s in reader.segments}
    right = 0
    model = load_bundle(str(judges / "resnet")).model
    for name, track in tracks.items():
        pcm = [reader.pcm(i) for i, s in enumerate(reader.segments) if s.track.track_id == name]
        heard = model.judge(torch.from_numpy(np.concatenate(pcm).astype(np.float32) / 32768))["genre"]  # type: ignore[operator]
        right += dataset.genres[int(heard.argmax())] == track.genre
    assert resnet["genre"]["accuracy"] == right / len(tracks)
    assert resnet["genre"]["tracks"] == len(tracks)
    assert np.array(resnet["genre"]["confusion"]).sum() == len(tracks)
    (pair,) = numbers["pairs"]
    assert (pair["first"], pair["second"], pair["tracks"]) == ("1 resnet", "2 cnn", len(tracks))
    assert said[-1] == (2 * len(reader), 2 * len(reader))
    page = (tmp_path / "report" / "index.html").read_text()
    for text in ("1 resnet", "2 cnn", "McNemar", "Calibration", "Pearson"):
        assert text in page


@pytest.mark.usefixtures("ray_here")
def test_folds_train_anew_and_a_killed_comparison_goes_on(
    judges: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(judges, dataset, tmp_path / "report", folds=3, by=("group", "random"))
    seen: list[tuple[str | None, set[str], set[str]]] = []
    straight = module.fit_and_predict

    def spy(data: Dataset, settings: Any, readers: Mapping[str, Any], tick: Any) -> Any:
        trained = {s.track.track_id for s in readers["train"].segments}
        tracks, predicted = straight(data, settings, readers, tick)
        seen.append((settings.kind, trained, {track.track_id for track in tracks}))
        return tracks, predicted

    monkeypatch.setattr(module, "fit_and_predict", spy)
    numbers = compare(config)
    assert len(seen) == 12  # two models, three folds, two ways
    assert all(not trained & tested for _, trained, tested in seen[:6])
    for model in numbers["models"]:
        for judged in model["judged"].values():
            assert judged["genre"]["tracks"] == len(dataset.tracks)
    parts = sorted((tmp_path / "report" / "predictions").iterdir())
    assert len(parts) == 12
    parts[3].unlink()
    (tmp_path / "report" / "metrics.json").unlink()
    seen.clear()
    assert compare(config) == numbers
    assert len(seen) == 1


def test_a_whole_comparison_is_left_alone(
    judges: Path, dataset: Dataset, tmp_path: Path, ray_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(judges, dataset, tmp_path / "report")
    numbers = compare(config)
    monkeypatch.setattr(runtime, "connect", lambda: pytest.fail("Ray was asked for"))
    assert compare(config) == numbers
    with pytest.raises(InputError, match="was made by another request"):
        compare(config.model_copy(update={"models": config.models[:1]}))


def test_what_cannot_be_compared_is_refused(
    judges: Path, bundles: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "connect", lambda: pytest.fail("Ray was asked for"))
    foreign = shutil.copytree(judges / "cnn", tmp_path / "foreign")
    root = json.loads((foreign / "model.json").read_text())
    (foreign / "model.json").write_text(json.dumps(root | {"dataset": root["dataset"] | {"digest": "0" * 64}}))
    resnet = load_bundle(str(judges / "resnet"))
    for name, rate, genres in (("slow", 4000, dataset.genres), ("other", 8000, ("a", "b", "c", "d"))):
        model = CNN(CNNConfig(widths=(2,), n_fft=512, n_mels=8), rate, {"genre": genres})
        save_bundle(Folder(tmp_path / name), Bundle(model, rate, resnet.conditions, resnet.facts), "")
    config = make(judges, dataset, tmp_path / "report")
    cases: dict[str, dict[str, Any]] = {
        "learned from another dataset, which may hold these test tracks; folds=5 trains anew": {
            "models": (str(foreign),)
        },
        "hears audio at 4000 Hz": {"models": (str(tmp_path / "slow"),)},
        "knows the genres a, b, c, d": {"models": (str(tmp_path / "other"),)},
        "holds a generator": {"models": (str(bundles / "wavenet"),)},
        "are too few for 40 folds": {"folds": 40},
    }
    for message, changes in cases.items():
        with pytest.raises(InputError, match=message):
            compare(config.model_copy(update=changes))
    assert not (tmp_path / "report").exists()

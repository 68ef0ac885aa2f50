"""Fitting a k-NN to the small collection."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gmn.audio.handmade import handmade_features
from gmn.datasets.dataset import Dataset
from gmn.datasets.labels import GEMS, LabelsConfig
from gmn.datasets.schemas import SPLITS
from gmn.datasets.settings import IngestConfig
from gmn.errors import InputError
from gmn.models.bundle import load_bundle
from gmn.models.knn import KNN, KNNConfig
from gmn.training import job, knn_job
from gmn.training.job import TrainKNN
from gmn.training.knn import (
    KNNSettings,
    Window,
    fit_and_predict,
    fit_windows,
    predict,
    window_samples,
    windows_of,
)
from gmn.training.labelled import judge_tracks

SETTINGS = KNNSettings(model=KNNConfig(neighbours=3))


def split_windows(dataset: Dataset, split: str, settings: KNNSettings = SETTINGS) -> list[Window]:
    reader = dataset.segments(split)
    return windows_of(reader, range(len(reader)), dataset.sample_rate, window_samples(dataset, settings))


@pytest.fixture(scope="module")
def train(dataset: Dataset) -> list[Window]:
    return split_windows(dataset, "train")


@pytest.fixture(scope="module")
def held_out(dataset: Dataset) -> list[Window]:
    return split_windows(dataset, "test")


@pytest.fixture(scope="module")
def model(dataset: Dataset, train: list[Window]) -> KNN:
    return fit_windows(dataset, SETTINGS, train)


def evaluate(model: KNN, windows: list[Window]) -> dict[str, dict[str, Any]]:
    return judge_tracks(*predict(model, windows), model.heads)


def test_in_one_process_it_predicts_the_same(dataset: Dataset, model: KNN, held_out: list[Window]) -> None:
    readers = {split: dataset.segments(split) for split in ("train", "validation", "test")}
    tracks, judged = fit_and_predict(dataset, SETTINGS, readers)
    expected_tracks, expected = predict(model, held_out)
    assert tracks == expected_tracks
    assert all(np.array_equal(judged[head], expected[head]) for head in model.heads)


@pytest.mark.usefixtures("ray_here")
def test_the_job_makes_a_bundle_that_hears_the_same(
    dataset: Dataset, model: KNN, tmp_path: Path, held_out: list[Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knn_job, "CHUNK_SEGMENTS", 5)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # tracked beside the output
    said: list[tuple[int, int]] = []
    config = TrainKNN(model=SETTINGS.model, dataset=dataset.folder.uri, output=str(tmp_path / "knn"))
    summary = job.train(config, lambda done, total, values: said.append((done, total)))
    bundle = load_bundle(str(tmp_path / "knn"), "classifier")
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in bundle.model.state_dict().items())
    assert bundle.heads == model.heads
    assert summary.test == evaluate(model, held_out)
    total = len(dataset.segments("train")) + len(dataset.segments("test"))
    assert said[0] == (0, total)
    assert said[-1] == (total, total)
    assert "3 neighbours by cosine distance" in (tmp_path / "knn" / "README.md").read_text()


def test_it_remembers_the_training_tracks(dataset: Dataset, model: KNN, train: list[Window]) -> None:
    assert len(model.features) == model.config.examples == len(dataset.segments("train"))
    assert model.heads == {"genre": dataset.genres, "emotion": GEMS}
    assert model.config.window_seconds == 2.0  # a dataset's segments, where those are shorter than the six seconds
    judged = model(np.stack([window.features for window in train]))["genre"]
    heard = [dataset.genres[i] for i in judged.argmax(1)]
    assert heard == [window.track.genre for window in train]


def test_it_tells_the_held_out_tracks(model: KNN, held_out: list[Window]) -> None:
    figures = evaluate(model, held_out)
    assert figures["genre"]["tracks"] == figures["emotion"]["tracks"] == 4
    assert figures["genre"]["accuracy"] >= 0.75
    assert figures["emotion"]["mean_r"] > 0


def test_a_track_is_judged_as_its_audio_is(dataset: Dataset, model: KNN, held_out: list[Window]) -> None:
    reader = dataset.segments("test")
    tracks, judged = predict(model, held_out)
    for row, track in enumerate(tracks):
        items = [item for item, segment in enumerate(reader.segments) if segment.track == track]
        waveform = np.concatenate([reader.pcm(item) for item in items]).astype(np.float32) / np.float32(32768)
        for head, probabilities in model.judge(torch.from_numpy(waveform)).items():
            np.testing.assert_allclose(judged[head][row], probabilities, atol=1e-6)


def test_windows_do_not_depend_on_which_are_asked_for(dataset: Dataset, held_out: list[Window]) -> None:
    length = window_samples(dataset, SETTINGS)
    apart = [
        window for item in range(len(held_out)) for window in windows_of(dataset.segments("test"), [item], 8000, length)
    ]
    assert [window.track for window in apart] == [window.track for window in held_out]
    assert all(np.array_equal(a.features, b.features) for a, b in zip(apart, held_out, strict=True))


def test_a_segment_is_cut_into_windows_and_its_short_rest_is_not_learnt(dataset: Dataset) -> None:
    settings = KNNSettings(model=KNNConfig(neighbours=3, window_seconds=0.7))
    windows = split_windows(dataset, "train", settings)
    track = windows[0].track
    mine = [window for window in windows if window.track == track]
    assert [window.n_samples for window in mine] == [5600, 5600, 4800, 5600, 2400]  # of 2 s and of 1 s
    start = dataset.segments("train").pcm(0)[5600:11200].astype(np.float32) / np.float32(32768)
    np.testing.assert_array_equal(mine[1].features, handmade_features(start, dataset.sample_rate))
    assert fit_windows(dataset, settings, windows).config.examples == len(windows) * 4 // 5


def test_tracks_without_a_label_are_left_out_of_its_head(
    dataset: Dataset, corpus: Path, tmp_path: Path, ingest_here: Any
) -> None:
    rows = (corpus / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join([rows[0], *rows[1::2]]) + "\n")
    labels = LabelsConfig(kind="folders", path=str(tmp_path / "labels.csv"))
    ingest_here(IngestConfig(source=str(corpus), output=str(tmp_path / "d"), sample_rate=8000, labels=labels))
    half = Dataset(str(tmp_path / "d"))
    known = sum(track.emotion is not None for track in half.tracks)
    assert 0 < known < len(half.tracks)
    windows = split_windows(half, "train")
    model = fit_windows(half, SETTINGS, windows)
    assert not model.targets[:, :4].isnan().any()
    assert model.targets[:, 4:].isnan().any(1).sum() == sum(window.track.emotion is None for window in windows)
    everything = evaluate(model, [*windows, *split_windows(half, "test"), *split_windows(half, "validation")])
    assert everything["genre"]["tracks"] == len(half.tracks)
    assert everything["emotion"]["tracks"] == known
    assert fit_windows(half, SETTINGS.model_copy(update={"heads": ("emotion",)}), windows).heads == {"emotion": GEMS}


def test_a_head_without_labels_is_refused(corpus: Path, tmp_path: Path, ingest_here: Any) -> None:
    ingest_here(IngestConfig(source=str(corpus), output=str(tmp_path / "d"), sample_rate=8000))
    dataset = Dataset(str(tmp_path / "d"))
    with pytest.raises(InputError, match="no track has a label for emotion"):
        fit_windows(dataset, KNNSettings(heads=("emotion", "genre")), split_windows(dataset, "train"))


def test_more_neighbours_than_examples_are_refused(dataset: Dataset, train: list[Window]) -> None:
    with pytest.raises(InputError, match=r"model\.neighbours: 99, but 32 examples have a label for genre"):
        fit_windows(dataset, KNNSettings(model=KNNConfig(neighbours=99)), train)


def test_shuffled_labels_stay_at_chance_by_track_and_leak_by_segment(dataset: Dataset) -> None:
    """Genres dealt to tracks at random say nothing; a track's other window still gives its label away."""
    windows = [window for split in SPLITS for window in split_windows(dataset, split)]
    tracks = list({window.track.track_id: window.track for window in windows}.values())
    genres = np.random.default_rng(0).permutation([str(track.genre) for track in tracks])
    dealt = {track.track_id: replace(track, genre=str(genre)) for track, genre in zip(tracks, genres, strict=True)}
    windows = [replace(window, track=dealt[window.track.track_id]) for window in windows]
    settings = KNNSettings(heads=("genre",), model=KNNConfig(neighbours=1))

    def accuracy(taught: Callable[[Window, Window], bool]) -> float:
        hits = 0
        for asked in windows:
            model = fit_windows(dataset, settings, [window for window in windows if taught(window, asked)])
            heard = model(asked.features[None])["genre"].argmax().item()
            hits += dataset.genres[int(heard)] == asked.track.genre
        return hits / len(windows)

    assert accuracy(lambda window, asked: window is not asked) > 0.6
    assert accuracy(lambda window, asked: window.track != asked.track) < 0.45

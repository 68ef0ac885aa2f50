"""Training a classifier on the small collection, in plain PyTorch."""

import copy
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gmn.datasets.dataset import Dataset
from gmn.datasets.labels import GEMS, LabelsConfig
from gmn.datasets.settings import IngestConfig
from gmn.errors import InputError
from gmn.models.cnn import CNNConfig
from gmn.models.resnet import ResNetConfig
from gmn.training.classifier import ClassifierTask, CNNSettings, ResNetSettings
from gmn.training.labelled import choose_heads, open_readers, targets_of
from gmn.training.loop import Fit, FitSettings

CPU = torch.device("cpu")
SETTINGS = ResNetSettings(
    model=ResNetConfig(widths=(6, 8), n_fft=512, hop_length=160, n_mels=24),
    fit=FitSettings(
        steps=30,
        batch_size=8,
        learning_rate=0.01,
        warmup_steps=3,
        evaluate_every=15,
        ema_decay=0.7,
        precision="float32",
    ),
    crop_seconds=1.0,
)


CNN_SETTINGS = CNNSettings(
    model=CNNConfig(widths=(6, 8), n_fft=512, hop_length=160, n_mels=24),
    **SETTINGS.model_dump(exclude={"kind", "model", "init"}),
)
FIGURES = {"accuracy", "interval", "macro_f1", "majority", "confusion", "log_loss", "tracks"}


def make(dataset: Dataset, **changes: Any) -> ClassifierTask:
    return ClassifierTask(dataset, SETTINGS.model_copy(update=changes), CPU)


def mean_loss(task: ClassifierTask) -> float:
    with torch.no_grad():
        return float(np.mean([task.loss(10_000 + step, 0, 1).item() for step in range(4)]))


@pytest.mark.parametrize(
    ("settings", "heads", "falls"),
    [(SETTINGS, ("genre",), 0.3), (SETTINGS, ("emotion",), 0.05), (SETTINGS, None, 0.3), (CNN_SETTINGS, None, 0.15)],
)
def test_a_few_steps_learn_something(dataset: Dataset, settings: Any, heads: Any, falls: float) -> None:
    task = ClassifierTask(
        dataset, settings.model_copy(update={"heads": heads, "mixup": 0.0, "label_smoothing": 0.0}), CPU
    )
    before = mean_loss(task)
    fit = Fit(task, SETTINGS.fit, SETTINGS.seed)
    fit.run()
    assert mean_loss(task) < before - falls
    assert [point["step"] for point in fit.history] == [15, 30]


def test_interrupted_and_resumed_equals_undisturbed(dataset: Dataset) -> None:
    settings = SETTINGS.fit.model_copy(update={"steps": 6, "evaluate_every": 3})
    whole = Fit(make(dataset), settings, SETTINGS.seed)
    states: list[dict[str, Any]] = []
    whole.run(lambda _: states.append(copy.deepcopy(whole.state())))
    resumed = Fit(make(dataset), settings, SETTINGS.seed)
    resumed.resume(states[0])
    resumed.run()
    expected = whole.average.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in resumed.average.state_dict().items())
    assert resumed.history == whole.history


def test_members_differ_and_each_learns(dataset: Dataset) -> None:
    task = make(dataset, model=SETTINGS.model.model_copy(update={"members": 2}))
    task.loss(0, 0, 1).backward()
    first, second = task.model.members
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert one.ndim < 2 or not torch.equal(one, other)


def test_an_example_depends_on_seed_step_and_item_alone(dataset: Dataset) -> None:
    crop, target, _ = make(dataset).crops.example(3, 1)
    task = make(dataset)
    torch.manual_seed(99)
    task.crops.example(0, 0)
    np.testing.assert_array_equal(task.crops.example(3, 1)[0], crop)
    np.testing.assert_array_equal(task.crops.example(3, 1)[1], target)
    for step, item in ((3, 2), (4, 1)):
        assert not np.array_equal(task.crops.example(step, item)[0], crop)
    assert not np.array_equal(make(dataset, seed=1).crops.example(3, 1)[0], crop)


def test_two_ranks_cover_the_examples_of_one(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make(dataset)
    drawn: list[int] = []
    example = task.crops.example
    monkeypatch.setattr(task.crops, "example", lambda step, item: (drawn.append(item), example(step, item))[1])
    for rank in (0, 1):
        task.loss(7, rank, 2)
    assert sorted(drawn) == list(range(8))


def test_genres_are_drawn_evenly(dataset: Dataset) -> None:
    task = make(dataset, heads=("genre",))
    task.crops._segments = [task.crops._segments[0][:1], *task.crops._segments[1:]]  # one genre with a single segment
    shares = np.mean([task.crops.example(0, item)[1] for item in range(200)], axis=0)
    np.testing.assert_allclose(shares, 1 / len(dataset.genres), atol=0.12)


def test_an_emotion_example_carries_its_rates_and_weight(dataset: Dataset) -> None:
    task = make(dataset, heads=("emotion",))
    _, rates, (weight,) = task.crops.example(0, 0)
    (track,) = (t for t in dataset.tracks if t.emotion is not None and np.allclose(t.emotion, rates))
    assert track.track_id in {row["track_id"] for row in dataset.split_rows() if row["split"] == "train"}
    assert weight == np.float32(float(track.n_annotators or 1) ** 0.5)


def test_a_label_that_is_not_known_weighs_nothing(dataset: Dataset) -> None:
    heads = choose_heads(dataset, None)
    assert list(heads) == ["genre", "emotion"]
    track = dataclasses.replace(dataset.tracks[0], emotion=None)
    targets, weights = targets_of(track, heads)
    assert targets.sum() == 1
    assert targets[dataset.genres.index(str(track.genre))] == 1
    assert weights.tolist() == [1, 0]
    assert targets_of(dataclasses.replace(track, genre=None), heads)[1].tolist() == [0, 0]


def test_a_batch_without_a_label_for_a_head_gives_no_gradient_to_it(dataset: Dataset) -> None:
    task = make(dataset)
    tracks = task.readers["train"].segments
    task.readers["train"].segments[:] = [
        dataclasses.replace(segment, track=dataclasses.replace(segment.track, emotion=None)) for segment in tracks
    ]
    task.loss(0, 0, 1).backward()
    gradient = task.model.members[0].head.weight.grad  # type: ignore[union-attr]
    assert isinstance(gradient, torch.Tensor)
    assert gradient[: len(dataset.genres)].abs().max() > 0
    assert gradient[len(dataset.genres) :].abs().max() == 0


def test_a_tracks_short_last_segment_is_not_trained_on(dataset: Dataset) -> None:
    segments = dataset.segments("train").segments
    assert {segments[i].index for group in make(dataset, crop_seconds=1.5).crops._segments for i in group} == {0}
    assert {segments[i].index for group in make(dataset).crops._segments for i in group} == {0, 1}


def test_segments_shorter_than_a_crop_are_all_trained_on(
    dataset: Dataset, corpus: Path, tmp_path: Path, ingest_here: Any
) -> None:
    """With a crop longer than the segments, only the first segment of each track was ever trained on."""
    labels = LabelsConfig(kind="table", path=str(corpus / "labels.csv"))
    settings: dict[str, Any] = {"sample_rate": 8000, "segment_seconds": 0.7, "labels": labels}
    ingest_here(IngestConfig(source=str(corpus), output=str(tmp_path / "d"), **settings))
    short = Dataset(str(tmp_path / "d"))
    segments = short.segments("train").segments
    assert {segments[i].index for group in make(short).crops._segments for i in group} == {0, 1, 2, 3}


def test_bands_are_standardised_over_the_training_tracks(dataset: Dataset) -> None:
    task = make(dataset)
    reader = task.readers["train"]
    seen = np.concatenate(
        [task.crops.standardise(task.crops.spectrogram(reader, i), 0.0) for i in range(len(reader))], axis=1
    )
    np.testing.assert_allclose(seen.mean(1), 0, atol=1e-3)
    np.testing.assert_allclose(seen.std(1), 1, atol=1e-2)


def test_the_bundled_model_hears_what_the_task_trained_on(dataset: Dataset) -> None:
    task = make(dataset)
    reader = task.readers["test"]
    waveform = torch.from_numpy(reader.pcm(0).astype(np.float32) / 32768)[None]
    trained_on = torch.from_numpy(task.crops.standardise(task.crops.spectrogram(reader, 0), 0.0))[None]
    torch.testing.assert_close(task.model.spectrogram(waveform), trained_on, atol=0.02, rtol=0)


def test_the_judgement_of_both_heads(dataset: Dataset) -> None:
    task = make(dataset)
    judged = task.evaluate(task.model.eval(), "test")
    assert list(judged) == ["genre", "emotion"]
    genre, emotion = judged.values()
    assert set(genre) == FIGURES
    confusion = np.array(genre["confusion"])
    assert confusion.sum() == genre["tracks"] == 4
    assert genre["accuracy"] == np.trace(confusion) / 4
    assert genre["majority"] == 0.25
    assert genre["interval"][0] <= genre["accuracy"] <= genre["interval"][1]
    assert set(emotion) == {"mean_r", "r", "log_loss", "tracks"}
    assert set(emotion["r"]) <= set(GEMS)
    assert emotion["mean_r"] == pytest.approx(np.mean(list(emotion["r"].values())), abs=1e-3)


def test_a_validation_gives_curves(dataset: Dataset) -> None:
    task = make(dataset)
    values = task.evaluate(task.model.eval(), "validation")
    assert set(values) == {"loss", "genre_accuracy", "emotion_mean_r"}
    assert all(isinstance(value, float) for value in values.values())


def test_the_temperature_makes_validation_likeliest(dataset: Dataset) -> None:
    """Of a model whose logits are too large: a temperature above 1, after which none is needed."""
    task = make(dataset)
    model = copy.deepcopy(task.model).eval()
    model.divide_logits(dict.fromkeys(task.heads, 0.01))
    before = task.evaluate(model, "validation")
    temperatures = task.calibrate(model)
    assert all(temperature > 2 for temperature in temperatures.values())
    model.divide_logits(temperatures)
    after = task.evaluate(model, "validation")
    assert after["loss"] < before["loss"]
    assert after["genre_accuracy"] == before["genre_accuracy"]


def test_what_bfloat16_changes_is_said(dataset: Dataset) -> None:
    """Little, of a network as it is; more, of one whose logits are enlarged until they tell all apart."""
    task = make(dataset)
    model = task.model.eval()
    said = task.check_bf16(model)
    assert (said["tracks"], said["changed"].keys()) == (4, {"genre", "emotion"})
    assert 0 < said["largest"] < 0.02
    model.divide_logits({"genre": 1e-4, "emotion": 1e-4})
    assert task.check_bf16(model)["largest"] > 2 * said["largest"]
    assert next(model.members.parameters()).dtype == torch.float32


def test_a_head_without_labels_is_refused(corpus: Path, tmp_path: Path, ingest_here: Any) -> None:
    settings: dict[str, Any] = {"source": str(corpus), "sample_rate": 8000}
    ingest_here(IngestConfig(output=str(tmp_path / "folders"), **settings))
    folders = Dataset(str(tmp_path / "folders"))
    assert list(choose_heads(folders, None)) == ["genre"]
    with pytest.raises(InputError, match="no track has a label for emotion"):
        open_readers(folders, ("emotion",))
    ingest_here(IngestConfig(output=str(tmp_path / "none"), labels=LabelsConfig(kind="none"), **settings))
    with pytest.raises(InputError, match="no track has a label for genre"):
        open_readers(Dataset(str(tmp_path / "none")), ("genre",))
    with pytest.raises(InputError, match="nothing to tell apart: no emotions, and fewer than two genres"):
        open_readers(Dataset(str(tmp_path / "none")))


@pytest.fixture
def one_genre(corpus: Path, tmp_path: Path, ingest_here: Any) -> Dataset:
    """Six labelled tracks of one genre: four to train, one to validate, one to test."""
    shutil.copytree(corpus / "chorale", tmp_path / "audio" / "chorale")
    labels = LabelsConfig(kind="table", path=str(corpus / "labels.csv"))
    ingest_here(
        IngestConfig(source=str(tmp_path / "audio"), output=str(tmp_path / "d"), sample_rate=8000, labels=labels)
    )
    return Dataset(str(tmp_path / "d"))


def test_one_genre_is_nothing_to_tell_apart(one_genre: Dataset) -> None:
    with pytest.raises(InputError, match=r"one genre only \(chorale\), nothing to tell apart"):
        open_readers(one_genre, ("genre",))


def test_one_track_cannot_show_a_correlation(one_genre: Dataset) -> None:
    """It once ended the training at its first validation, with an error about columns."""
    with pytest.raises(InputError, match="1 validation tracks have a label for emotion, which needs 2"):
        open_readers(one_genre, ("emotion",))

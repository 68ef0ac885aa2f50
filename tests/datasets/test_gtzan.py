"""Ingest by published lists, of a small tree with GTZAN's names."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gmn.datasets.dataset import Dataset
from gmn.datasets.gtzan import fault_filtered
from gmn.datasets.labels import GEMS, LabelsConfig
from gmn.datasets.settings import IngestConfig
from gmn.datasets.splits import SplitConfig
from gmn.errors import InputError
from gmn.evaluation.audit import AuditConfig, audit, to_lines
from gmn.evaluation.dataset_page import write_summary

RATE = 8000
GENRES = ("hiphop", "jazz", "metal")
UNLISTED = ("hiphop.00001", "jazz.00033", "metal.00004")


def sing(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, RATE // 2)
    soundfile.write(path, noise, RATE, subtype="PCM_16")


@pytest.fixture(scope="module")
def listed() -> dict[str, str]:
    """Two tracks of each genre and list of the fault-filtered split -> their split."""
    return {
        name: split
        for split, names in fault_filtered().items()
        for genre in GENRES
        for name in [name for name in names if name.startswith(genre)][:2]
    }


@pytest.fixture
def source(listed: dict[str, str], tmp_path: Path) -> Path:
    """Those tracks, half of them as .au, three that no list names, the corrupt one, and litter."""
    for seed, name in enumerate([*listed, *UNLISTED]):
        folder = tmp_path / "audio" / "genres" / name.partition(".")[0]
        sing(folder / f"{name}.{('wav', 'au')[seed % 2]}", seed)
    (tmp_path / "audio" / "genres" / "jazz" / "jazz.00054.wav").write_bytes(bytes(1000))
    (tmp_path / "audio" / "genres" / "jazz" / "._jazz.00054.wav").write_bytes(b"litter")
    return tmp_path / "audio"


def config_of(source: Path, lists: tuple[str, ...] = ("gtzan",), **changes: Any) -> IngestConfig:
    settings: dict[str, Any] = {"labels": LabelsConfig(kind="gtzan"), "split": SplitConfig(lists=lists)} | changes
    output = str(source.parent / "dataset")
    return IngestConfig(source=str(source), output=output, sample_rate=RATE, segment_seconds=0.5, **settings)


def file_of(source: Path, name: str) -> Path:
    (found,) = source.rglob(f"{name}.*")
    return found


def standing(config: IngestConfig) -> dict[str, str]:
    """Each track's split, by its name without folder and suffix."""
    dataset = Dataset(config.output)
    name_of = {track.track_id: Path(track.path).stem for track in dataset.tracks}
    return {name_of[row["track_id"]]: row["split"] for row in dataset.split_rows()}


def test_gtzan_is_split_as_its_lists_say(source: Path, listed: dict[str, str], ingest_here: Any) -> None:
    config = config_of(source)
    summary = ingest_here(config)
    assert standing(config) == listed
    assert (summary.files, summary.tracks, summary.rejected) == (22, 18, {"not_audio": 1})
    assert summary.genres == dict.fromkeys(GENRES, 6)
    assert summary.splits == {"train": 6, "validation": 6, "test": 6}
    assert summary.bridges == []
    assert summary.warnings == [
        "3 tracks stand in none of the lists of split.lists=gtzan, and so in no split",
        "911 of the 930 tracks in split.lists=gtzan have no audio file (first: blues.00000)",
        "1 of the 930 tracks in split.lists=gtzan are rejected (first: jazz.00054)",
    ]
    dataset = Dataset(config.output)
    assert not {Path(s.track.path).stem for s in dataset.segments().segments} & {*UNLISTED, "jazz.00054"}
    rows = {Path(row["path"]).stem: row for row in dataset.manifest(["path", "status", "genre"]).to_pylist()}
    assert (rows["jazz.00054"]["status"], rows["jazz.00033"]["status"]) == ("rejected", "ok")
    assert rows["jazz.00054"]["genre"] == "jazz"


def test_a_list_may_be_any_three_files(source: Path, listed: dict[str, str], tmp_path: Path, ingest_here: Any) -> None:
    """In the form that was published; here with the roles of train and test exchanged."""
    for split in ("train", "validation", "test"):
        names = [f"{name.partition('.')[0]}/{name}.au" for name, role in listed.items() if role == split]
        (tmp_path / f"{split}.txt").write_text("\n".join(names) + "\n")
    lists = tuple(str(tmp_path / f"{name}.txt") for name in ("test", "validation", "train"))
    config = config_of(source, lists, labels=LabelsConfig(kind="none"))
    summary = ingest_here(config)
    other = {"train": "test", "test": "train", "validation": "validation"}
    assert standing(config) == {name: other[split] for name, split in listed.items()}
    title = f"split.lists={','.join(lists)}"
    assert summary.warnings == [f"3 tracks stand in none of the lists of {title}, and so in no split"]


def test_copies_that_the_lists_part_are_told_and_stay(source: Path, listed: dict[str, str], ingest_here: Any) -> None:
    train, test = (
        next(n for n in listed if listed[n] == split and n.startswith("hiphop")) for split in ("train", "test")
    )
    (file_of(source, test)).unlink()
    shutil.copy(file_of(source, train), source / "genres" / "hiphop" / f"{test}{file_of(source, train).suffix}")
    config = config_of(source)
    summary = ingest_here(config)
    assert standing(config) == listed
    pair = sorted(str(file_of(source, name).relative_to(source)) for name in (train, test))
    assert (summary.copies, summary.bridges, summary.groups) == (2, [pair], 17)
    assert f"bridge    one recording, several splits: {', '.join(pair)}" in summary.lines()
    assert "1 of 17 groups stand in more than one split: figures on it are too high" in summary.warnings
    dataset = Dataset(config.output)
    page = write_summary(dataset)
    assert page is not None
    assert "One recording in several splits" in page.read_text()
    lines = to_lines(audit(AuditConfig(dataset=config.output)))
    assert f"bridge    one recording, several splits: {', '.join(pair)}" in lines


def test_a_newcomer_joins_the_split_that_its_list_says(source: Path, listed: dict[str, str], ingest_here: Any) -> None:
    late = next(name for name in listed if listed[name] == "test")
    home = file_of(source, late)
    away = home.rename(source.parent / home.name)
    config = config_of(source)
    ingest_here(config)
    assert standing(config) == {name: split for name, split in listed.items() if name != late}
    away.rename(home)
    assert ingest_here(config.model_copy(update={"update": True})).tracks == 18
    assert standing(config) == listed


def test_folds_are_made_of_the_listed_tracks(source: Path, listed: dict[str, str], ingest_here: Any) -> None:
    config = config_of(source, split=SplitConfig(lists=("gtzan",), folds=3))
    ingest_here(config)
    dataset = Dataset(config.output)
    tested = [Path(s.track.path).stem for i in range(3) for s in dataset.segments("test", name=f"fold-{i}").segments]
    assert set(tested) == set(listed)


def test_lists_that_name_no_file_are_an_error_before_the_output_is_touched(source: Path, ingest_here: Any) -> None:
    for file in [path for path in source.rglob("*.*") if not path.name.startswith(".")]:
        file.rename(file.with_name(f"my-{file.name}"))
    with pytest.raises(
        InputError, match=r"labels.kind=gtzan: no audio file is named as GTZAN's, .*'genres/hiphop/my-hiphop"
    ):
        ingest_here(config_of(source))
    with pytest.raises(
        InputError, match=r"split.lists=gtzan: names none of the audio files .*'genres/hiphop/my-hiphop"
    ):
        ingest_here(config_of(source, labels=LabelsConfig()))
    assert not (source.parent / "dataset").exists()


def test_lists_whose_tracks_are_all_unreadable_are_an_error(source: Path, tmp_path: Path, ingest_here: Any) -> None:
    for name, text in {"a": "jazz.00054", "b": "no.1", "c": "no.2"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    lists = tuple(str(tmp_path / f"{name}.txt") for name in "abc")
    with pytest.raises(InputError, match="none of the tracks that it names can be read"):
        ingest_here(config_of(source, lists))


def test_a_file_without_gtzans_name_has_no_genre(source: Path, ingest_here: Any) -> None:
    sing(source / "genres" / "hiphop" / "extra.wav", 99)
    config = config_of(source, split=SplitConfig())
    summary = ingest_here(config)
    assert summary.genres == dict.fromkeys(GENRES, 7)
    assert summary.tracks == 22
    assert summary.warnings == ["1 of the 23 audio files are not named as GTZAN's are: no genre"]


def test_the_genre_by_name_and_the_emotion_by_table(source: Path, tmp_path: Path, ingest_here: Any) -> None:
    """Two heads from two places."""
    rated = [str(path.relative_to(source)) for path in sorted(source.rglob("[!.]*.*"))][:4]
    rows = [f"{path},{','.join(['0.5'] * 9)},12,artist-{i % 2},metal" for i, path in enumerate(rated)]
    header = f"path,{','.join(GEMS)},n_annotators,artist,genre"
    (tmp_path / "rates.csv").write_text("\n".join([header, *rows]) + "\n")
    labels = LabelsConfig(kind="gtzan", path=str(tmp_path / "rates.csv"))
    config = config_of(source, labels=labels, split=SplitConfig(group="column:artist"))
    summary = ingest_here(config)
    dataset = Dataset(config.output)
    tracks = {track.path: track for track in dataset.tracks}
    assert all(
        (tracks[p].genre, tracks[p].emotion, tracks[p].n_annotators) == ("hiphop", (0.5,) * 9, 12) for p in rated
    )
    assert sum(track.emotion is not None for track in tracks.values()) == 4
    assert {tracks[path].group for path in rated} == {"column:artist:artist-0", "column:artist:artist-1"}
    assert dataset.heads == ("genre", "emotion")
    assert f"4 of the 22 audio files have another genre in {tmp_path}/rates.csv; labels.kind=gtzan decides" in (
        summary.warnings
    )

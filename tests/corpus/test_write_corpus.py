"""The folder: bytes by seed, prefixes, resuming and refusing."""

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gmn.corpus.compose import EMOTIONS, GENRES
from gmn.corpus.write import compose_track, track_path, write_corpus
from gmn.datasets.labels import GEMS
from gmn.errors import InputError

TRACKS = 8
SMALL = {"seconds": 1.5, "sample_rate": 8000}


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "small", TRACKS, seed=5, **SMALL)


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_files_and_labels(corpus: Path) -> None:
    rows = _rows(corpus)
    assert list(rows[0]) == ["path", "genre", "n_annotators", *GEMS]
    assert [row["genre"] for row in rows] == [GENRES[index % len(GENRES)] for index in range(TRACKS)]
    written = {path.relative_to(corpus).as_posix() for path in corpus.glob("*/*")}
    assert {row["path"] for row in rows} == written
    assert {path.rsplit(".")[-1] for path in written} == {"wav", "flac", "aiff", "au"}
    assert {path.name for path in corpus.iterdir()} == {*GENRES, "labels.csv", "README.txt", "corpus.json"}
    for row in rows:
        info = soundfile.info(corpus / row["path"])
        assert (info.samplerate, info.frames, info.channels, info.subtype) == (8000, 12000, 1, "PCM_16")
        rates = np.array([float(row[name]) for name in GEMS])
        reports = rates * int(row["n_annotators"])
        np.testing.assert_allclose(reports, np.round(reports), atol=1e-9)
        assert np.all((rates >= 0) & (rates <= 1))
    assert "seed 5" in (corpus / "README.txt").read_text(encoding="utf-8")


def test_same_seed_same_bytes(corpus: Path, tmp_path: Path) -> None:
    assert _digests(write_corpus(tmp_path / "again", TRACKS, seed=5, **SMALL)) == _digests(corpus)
    other = _digests(write_corpus(tmp_path / "other", TRACKS, seed=6, **SMALL))
    assert all(other[row["path"]] != _digests(corpus)[row["path"]] for row in _rows(corpus))


def test_a_longer_collection_begins_alike(corpus: Path, tmp_path: Path) -> None:
    shorter = write_corpus(tmp_path / "shorter", TRACKS - 3, seed=5, **SMALL)
    assert _rows(shorter) == _rows(corpus)[: TRACKS - 3]
    assert {name: digest for name, digest in _digests(shorter).items() if "/" in name}.items() <= _digests(
        corpus
    ).items()


def test_genres_meet_all_emotions_and_containers() -> None:
    pairs = Counter((s.genre, s.emotion) for s in (compose_track(0, index, 1.0) for index in range(96)))
    assert set(pairs) == {(genre, emotion) for genre in GENRES for emotion in EMOTIONS}
    assert set(pairs.values()) == {4}
    kinds = Counter((path.split("/")[0], path.rsplit(".")[-1]) for path in map(track_path, range(96)))
    assert set(kinds.values()) == {6}
    assert track_path(0) == "chorale/chorale.000.wav"


def test_all_emotions_vary() -> None:
    rates = np.array([compose_track(0, index, 1.0).rates for index in range(96)])
    assert np.all(np.std(rates, axis=0) > 0.1)
    standardised = (rates - rates.mean(axis=0)) / rates.std(axis=0)
    assert set(np.argmax(standardised, axis=1)) == set(range(len(GEMS)))


def test_second_call_does_no_work(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    steps: list[int] = []
    assert write_corpus(corpus, TRACKS, seed=5, progress=steps.append, **SMALL) == corpus
    assert steps == []
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before


def test_a_killed_run_is_made_whole_by_the_same_call(corpus: Path, tmp_path: Path) -> None:
    class KilledError(Exception):
        """Stands for the kill."""

    def kill(_: int) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        write_corpus(tmp_path / "c", TRACKS, seed=5, progress=kill, **SMALL)
    assert not (tmp_path / "c" / "labels.csv").exists()
    assert not (tmp_path / "c" / "corpus.json").exists()
    with pytest.raises(InputError, match="other parameters"):
        write_corpus(tmp_path / "c", TRACKS, seed=6, **SMALL)
    steps: list[int] = []
    write_corpus(tmp_path / "c", TRACKS, seed=5, progress=steps.append, **SMALL)
    assert sum(steps) == TRACKS
    assert _digests(tmp_path / "c") == _digests(corpus)


def test_something_else_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=tmp_path.name):
        write_corpus(tmp_path, TRACKS, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match=r"thesis\.txt"):
        write_corpus(tmp_path / "thesis.txt", TRACKS, **SMALL)
    with pytest.raises(InputError, match="other parameters"):
        write_corpus(corpus, TRACKS + 1, seed=5, **SMALL)


@pytest.mark.parametrize("wrong", [{"tracks": 0}, {"seconds": 0.1}, {"seed": -1}, {"sample_rate": 100}])
def test_parameters_out_of_range(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))}="):
        write_corpus(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()

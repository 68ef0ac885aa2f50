"""What ingest says of outputs, sources and label files that cannot be used, and of names that are no text."""

import errno
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from gmn.datasets import ingest as ingest_module
from gmn.datasets.dataset import Dataset
from gmn.datasets.ingest import check_strict
from gmn.datasets.labels import GEMS, LabelsConfig
from gmn.datasets.path_text import path_bytes
from gmn.datasets.settings import IngestConfig
from gmn.datasets.splits import SplitConfig
from gmn.errors import InputError, RejectedError

RATE = 8000


def sing(path: Path, seed: int, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * RATE))
    soundfile.write(path, noise, RATE, subtype="PCM_16")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for seed in range(6):
        sing(tmp_path / "audio" / "pop" / f"{seed}.wav", seed)
    return tmp_path / "audio"


def config_of(source: Path, **changes: Any) -> IngestConfig:
    settings = {"output": str(source.parent / "dataset"), "sample_rate": RATE, "segment_seconds": 0.2} | changes
    return IngestConfig(source=str(source), **settings)


def table(source: Path, *rows: str, header: str = "path,genre") -> LabelsConfig:
    (source.parent / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return LabelsConfig(kind="table", path=str(source.parent / "labels.csv"))


def test_strict_is_for_rejections_alone(source: Path, ingest_here: Any) -> None:
    config = config_of(source, strict=True)
    check_strict(config, ingest_here(config))
    (source / "pop" / "bad.wav").write_bytes(b"no sound")
    config = config_of(source, strict=True, update=True)
    summary = ingest_here(config)
    with pytest.raises(RejectedError):
        check_strict(config, summary)
    check_strict(config.model_copy(update={"strict": False}), summary)


def test_a_label_table_that_does_not_match_is_told(source: Path, ingest_here: Any) -> None:
    labels = table(source, *(f"pop/{i}.wav,jazz" for i in range(4)), "pop/none.wav,jazz", "pop/nil.wav,rock")
    file = source.parent / "labels.csv"
    assert ingest_here(config_of(source, labels=labels)).warnings == [
        f"2 of the 6 tracks in {file} have no audio file",
        f"2 of the 6 audio files have no row in {file}",
        "one genre only (jazz): nothing to tell apart",
    ]


def test_a_label_table_that_names_no_file_is_an_error(source: Path, ingest_here: Any) -> None:
    """It once had claimed the output first, and the corrected command met another request."""
    with pytest.raises(InputError, match=r"names none of the audio files \(first: 'pop/0.wav'\)"):
        ingest_here(config_of(source, labels=table(source, "0.wav,jazz")))
    assert not (source.parent / "dataset").exists()


def test_a_genre_that_is_not_in_every_split_is_told(source: Path, ingest_here: Any) -> None:
    labels = table(source, *(f"pop/{i}.wav,pop" for i in range(4)), "pop/4.wav,jazz", "pop/5.wav,")
    summary = ingest_here(config_of(source, labels=labels))
    assert summary.genres == {"jazz": 1, "pop": 4}
    assert summary.warnings == [
        "1 of 2 genres have no validation track (first: jazz)",
        "1 of 2 genres have no test track (first: jazz)",
    ]


def test_a_command_that_failed_at_the_end_does_not_bind_the_corrected_one(source: Path, ingest_here: Any) -> None:
    """It once met another request. What was decoded stays good for the same source, and for no other."""
    copies = source.parent / "copies" / "pop"
    copies.mkdir(parents=True)
    for number in range(2):
        shutil.copy(source / "pop" / "0.wav", copies / f"{number}.wav")
    config = config_of(copies.parent, split=SplitConfig(folds=3))
    said = r"split.folds=3: each fold needs a group of tracks .* holds one recording, which is cut into blocks"
    with pytest.raises(InputError, match=said):
        ingest_here(config)
    with pytest.raises(InputError, match=r"not a dataset \(no dataset.json in it\)"):
        Dataset(config.output)
    (part,) = Path(config.output, "manifest").iterdir()
    written = part.stat().st_mtime_ns
    assert ingest_here(config_of(copies.parent)).groups == 1
    assert part.stat().st_mtime_ns == written
    with pytest.raises(InputError, match="was made by another request"):  # now it is whole
        ingest_here(config)

    bad = source.parent / "bad" / "pop"
    bad.mkdir(parents=True)
    for number in range(6):  # as many bytes as the sounds of the other source
        (bad / f"{number}.wav").write_bytes(bytes((source / "pop" / f"{number}.wav").stat().st_size))
    with pytest.raises(InputError, match="none of its 6 audio files can be read"):
        ingest_here(config_of(bad.parent, output=f"{config.output}2"))
    assert ingest_here(config_of(source, output=f"{config.output}2")).tracks == 6


def test_more_folds_than_groups_are_refused(source: Path, ingest_here: Any) -> None:
    """Some folds once had nothing to test on."""
    with pytest.raises(InputError, match=r"split.folds=7: .* holds 6 groups of tracks \(by artist and copies\)"):
        ingest_here(config_of(source, split=SplitConfig(folds=7)))
    shutil.copytree(source / "pop", source.parent / "one" / "pop", ignore=lambda _, names: sorted(names)[1:])
    with pytest.raises(InputError, match=r"split.folds=3: .* holds one recording"):
        ingest_here(config_of(source.parent / "one", split=SplitConfig(folds=3), output=f"{source.parent}/d"))


def test_a_mood_is_not_an_emotion(source: Path, ingest_here: Any) -> None:
    (source.parent / "data.csv").write_text(
        f"track id, genre,{','.join(f' {name}' for name in GEMS)}, mood\n1,pop,{'1,' * 9}3\n301,pop,{'1,' * 9}4\n"
    )
    labels = LabelsConfig(kind="emotify", path=str(source.parent / "data.csv"), genre_column="mood")
    summary = ingest_here(config_of(source, labels=labels))
    assert "the listener's mood before listening, not an emotion of the music" in summary.warnings[0]
    assert summary.genres["4"] == 1


def test_a_column_of_the_table_groups(source: Path, ingest_here: Any) -> None:
    labels = table(source, *(f"pop/{i}.wav,pop,S{i % 3}" for i in range(6)), header="path,genre,series")
    config = config_of(source, labels=labels, split=SplitConfig(group="column:series"))
    assert ingest_here(config).groups == 3
    dataset = Dataset(config.output)
    assert {track.path: track.group for track in dataset.tracks}["pop/4.wav"] == "column:series:S1"
    with pytest.raises(InputError, match=r"needs a table in labels\.path, whose column it names"):
        ingest_here(config.model_copy(update={"labels": LabelsConfig(), "output": f"{config.output}2"}))


def test_the_second_of_two_ingests_into_one_output_says_so(
    source: Path, ingest_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(source)
    inside, go_on = threading.Event(), threading.Event()
    commit = ingest_module.commit

    def slow_commit(*given: Any) -> Any:
        inside.set()
        assert go_on.wait(30)
        return commit(*given)

    monkeypatch.setattr(ingest_module, "commit", slow_commit)
    first = threading.Thread(target=ingest_here, args=(config,))
    first.start()
    assert inside.wait(30)
    try:
        with pytest.raises(InputError, match=r"output .*/dataset: another job is writing it"):
            ingest_here(config)
    finally:
        go_on.set()
        first.join()
    assert len(Dataset(config.output).tracks) == 6


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_an_output_that_cannot_be_written_is_told(
    source: Path, ingest_here: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write anywhere
    with pytest.raises(InputError, match=rf"output .*/dataset: cannot be written: {os.strerror(code)}"):
        ingest_here(config_of(source))


def test_source_and_output_must_lie_apart(source: Path, ingest_here: Any) -> None:
    before = sorted(source.parent.rglob("*"))
    for output, said in (
        (source / "deep" / "dataset", "lies inside the source"),
        (source, "lies inside the source"),
        (source.parent, f"source {source}: lies inside the output"),
    ):
        with pytest.raises(InputError, match=said):
            ingest_here(config_of(source, output=str(output)))
    (source.parent / "link").symlink_to(source)
    with pytest.raises(InputError, match="lies inside the source"):
        ingest_here(config_of(source, output=f"{source.parent}/link/dataset"))
    (source.parent / "link").unlink()
    assert sorted(source.parent.rglob("*")) == before


def test_names_that_are_no_text_survive_into_the_manifest_and_back(source: Path, ingest_here: Any) -> None:
    """A name that was not UTF-8 once ended in a worker's UnicodeEncodeError."""
    names = [b"caf\xe9.wav", b"new\nline.wav", b"back\\slash.wav", "grüße.wav".encode()]
    for number, name in enumerate(names):
        shutil.copy(source / "pop" / f"{number}.wav", os.fsencode(source) + b"/pop/" + name)
    config = config_of(source)
    assert ingest_here(config).tracks == 10
    for part in Dataset(config.output).root["manifest"]:
        for path in pq.read_table(Path(config.output, part))["path"].to_pylist():
            assert path.isprintable()
            raw = path_bytes(path)
            assert (Path(os.fsdecode(os.fsencode(source) + b"/" + raw))).is_file()
            if raw.removeprefix(b"pop/") in names:
                names.remove(raw.removeprefix(b"pop/"))
    assert names == []
    split_paths = {track.path for track in Dataset(config.output).tracks}
    assert r"pop/caf\xe9.wav" in split_paths


def test_folds_are_read_by_name(source: Path, ingest_here: Any) -> None:
    config = config_of(source, split=SplitConfig(folds=3))
    ingest_here(config)
    dataset = Dataset(config.output)
    assert sorted(dataset.root["splits"]) == ["default", "fold-0", "fold-1", "fold-2"]
    tested = [{s.track.path for s in dataset.segments("test", name=f"fold-{fold}").segments} for fold in range(3)]
    assert sorted(path for paths in tested for path in paths) == sorted(track.path for track in dataset.tracks)
    with pytest.raises(InputError, match="no split 'fold-3'; it has default, fold-0"):
        dataset.segments("test", name="fold-3")


def test_a_rate_that_fingerprints_do_not_take_is_refused_before_any_work(source: Path) -> None:
    """It once ended in each worker."""
    for rate in (2000, 192_000):
        with pytest.raises(ValueError, match="sample_rate"):
            config_of(source, sample_rate=rate)

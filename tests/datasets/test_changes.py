"""Files that changed, or could not be read when they were seen: `update=true` reads them again, and doubles nothing."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gmn.datasets import ingest as ingest_module
from gmn.datasets import stage
from gmn.datasets.dataset import Dataset
from gmn.datasets.ingest import ingest
from gmn.datasets.settings import IngestConfig
from gmn.datasets.walk import AudioSource

RATE = 8000


def sing(path: Path, seed: int, seconds: float = 4.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(seconds * RATE)) / RATE
    draw = np.random.default_rng(seed)
    notes = [
        0.3 * np.sin(2 * np.pi * f * t[:2000]) * np.exp(-t[:2000] * 8) for f in draw.uniform(150, 1600, len(t) // 2000)
    ]
    soundfile.write(path, np.concatenate(notes), RATE, subtype="PCM_16")


@pytest.fixture
def config(tmp_path: Path) -> IngestConfig:
    for seed in range(8):
        sing(tmp_path / "audio" / ("pop", "rock")[seed % 2] / f"{seed}.wav", seed)
    source, output = str(tmp_path / "audio"), str(tmp_path / "dataset")
    return IngestConfig(source=source, output=output, sample_rate=RATE, segment_seconds=1.0)


@pytest.fixture
def grown(config: IngestConfig) -> IngestConfig:
    return config.model_copy(update={"update": True})


def standing(config: IngestConfig) -> dict[str, tuple[str, str]]:
    dataset = Dataset(config.output)
    path_of = {track.track_id: track.path for track in dataset.tracks}
    return {path_of[row["track_id"]]: (row["group"], row["split"]) for row in dataset.split_rows()}


def rows(config: IngestConfig) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in Dataset(config.output).manifest().to_pylist()}


def samples(config: IngestConfig, path: str) -> list[int]:
    dataset = Dataset(config.output)
    reader = dataset.segments(tracks=[track.track_id for track in dataset.tracks if track.path == path])
    return [int(sample) for i in range(len(reader)) for sample in reader.pcm(i)]


def test_a_file_of_the_same_size_with_other_content_is_read_anew(
    config: IngestConfig, grown: IngestConfig, ingest_here: Any
) -> None:
    """Path and size were once all that an update looked at."""
    ingest_here(config)
    before, file = standing(config), Path(config.source, "rock", "1.wav")
    sing(file, 50)
    summary = ingest_here(grown)
    assert (summary.changed, summary.removed, summary.files, summary.tracks) == (["rock/1.wav"], [], 8, 8)
    assert samples(config, "rock/1.wav") == soundfile.read(file, dtype="int16")[0].tolist()
    assert standing(config) == before

    # And back: what was cut before is not counted twice.
    sing(file, 1)
    summary = ingest_here(grown)
    assert (summary.changed, summary.files) == (["rock/1.wav"], 8)
    assert samples(config, "rock/1.wav") == soundfile.read(file, dtype="int16")[0].tolist()
    assert len(Dataset(config.output).segments()) == 8 * 4


def test_a_file_of_another_time_with_the_same_content_is_as_it_was(
    config: IngestConfig, grown: IngestConfig, ingest_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ingest_here(config)
    before, digest = rows(config), Dataset(config.output).digest
    for path in Path(config.source).rglob("*.wav"):
        os.utime(path, ns=(1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(stage, "read_mono", None)  # nothing is decoded again
        assert ingest_here(grown) == first
    assert rows(config) == {path: row | {"mtime_ns": 1} for path, row in before.items()}
    assert Dataset(config.output).digest == digest
    monkeypatch.setattr(ingest_module, "ingest_chunk", None)  # nor looked at a second time
    assert ingest(grown) == first


def test_a_changed_file_that_now_holds_a_recording_of_another_split_is_rejected(
    config: IngestConfig, grown: IngestConfig, ingest_here: Any
) -> None:
    ingest_here(config)
    path_of = {split: path for path, (_, split) in standing(config).items()}
    shutil.copy(Path(config.source, path_of["test"]), Path(config.source, path_of["train"]))
    summary = ingest_here(grown)
    assert (summary.rejected, summary.changed) == ({"bridges_splits": 1}, [path_of["train"]])
    assert rows(config)[path_of["train"]]["reason"] == "bridges_splits"
    assert path_of["train"] not in standing(config)


class Failing:
    """A source in which some files cannot be read; a user who may read all files cannot be refused one."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.paths: set[str] = set()
        open_file = AudioSource.open

        def fail(source: AudioSource, path: str) -> Any:
            if path in self.paths:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return open_file(source, path)

        patch.setattr(AudioSource, "open", fail)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    return Failing(monkeypatch)


def test_what_could_not_be_read_is_tried_again_by_each_update(
    config: IngestConfig, grown: IngestConfig, ingest_here: Any, failing: Failing
) -> None:
    """It once stayed rejected for good."""
    failing.paths = {"rock/1.wav", "pop/2.wav"}
    assert ingest_here(config).rejected == {"unreadable": 2}
    first = standing(config)
    for unreadable in ({"rock/1.wav"}, {"rock/1.wav"}, set()):
        failing.paths = unreadable
        summary = ingest_here(grown)
        assert (summary.files, sum(summary.rejected.values())) == (8, len(unreadable))
        assert {path for path, row in rows(config).items() if row["status"] != "ok"} == unreadable
        assert len(Dataset(config.output).manifest()) == 8
    assert (summary.tracks, summary.changed) == (8, [])
    assert first.items() <= standing(config).items()
    assert len(Dataset(config.output).segments()) == 8 * 4


def test_a_track_that_cannot_be_read_again_stays_until_it_can(
    config: IngestConfig, grown: IngestConfig, ingest_here: Any, failing: Failing
) -> None:
    ingest_here(config)
    before = standing(config)
    sing(Path(config.source, "rock", "1.wav"), 50)
    failing.paths = {"rock/1.wav"}
    for _ in range(2):
        summary = ingest_here(grown)
        assert (summary.tracks, summary.rejected, summary.changed) == (8, {}, [])
        (warning,) = summary.warnings
        assert warning.startswith("1 files changed but could not be read again")
        assert "rock/1.wav: [Errno 5] Input/output error" in warning
        assert standing(config) == before
    failing.paths = set()
    summary = ingest_here(grown)
    assert (summary.changed, summary.warnings, summary.files) == (["rock/1.wav"], [], 8)
    assert standing(config) == before


def test_what_stood_in_the_way_and_is_there_no_more_leaves_no_row(
    config: IngestConfig, grown: IngestConfig, ingest_here: Any
) -> None:
    bad, link = Path(config.source, "pop", "bad.wav"), Path(config.source, "pop", "link.wav")
    bad.write_bytes(b"no sound")
    link.symlink_to(config.output + "-elsewhere.wav")
    assert ingest_here(config).rejected == {"not_audio": 1, "dangling_link": 1}
    assert ingest_here(grown).rejected == {"not_audio": 1, "dangling_link": 1}
    bad.unlink()
    sing(Path(config.output + "-elsewhere.wav"), 60)
    summary = ingest_here(grown)
    assert (summary.files, summary.tracks, summary.rejected, summary.removed) == (9, 9, {}, [])

    # A track whose link breaks is gone, and stays.
    Path(config.output + "-elsewhere.wav").unlink()
    summary = ingest_here(grown)
    assert (summary.files, summary.tracks, summary.rejected, summary.removed) == (9, 9, {}, ["pop/link.wav"])


def test_a_dataset_of_format_1_0_grows(tmp_path: Path, ingest_here: Any) -> None:
    """Its manifest has no mtime_ns: an update reads every file once more, and decodes none."""
    golden = Path(__file__).parents[1] / "golden" / "v1" / "dataset"
    audio = tmp_path / "audio"
    for i in range(6):
        tone = 0.5 * np.sin(2 * np.pi * (110 + 40 * i) * np.arange(2000) / 4000)
        path = audio / ("pop", "rock")[i % 2] / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone, 4000, subtype="PCM_16")
    (audio / "pop" / "bad.wav").write_bytes(b"no sound")
    shutil.copytree(golden, tmp_path / "dataset")
    config = IngestConfig(
        source=str(audio), output=str(tmp_path / "dataset"), sample_rate=4000, segment_seconds=0.3, update=True
    )
    request = config.model_dump(exclude={"output", "update", "strict"})
    (tmp_path / "dataset" / "job.json").write_text(json.dumps({"format": "gmn.dataset", "request": request}))
    before, digest = standing(config), Dataset(config.output).digest
    summary = ingest_here(config)
    assert (summary.files, summary.tracks, summary.changed, summary.removed) == (7, 6, [], [])
    assert summary.rejected == {"not_audio": 1}
    assert Dataset(config.output).digest == digest
    assert Dataset(config.output).root["version"] == "1.1"
    sing(audio / "rock" / "new.wav", 5, seconds=2.0)
    assert ingest_here(config).tracks == 7
    assert before.items() <= standing(config).items()
    assert all(row["mtime_ns"] for row in rows(config).values())

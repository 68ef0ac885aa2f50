"""Growth: `update=true` adds what is new, moves nothing, and says what is gone."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gmn.datasets import ingest as ingest_module
from gmn.datasets import listing
from gmn.datasets.dataset import Dataset
from gmn.datasets.ingest import ingest
from gmn.datasets.settings import IngestConfig
from gmn.datasets.stage import ingest_chunk
from gmn.errors import InputError
from gmn.storage import Folder

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


def files(config: IngestConfig) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(config.output).rglob("part-*") if path.parent.name != "listing"}


def test_new_files_join_and_old_ones_stay_where_they_were(
    config: IngestConfig, grown: IngestConfig, ingest_here: Any
) -> None:
    ingest_here(config)
    before, parts = standing(config), files(config)
    for seed in range(100, 108):
        sing(Path(config.source, "rock", f"{seed}.wav"), seed)
    assert ingest_here(config).files == 8  # without update, a whole dataset is left alone
    summary = ingest_here(grown)
    assert (summary.files, summary.tracks, summary.removed) == (16, 16, [])
    after = standing(grown)
    assert {path: after[path] for path in before} == before
    assert len(after) == 16
    assert {path: content for path, content in files(grown).items() if path in parts} == parts
    assert len(Dataset(config.output).segments()) == 16 * 4
    digest = Dataset(config.output).digest
    assert ingest_here(grown) == summary  # nothing is new
    assert Dataset(config.output).digest == digest


def test_a_newcomer_that_bridges_two_splits_is_rejected_and_counted(
    config: IngestConfig, grown: IngestConfig, ingest_here: Any
) -> None:
    ingest_here(config)
    before = standing(config)
    path_of = {split: path for path, (_, split) in before.items()}
    halves = [soundfile.read(Path(config.source, path_of[split]))[0] for split in ("train", "test")]
    soundfile.write(Path(config.source, "rock", "both.wav"), np.concatenate(halves), RATE)
    shutil.copy(Path(config.source, path_of["test"]), Path(config.source, "rock", "copy.wav"))
    summary = ingest_here(grown)
    assert (summary.rejected, summary.tracks, summary.files) == ({"bridges_splits": 1}, 9, 10)
    rows = {row["path"]: row for row in Dataset(config.output).manifest().to_pylist()}
    assert (rows["rock/both.wav"]["status"], rows["rock/both.wav"]["reason"]) == ("rejected", "bridges_splits")
    after = standing(config)
    assert "rock/both.wav" not in after
    assert after["rock/copy.wav"] == after[path_of["test"]] == before[path_of["test"]]
    assert ingest_here(grown) == summary


def test_removed_and_changed_files_are_told(config: IngestConfig, grown: IngestConfig, ingest_here: Any) -> None:
    ingest_here(config)
    before = standing(config)
    Path(config.source, "pop", "0.wav").unlink()
    sing(Path(config.source, "rock", "1.wav"), 50, seconds=5.0)
    summary = ingest_here(grown)
    assert (summary.removed, summary.changed, summary.files) == (["pop/0.wav"], ["rock/1.wav"], 8)
    assert {"gone      pop/0.wav", "changed   rock/1.wav"} <= set(summary.lines())
    assert standing(config) == before
    changed = [track for track in Dataset(config.output).tracks if track.path == "rock/1.wav"]
    assert len(changed) == 1
    segments = Dataset(config.output).segments(tracks=[changed[0].track_id])
    assert sum(segment.n_samples for segment in segments.segments) == 5 * RATE
    summary = ingest_here(grown)
    assert (summary.removed, summary.changed) == (["pop/0.wav"], [])  # it is gone still, and has changed no more


def test_an_update_killed_in_the_middle_leaves_the_old_dataset_whole_and_goes_on(
    config: IngestConfig, grown: IngestConfig, ingest_here: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class KilledError(Exception):
        pass

    def run_one(todo: Any, config: IngestConfig) -> Any:
        yield ingest_chunk(todo[0], config.source, Folder(config.output), config.sample_rate, config.segment_samples)
        raise KilledError

    ingest_here(config)
    before = Dataset(config.output)
    shutil.copytree(config.output, tmp_path / "apart")
    for seed in range(100, 104):
        sing(Path(config.source, "rock", f"{seed}.wav"), seed)
    monkeypatch.setattr(listing, "CHUNK_COST", 1.5 * listing.FILE_COST)
    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "_run_chunks", run_one)
        with pytest.raises(KilledError):
            ingest(grown)
    assert Dataset(config.output).root == before.root
    assert len(before.segments()) == 8 * 4
    done = {path: path.stat().st_mtime_ns for path in files(config)}
    assert len(done) == 4  # of the first ingest and of the one chunk: its manifest and its segments
    assert ingest_here(grown).tracks == 12
    assert {path: path.stat().st_mtime_ns for path in done} == done

    # In one go, it comes out the same.
    ingest_here(grown.model_copy(update={"output": str(tmp_path / "apart")}))
    assert Dataset(str(tmp_path / "apart")).root == Dataset(config.output).root


def test_old_groups_that_a_newcomer_joins_are_not_cut_into_blocks(tmp_path: Path, ingest_here: Any) -> None:
    """Two groups of one split became one, which was taken for one recording; tracks then stood in no split."""
    for seed, genre in enumerate(("pop", "rock")):
        sing(tmp_path / "audio" / genre / f"{seed}.wav", seed, seconds=8.0)
    source, output = str(tmp_path / "audio"), str(tmp_path / "dataset")
    config = IngestConfig(source=source, output=output, sample_rate=RATE, segment_seconds=1.0)
    ingest_here(config)
    before = standing(config)
    assert {split for _, split in before.values()} == {"train"}
    both = [soundfile.read(path)[0] for path in sorted((tmp_path / "audio").rglob("*.wav"))]
    soundfile.write(tmp_path / "audio" / "both.wav", np.concatenate(both), RATE)
    summary = ingest_here(config.model_copy(update={"update": True}))
    assert (summary.tracks, summary.groups, summary.within_recording) == (3, 1, False)
    assert {path: split for path, (_, split) in standing(config).items()} == dict.fromkeys(
        [*before, "both.wav"], "train"
    )


def test_one_recording_is_cut_into_blocks_that_lie_apart(tmp_path: Path, ingest_here: Any) -> None:
    sing(tmp_path / "audio" / "pop" / "long.wav", 0, seconds=20)
    config = IngestConfig(
        source=str(tmp_path / "audio"), output=str(tmp_path / "d"), sample_rate=RATE, segment_seconds=1.0
    )
    summary = ingest_here(config)
    assert summary.within_recording
    assert any("(blocks within one recording)" in line for line in summary.lines())
    dataset = Dataset(config.output)
    held = [{s.index for s in dataset.segments(split).segments} for split in ("train", "validation", "test")]
    assert held == [set(range(12)), set(range(13, 16)), set(range(17, 20))]

    # A copy of it does not move the blocks; other recordings have no place beside them.
    rows, grown = dataset.split_rows(), config.model_copy(update={"update": True})
    shutil.copy(tmp_path / "audio" / "pop" / "long.wav", tmp_path / "audio" / "pop" / "a-copy.wav")
    ingest_here(grown)
    assert Dataset(config.output).split_rows() == rows
    sing(tmp_path / "audio" / "pop" / "other.wav", 1)
    with pytest.raises(InputError, match="is one recording cut into blocks, which other recordings cannot join"):
        ingest_here(grown)
    assert Dataset(config.output).split_rows() == rows

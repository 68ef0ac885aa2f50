"""Ingest, with its decode stage in this process (one test goes through Ray)."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from gmn.datasets import ingest as ingest_module
from gmn.datasets import listing
from gmn.datasets.dataset import Dataset
from gmn.datasets.ingest import ingest
from gmn.datasets.labels import GEMS, LabelsConfig
from gmn.datasets.schemas import MANIFEST, SEGMENTS, SPLIT
from gmn.datasets.settings import IngestConfig
from gmn.datasets.splits import SplitConfig
from gmn.datasets.summary import IngestSummary
from gmn.datasets.walk import Found, walk
from gmn.errors import InputError

RATE = 8000

Ingest = Callable[[IngestConfig], IngestSummary]


def sing(path: Path, seed: int, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * RATE))
    soundfile.write(path, noise, RATE, subtype="PCM_16")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for seed in range(8):
        sing(tmp_path / "audio" / ("pop", "rock")[seed % 2] / f"{seed // 2}.wav", seed)
    return tmp_path / "audio"


def config_of(source: Path, **changes: Any) -> IngestConfig:
    return IngestConfig(
        source=str(source), output=str(source.parent / "dataset"), sample_rate=RATE, segment_seconds=0.2, **changes
    )


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in (".lock", "job.json"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def manifest(config: IngestConfig) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in Dataset(config.output).manifest().to_pylist()}


def standing(config: IngestConfig) -> dict[str, tuple[str, str]]:
    """Each path's group and split."""
    dataset = Dataset(config.output)
    path_of = {track.track_id: track.path for track in dataset.tracks}
    return {path_of[row["track_id"]]: (row["group"], row["split"]) for row in dataset.split_rows()}


def refusal(run: Ingest, config: IngestConfig) -> str:
    with pytest.raises(InputError) as caught:
        run(config)
    return str(caught.value)


def test_the_columns_are_those_of_version_1_1() -> None:
    """A change here is a change of the format: raise its version in schemas.py."""
    assert [f"{field.name} {field.type}" for field in MANIFEST] == [
        "track_id string",
        "path string",
        "bytes int64",
        "mtime_ns int64",
        "digest string",
        "codec string",
        "native_rate int32",
        "channels int16",
        "duration_seconds double",
        "n_samples int64",
        "loudness_dbfs float",
        "fingerprint binary",
        "artist string",
        "genre string",
        "emotion list<item: float>",
        "n_annotators int32",
        "group string",
        "status string",
        "reason string",
        "detail string",
    ]
    assert SEGMENTS.names == ["track_id", "segment_index", "n_valid_samples", "pcm"]
    assert [str(kind) for kind in SEGMENTS.types] == ["string", "int32", "int32", "binary"]
    assert SPLIT.names == ["track_id", "group", "split", "first_segment", "end_segment"]
    assert [str(kind) for kind in SPLIT.types] == ["string", "string", "string", "int32", "int32"]


def test_parts_have_the_columns_of_their_schema(dataset: Dataset) -> None:
    assert dataset.folder.local is not None
    for name, schema in (("manifest", MANIFEST), ("segments", SEGMENTS)):
        for part in dataset.root[name]:
            assert pq.read_schema(dataset.folder.local / part).equals(schema)


def test_the_root_tells_all(dataset: Dataset) -> None:
    root = dataset.root
    assert (root["format"], root["version"]) == ("gmn.dataset", "1.1")
    assert root["labels"] == {"genre": sorted(root["labels"]["genre"]), "emotion": list(GEMS)}
    assert len(root["manifest"]) == len(root["segments"]) == 1
    assert list(root["splits"]) == ["default"]
    counts = root["counts"]
    assert (counts["files"], counts["tracks"], counts["segments"], counts["rejected"]) == (24, 24, 48, {})
    assert counts["splits"] == {"train": 16, "validation": 4, "test": 4}
    assert counts["hours"] == round(24 * 3 / 3600, 4)


def test_a_bad_file_among_good_ones_is_a_counted_row_with_its_reason(source: Path, ingest_here: Ingest) -> None:
    (source / "pop" / "bad.wav").write_bytes(b"RIFF, or so it says")
    (source / "pop" / "empty.wav").write_bytes(b"")
    config = config_of(source)
    summary = ingest_here(config)
    assert (summary.files, summary.tracks, summary.rejected) == (10, 8, {"not_audio": 1, "empty": 1})
    row = manifest(config)["pop/bad.wav"]
    assert (row["status"], row["reason"], row["group"], row["duration_seconds"]) == (
        "rejected",
        "not_audio",
        None,
        None,
    )
    assert row["bytes"] == 19
    assert row["detail"]
    assert "pop/bad.wav" not in [track.path for track in Dataset(config.output).tracks]
    assert "files     10, rejected: not_audio 1, empty 1" in summary.lines()


def test_a_file_that_vanished_is_a_counted_row(source: Path, ingest_here: Ingest) -> None:
    gone = Found("rock/gone.wav", 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "walk", lambda address: [*walk(address), gone])
        summary = ingest_here(config_of(source))
    assert summary.rejected == {"unreadable": 1}


def test_a_good_row_tells_what_the_file_was(source: Path, ingest_here: Ingest) -> None:
    config = config_of(source)
    ingest_here(config)
    row = manifest(config)["rock/0.wav"]
    assert (row["codec"], row["native_rate"], row["channels"]) == ("WAV/PCM_16", RATE, 1)
    assert (row["duration_seconds"], row["genre"], row["emotion"], row["status"]) == (0.5, "rock", None, "ok")
    assert -16 < row["loudness_dbfs"] < -6


def test_exact_copies_share_their_group_and_split(source: Path, ingest_here: Ingest) -> None:
    for number in range(4):
        shutil.copy(source / "rock" / f"{number}.wav", source / "pop" / f"copy{number}.wav")
    config = config_of(source, split=SplitConfig(seed=3))
    ingest_here(config)
    rows, stands = manifest(config), standing(config)
    for number in range(4):
        original, copy = f"rock/{number}.wav", f"pop/copy{number}.wav"
        assert rows[original]["track_id"] != rows[copy]["track_id"]
        assert stands[original] == stands[copy]
    assert len({group for group, _ in stands.values()}) == 8


def test_a_rerun_does_only_what_is_missing_and_ends_alike(
    source: Path, ingest_here: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "CHUNK_COST", 2.5 * listing.FILE_COST)
    config = config_of(source)
    summary = ingest_here(config)
    output = Path(config.output)
    undisturbed = tree(output)
    parts = sorted((output / "manifest").iterdir())
    assert len(parts) == 3
    # As a kill leaves it: no root, no splits, one chunk with its segments alone, and a temporary file.
    (output / "dataset.json").unlink()
    shutil.rmtree(output / "splits")
    parts[1].unlink()
    (output / "manifest" / ".part-x.parquet.0.tmp").write_bytes(b"half")
    kept = {path: path.stat().st_mtime_ns for path in (parts[0], parts[2])}
    assert ingest_here(config) == summary
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    (output / "manifest" / ".part-x.parquet.0.tmp").unlink()
    assert tree(output) == undisturbed


def test_a_whole_dataset_is_left_as_it_is(source: Path, ingest_here: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(source)
    summary = ingest_here(config)
    before = {path: path.stat().st_mtime_ns for path in Path(config.output).rglob("*.*") if path.name != ".lock"}
    monkeypatch.setattr(ingest_module, "_run_chunks", None)
    assert ingest(config) == summary
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_other_settings_need_another_output(source: Path, ingest_here: Ingest) -> None:
    ingest_here(config_of(source))
    assert "split.seed 0 -> 1" in refusal(ingest_here, config_of(source, split=SplitConfig(seed=1)))


def test_files_that_changed_while_interrupted_are_done_again(source: Path, ingest_here: Ingest) -> None:
    config = config_of(source)
    ingest_here(config)
    (Path(config.output) / "dataset.json").unlink()
    sing(source / "rock" / "new.wav", seed=77)
    assert ingest_here(config).files == 9
    assert len(Dataset(config.output).root["manifest"]) == 1  # the part of before is litter


def test_the_digest_names_content_labels_and_settings(source: Path, tmp_path: Path, ingest_here: Ingest) -> None:
    def digest_of(name: str, **changes: Any) -> str:
        config = config_of(source, **changes).model_copy(update={"output": str(tmp_path / name)})
        ingest_here(config)
        return Dataset(config.output).digest

    first = digest_of("a")
    assert digest_of("b") == first
    assert digest_of("c", split=SplitConfig(seed=1)) != first
    assert digest_of("d", labels=LabelsConfig(kind="none")) != first
    sing(source / "rock" / "0.wav", seed=78)
    assert digest_of("e") != first


def test_an_output_inside_the_source_is_refused(source: Path, ingest_here: Ingest) -> None:
    config = config_of(source).model_copy(update={"output": str(source / "deep" / "dataset")})
    assert "lies inside the source" in refusal(ingest_here, config)
    assert not (source / "deep").exists()


def test_a_missing_source_is_named(tmp_path: Path, ingest_here: Ingest) -> None:
    message = refusal(ingest_here, config_of(tmp_path / "none"))
    assert message == f"source {tmp_path}/none: no such folder"
    assert not (tmp_path / "dataset").exists()


def test_a_source_that_is_a_file_is_named(tmp_path: Path, ingest_here: Ingest) -> None:
    (tmp_path / "a.wav").write_text("")
    assert refusal(ingest_here, config_of(tmp_path / "a.wav")).endswith("a.wav: not a folder")


@pytest.mark.parametrize("names", [(), ("a.txt",), (".a.wav",), (".hidden/a.wav",)])
def test_a_source_without_audio_is_named(tmp_path: Path, ingest_here: Ingest, names: tuple[str, ...]) -> None:
    for name in ("x/y", *names):
        (tmp_path / "audio" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "audio" / name).write_text("")
    assert "no audio in it (looked for .wav" in refusal(ingest_here, config_of(tmp_path / "audio"))


def test_nothing_but_bad_files_is_an_error_each_time(tmp_path: Path, ingest_here: Ingest) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").write_bytes(b"no sound")
    for _ in range(2):
        message = refusal(ingest_here, config_of(tmp_path / "audio"))
        assert "none of its 1 audio files can be read (first: a.wav: not_audio: " in message


@pytest.mark.ray
@pytest.mark.usefixtures("ray")
def test_ray_gives_what_one_process_gives(
    source: Path, tmp_path: Path, ingest_here: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through Ray, by relative paths: a worker may run in another directory."""
    here = config_of(source)
    ingest_here(here)
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[int, int]] = []
    ingest(here.model_copy(update={"source": "audio", "output": "by-ray"}), lambda *done: seen.append(done))
    by_ray, by_hand = tree(tmp_path / "by-ray"), tree(Path(here.output))
    assert by_ray == by_hand
    assert seen[-1] == (8, 8)

"""The map stage: a chunk of files becomes a part of segments and a part of the manifest."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from gmn.audio.decode import read_mono
from gmn.datasets import stage
from gmn.datasets.labels import Labeller, LabelsConfig
from gmn.datasets.listing import write_listing
from gmn.datasets.stage import ingest_chunk
from gmn.storage import Folder

RATE = 8000


def sing(path: Path, seed: int, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * RATE))
    soundfile.write(path, noise, RATE, subtype="PCM_16")


def ingest_all(source: Path, output: Path, segment_samples: int = 1500) -> tuple[list[dict[str, Any]], pq.ParquetFile]:
    folder = Folder(output)
    (chunk,) = write_listing(str(source), folder, Labeller(LabelsConfig()), None, {})
    n_files = ingest_chunk(chunk, str(source), folder, RATE, segment_samples)
    rows = folder.read_table(f"manifest/{chunk.stem}.parquet").to_pylist()
    assert n_files == len(rows) == chunk.files
    return rows, folder.open_parquet(f"segments/{chunk.stem}.parquet")


def test_every_file_is_a_row_with_its_reason(tmp_path: Path) -> None:
    source = tmp_path / "audio"
    sing(source / "pop" / "good.wav", 0)
    (source / "pop" / "corrupt.mp3").write_bytes(b"ID3, or so it says")
    (source / "pop" / "empty.flac").write_bytes(b"")
    (source / "pop" / "link.wav").symlink_to("nowhere")
    rows, segments = ingest_all(source, tmp_path / "out")
    reasons = {row["path"].removeprefix("pop/"): (row["status"], row["reason"]) for row in rows}
    assert reasons == {
        "good.wav": ("ok", None),
        "corrupt.mp3": ("rejected", "not_audio"),
        "empty.flac": ("rejected", "empty"),
        "link.wav": ("rejected", "dangling_link"),
    }
    assert len({row["track_id"] for row in rows}) == 4
    for row in rows:
        is_good = row["status"] == "ok"
        assert (row["detail"] is None, row["n_samples"], row["fingerprint"] is not None) == (
            is_good,
            4000 if is_good else None,
            is_good,
        )
        assert row["genre"] == "pop"
    assert set(segments.read()["track_id"].to_pylist()) == {row["track_id"] for row in rows if row["status"] == "ok"}


def test_segments_are_the_decoded_audio_cut(tmp_path: Path) -> None:
    sing(tmp_path / "audio" / "a.wav", 1)
    (row,), file = ingest_all(tmp_path / "audio", tmp_path / "out")
    segments = file.read().to_pylist()
    assert [(s["segment_index"], s["n_valid_samples"]) for s in segments] == [(0, 1500), (1, 1500), (2, 1000)]
    whole = read_mono(tmp_path / "audio" / "a.wav", RATE).pcm
    np.testing.assert_array_equal(np.frombuffer(b"".join(s["pcm"] for s in segments), "<i2"), whole)
    assert row["n_samples"] == len(whole)


def test_row_groups_are_about_a_megabyte_and_not_compressed(tmp_path: Path) -> None:
    sing(tmp_path / "audio" / "a.wav", 1, seconds=200)
    _, file = ingest_all(tmp_path / "audio", tmp_path / "out", segment_samples=2 * RATE)
    groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    assert len(groups) == 4
    assert all(1 << 20 <= group.total_byte_size < 1.1 * (1 << 20) for group in groups[:-1])
    assert {group.column(3).compression for group in groups} == {"UNCOMPRESSED"}


def test_a_chunk_without_an_accepted_file_writes_a_part_of_no_segments(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").write_bytes(b"no sound")
    (row,), file = ingest_all(tmp_path / "audio", tmp_path / "out")
    assert row["status"] == "rejected"
    assert file.metadata.num_rows == 0


def test_a_part_whose_chunk_failed_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    sing(tmp_path / "audio" / "a.wav", 1)
    monkeypatch.setattr(stage, "read_artist", fail)
    with pytest.raises(ZeroDivisionError):
        ingest_all(tmp_path / "audio", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["part-00000.parquet"]

"""The ingest job through its real main: rejections under `strict`, and a disk that is full."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gmn.datasets.dataset import Dataset
from jobs import ingest as job

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


def test_strict_ends_with_exit_code_3_once_the_dataset_is_there_and_told(
    source: Path, ingest_here: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary was once never shown, nor its page written."""
    (source / "pop" / "bad.wav").write_bytes(b"no sound")
    monkeypatch.setattr(job, "ingest", lambda config, bar: ingest_here(config))
    given = [f"source={source}", f"output={source.parent}/dataset", "sample_rate=8000", "strict=true"]
    for _ in range(2):
        ended = call(job.main, *given)
        assert ended.code == 3
        assert ended.err.splitlines()[-1] == "jobs.ingest: strict: 1 of 7 files rejected (not_audio 1)"
        assert "files     7, rejected: not_audio 1" in ended.out
        assert len(Dataset(f"{source.parent}/dataset").tracks) == 6
        assert (source.parent / "dataset" / "summary.html").is_file()
    (source / "pop" / "bad.wav").unlink()
    ended = call(job.main, *given, f"output={source.parent}/other")
    assert (ended.code, ended.err) == (0, "")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 600 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting needs root")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=600k", "tmpfs", place], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("by", ["hand", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_full_disk_is_told_in_one_line_and_the_same_command_goes_on(
    source: Path, small_disk: Path, ingest_here: Any, call: Any, request: Any, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by == "ray":
        request.getfixturevalue("ray")
    else:
        monkeypatch.setattr(job, "ingest", lambda config, bar: ingest_here(config))
    sing(source / "pop" / "long.wav", 9, seconds=20)
    (small_disk / "filler").write_bytes(b"x" * 300_000)
    given = [f"source={source}", f"output={small_disk}/run/dataset", "sample_rate=8000"]
    ended = call(job.main, *given)
    said = [line for line in ended.err.splitlines() if line.startswith("jobs.")]
    assert ended.code == 2
    assert said == [f"jobs.ingest: output {small_disk}/run/dataset: cannot be written: No space left on device"]
    assert "Traceback" not in ended.err
    (small_disk / "filler").unlink()
    ended = call(job.main, *given)
    assert ended.code == 0, ended.err
    assert len(Dataset(f"{small_disk}/run/dataset").tracks) == 7

"""A disk that is full in the middle: one clear line, exit code 2, and the same command goes on once there is room."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gmn.datasets.dataset import Dataset
from gmn.datasets.library import CLIPS, LABEL_ROWS, LABELS, LIBRARY, read_rows
from gmn.labelling import inputs
from gmn.storage import Folder
from jobs import classify, generate, ingest

RATE = 8000
DISK_BYTES = 600 << 10

BY = pytest.mark.parametrize("by", ["hand", pytest.param("ray", marks=pytest.mark.ray)])
"""With the tasks in this process, and in Ray's workers, from which errors come back changed."""


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write six sounds of half a second and one of 20 s."""
    folder = tmp_path_factory.mktemp("music") / "pop"
    folder.mkdir()
    for i, seconds in enumerate([0.5] * 6 + [20]):
        noise = np.random.default_rng(i).uniform(-0.5, 0.5, int(seconds * RATE))
        soundfile.write(folder / f"{i}.wav", noise, RATE, subtype="PCM_16")
    return folder.parent


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a small disk."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting needs root")
    command = [mount, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def is_told_and_goes_on(call: Any, main: Callable[[list[str]], int], output: Path, free: int, *given: str) -> set[Path]:
    """Run a job with so much room on its disk that it ends in the middle, then again with all; returns what it kept."""
    disk = output.parents[1]
    (disk / "filler").write_bytes(b"x" * (DISK_BYTES - free))
    ended = call(main, *given, f"output={output}")
    said = [line for line in ended.err.splitlines() if line.startswith("jobs.")]
    assert ended.code == 2, ended.err
    assert said == [f"{main.__module__}: output {output}: cannot be written: No space left on device"]
    assert "Traceback" not in ended.err
    kept = {path: path.read_bytes() for path in output.rglob("part-*")}
    (disk / "filler").unlink()
    ended = call(main, *given, f"output={output}")
    assert ended.code == 0, ended.err
    assert {path: path.read_bytes() for path in kept} == kept
    return set(kept)


@BY
def test_ingest(music: Path, disk: Path, ingest_here: Any, call: Any, request: Any, by: str) -> None:
    if by == "ray":
        request.getfixturevalue("ray")
    else:
        request.getfixturevalue("monkeypatch").setattr(ingest, "ingest", lambda config, bar: ingest_here(config))
    output = disk / "run" / "dataset"
    is_told_and_goes_on(call, ingest.main, output, 300_000, f"source={music}", f"sample_rate={RATE}")
    assert len(Dataset(str(output)).tracks) == 7


@BY
def test_generate(bundles: Path, disk: Path, call: Any, request: Any, by: str) -> None:
    request.getfixturevalue("ray" if by == "ray" else "ray_here")
    output = disk / "run" / "library"
    asked = ("clips=24", "seconds=0.1", "slots=4")
    kept = is_told_and_goes_on(call, generate.main, output, 80_000, f"model={bundles}/wavenet", *asked)
    assert 0 < len(kept) < 6
    rows = read_rows(Folder(output), LIBRARY.read(Folder(output))["clips"], CLIPS)
    assert [row["index"] for row in rows] == list(range(24))
    assert sorted(path.stem for path in output.rglob("*.flac")) == sorted(row["clip_id"] for row in rows)


@BY
def test_classify(
    music: Path, bundles: Path, disk: Path, call: Any, request: Any, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    request.getfixturevalue("ray" if by == "ray" else "ray_here")
    monkeypatch.setattr(inputs, "CHUNK_COST", 0.0)
    output = disk / "run" / "labels"
    models = f"models={bundles}/resnet-genre,{bundles}/resnet-emotion"
    kept = is_told_and_goes_on(call, classify.main, output, 36_000, models, f"source={music}")
    assert 0 < len(kept) < 14
    rows = read_rows(Folder(output), LABELS.read(Folder(output))["parts"], LABEL_ROWS)
    assert sorted((row["head"], row["input"]) for row in rows) == sorted(
        (head, f"pop/{i}.wav") for head in ("genre", "emotion") for i in range(7)
    )

"""The pipeline as a process, killed while it trains and while it generates: the same command completes it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gmn.datasets.library import CLIPS, LIBRARY, read_rows
from gmn.datasets.settings import IngestConfig
from gmn.storage import Folder

CONFIG = """
ingest: {sample_rate: 8000, segment_seconds: 1.5}
wavenet:
  model: {stacks: 1, layers: 5, residual_channels: 8, skip_channels: 16}
  fit: {steps: 150, batch_size: 2, evaluate_every: 50, precision: float32}
  window_samples: 300
  evaluation_windows: 4
generate: {clips: 9, seconds: 0.4, slots: 2}
"""
CLIPS_ASKED = 9


@pytest.fixture
def start(
    tmp_path: Path, corpus: Path, ingest_here: Callable[[IngestConfig], Any]
) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Return a function that starts the pipeline on a flat folder, without genres; what it started ends with the test.

    No genres, no emotions: no classifiers, which would take as long as all the rest. The dataset is there already.
    """
    (tmp_path / "flat").mkdir()
    for song in corpus.glob("*/*.*"):
        (tmp_path / "flat" / song.name).symlink_to(song)
    dataset = {"source": f"{tmp_path}/flat", "output": f"{tmp_path}/run/dataset"}
    ingest_here(IngestConfig(**dataset, sample_rate=8000, segment_seconds=1.5))
    (tmp_path / "tiny.yaml").write_text(CONFIG + f"source: {tmp_path}/flat\noutput: {tmp_path}/run\n")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "MLFLOW_"))}
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "jobs.pipeline", "--config", f"{tmp_path}/tiny.yaml"]
        log = (tmp_path / f"said-{len(started)}.txt").open("w")
        started.append(
            subprocess.Popen(
                command, env=kept | {"RAY_ADDRESS": "local"}, stdout=log, stderr=subprocess.STDOUT, text=True
            )
        )
        log.close()
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def family(pid: int) -> dict[int, str]:
    """Return a process and all below it: pid -> when it was started, since a pid may come again."""
    parents: dict[int, tuple[int, str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if fields[0] != "Z":
            parents[int(stat.parent.name)] = (int(fields[1]), fields[19])
    found = {pid} & set(parents)
    while more := {child for child, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    return {member: parents[member][1] for member in found}


def alive(members: dict[int, str]) -> set[str]:
    """Name those that still run, without Ray's two agents, which wait a minute for the dead before they go."""
    names = set()
    for pid, began in members.items():
        with contextlib.suppress(OSError):
            if family(pid).get(pid) == began:
                names.add(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip())
    return names - {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}


def kill_when(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    """Kill the driver alone, with no chance to clean up, as soon as something is there; its Ray must go with it."""
    while not ready():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    members = family(process.pid)
    assert len(members) > 3, "no Ray below the driver"
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while alive(members) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert alive(members) == set()


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_a_pipeline_killed_twice_is_completed(start: Callable[[], subprocess.Popen[str]], tmp_path: Path) -> None:
    run = tmp_path / "run"

    def said(count: int) -> str:
        return (tmp_path / f"said-{count}.txt").read_text()

    kill_when(start(), lambda: any((run / "wavenet" / "training_state").glob("checkpoint_*/state.pt")))
    assert not (run / "wavenet" / "model.json").exists()

    kill_when(start(), lambda: any((run / "library" / "clips").glob("part-*.parquet")))
    assert not (run / "library" / "library.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in (run / "library" / "clips").glob("part-*.parquet")}

    assert start().wait(timeout=200) == 0, said(2)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    clips = read_rows(Folder(run / "library"), LIBRARY.read(Folder(run / "library"))["clips"], CLIPS)
    assert [clip["index"] for clip in clips] == list(range(CLIPS_ASKED))
    assert {path.stem for path in (run / "library").rglob("*.flac")} == {clip["clip_id"] for clip in clips}
    assert not (run / "library" / "labels").exists()
    assert (run / "report" / "index.html").is_file()

    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    began = time.monotonic()
    assert start().wait(timeout=60) == 0, said(3)
    assert time.monotonic() - began < 30  # a few seconds, on a machine with nothing else to do
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before

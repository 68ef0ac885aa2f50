"""Ray as jobs use it: which cluster they join, what the terminal shows, and what workers have to say."""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gmn import runtime
from gmn.errors import InputError

CLUSTER = """
import sys, ray
ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=100 << 20, _temp_dir=sys.argv[1])
print(ray.get_runtime_context().gcs_address, ray.get_runtime_context().get_node_id(), flush=True)
sys.stdin.read()
"""

JOIN = """
import sys
from gmn import runtime
from gmn.errors import InputError
try:
    runtime.connect()
    runtime.connect()
except InputError as error:
    sys.exit(str(error))
import ray
print(ray.get_runtime_context().get_node_id())
print(ray.get(ray.remote(lambda: __import__("os").environ["OMP_NUM_THREADS"]).remote()))
"""


def environment(**changes: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "MLFLOW_"))}
    return kept | {"RAY_USAGE_STATS_ENABLED": "0"} | changes


def connect(**changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", JOIN], env=environment(**changes), capture_output=True, text=True, timeout=100
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give Ray a folder of its own, of a short name: its sockets' paths must stay under 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="gmn-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[tuple[str, str]]:
    """Start a Ray in another process; yields its address and its node's id."""
    command = [sys.executable, "-c", CLUSTER, str(folder / "cluster")]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        address, node = process.stdout.readline().split()
        yield address, node
        process.communicate(timeout=60)


@pytest.mark.ray
@pytest.mark.timeout(150)
def test_a_job_joins_the_cluster_that_it_is_given(cluster: tuple[str, str], folder: Path) -> None:
    address, node = cluster
    ended = connect(RAY_ADDRESS=address, RAY_AUTH_MODE="token", RAY_TMPDIR=str(folder))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split() == [node, "1"]


@pytest.mark.ray
@pytest.mark.timeout(150)
def test_a_job_joins_the_cluster_that_ray_start_began_here(cluster: tuple[str, str], folder: Path) -> None:
    (folder / "ray").mkdir()
    (folder / "ray" / "ray_current_cluster").write_text(cluster[0])
    assert connect(RAY_TMPDIR=str(folder)).stdout.split() == [cluster[1], "1"]
    (folder / "ray" / "ray_current_cluster").unlink()


def test_a_cluster_that_has_gone_is_no_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "gone" / "ray").mkdir(parents=True)
    (folder / "gone" / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    monkeypatch.setenv("RAY_TMPDIR", str(folder / "gone"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert runtime._cluster() is None


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nonsense"])
def test_a_cluster_that_does_not_answer_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job once started a Ray of its own instead, on one machine, after minutes."""
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError, match=f"RAY_ADDRESS {address}: no Ray cluster answers there"):
        runtime._cluster()


@pytest.mark.ray
@pytest.mark.timeout(150)
@pytest.mark.usefixtures("cluster")
def test_a_job_starts_its_own_ray_and_shows_its_own_lines(folder: Path, tmp_path: Path) -> None:
    """A job once joined the Ray that another job had started for itself, and died with it."""
    (tmp_path / "music").mkdir()
    for i in range(4):
        soundfile.write(tmp_path / "music" / f"{i}.wav", np.sin(np.arange(4000) / (i + 5)), 8000)
    ended = subprocess.run(
        [sys.executable, "-m", "jobs.ingest", f"source={tmp_path}/music", f"output={tmp_path}/run/dataset"],
        env=environment(RAY_TMPDIR=str(folder)),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == "ingest: 4 of 4 files\n"
    assert [line.split()[0] for line in ended.stdout.splitlines()] == [
        "files",
        "tracks",
        "genres",
        "splits",
        "dataset:",
    ]
    assert "Started a local Ray instance" in (tmp_path / "run" / "gmn.log").read_text()


@pytest.mark.ray
@pytest.mark.timeout(150)
@pytest.mark.usefixtures("ray")
def test_what_workers_say_is_heard() -> None:
    import ray

    heard: list[int] = []
    with runtime.listening(heard.append) as mailbox:
        ray.get([mailbox.put.remote(i) for i in range(3)])
    assert heard == [0, 1, 2]


@pytest.mark.ray
@pytest.mark.timeout(150)
@pytest.mark.usefixtures("ray")
def test_where_a_task_fails_the_others_are_stopped_and_waited_for(tmp_path: Path) -> None:
    """The error of a second task once reached the log after its job had ended, and opened that log anew."""
    import ray

    @ray.remote(num_cpus=0, max_retries=0)
    def task(name: str) -> str:
        if name == "bad":
            raise InputError("the first error")
        for _ in range(600):
            time.sleep(0.1)
        (tmp_path / name).touch()
        return name

    with pytest.raises(InputError, match="the first error"):
        list(runtime.results([task.remote("bad"), task.remote("slow")]))
    assert not list(tmp_path.iterdir())
    assert list(runtime.results([])) == []


@pytest.mark.ray
@pytest.mark.usefixtures("ray")
def test_tasks_are_started_as_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once were once started, each with its arguments in the driver's memory."""
    import ray

    started: list[int] = []
    monkeypatch.setattr(runtime, "TASKS_AT_A_TIME", 2)
    square = ray.remote(num_cpus=0)(lambda n: n * n)
    results = runtime.results((started.append(n), square.remote(n))[1] for n in range(5))
    assert started == []
    next(results)
    assert started == [0, 1, 2]
    assert len(list(results)) == 4


@pytest.mark.usefixtures("_log")
def test_a_log_on_a_full_disk_is_cut_short_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    runtime.keep_log(Path("/dev/full"))
    logging.getLogger("gmn").warning("no room for this")
    assert capfd.readouterr().err == ""


@pytest.fixture
def _log() -> Iterator[None]:
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    for handler in set(root.handlers) - set(before):
        handler.close()
    root.handlers[:] = before
    logging.captureWarnings(False)


@pytest.mark.usefixtures("_log")
def test_the_log_appears_with_the_first_record(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A job that is refused once left a folder behind."""
    file = tmp_path / "run" / "gmn.log"
    runtime.keep_log(file)
    assert not file.parent.exists()
    logging.getLogger("ray.thing").warning("something to know")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("and this", stacklevel=1)
    assert "WARNING ray.thing: something to know" in file.read_text()
    assert "and this" in file.read_text()
    assert capfd.readouterr() == ("", "")


def test_a_mailbox_gives_each_message_once() -> None:
    mailbox = runtime.Mailbox()
    mailbox.put(1)
    mailbox.put(2)
    assert (mailbox.take(), mailbox.take()) == ([1, 2], [])


def test_the_folder_for_sockets_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    assert len(str(runtime._short_folder())) < 40


def test_the_free_memory_is_some_of_the_machines() -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 10 << 20 < runtime.available_memory() <= pages


def test_the_limit_of_a_control_group_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the machine's own figures tell nothing."""
    files = {
        "/proc/meminfo": ["MemTotal: 9000 kB", "MemAvailable: 5000 kB"],
        "/sys/fs/cgroup/memory.max": ["3000000"],
        "/sys/fs/cgroup/memory.current": ["2500000"],
        "/sys/fs/cgroup/memory.stat": ["anon 1", "inactive_file 700000"],
    }
    monkeypatch.setattr(runtime, "_lines", lambda file: files.get(file, []))
    assert runtime.available_memory() == 1_200_000
    files["/sys/fs/cgroup/memory.max"] = ["max"]
    assert runtime.available_memory() == 5000 << 10

"""A node is lost while ingest runs: Ray makes its tasks anew on the one that is left, and the dataset is the same."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gmn.datasets import listing
from gmn.datasets.dataset import Dataset
from gmn.datasets.settings import IngestConfig

RATE = 8000
FILES = 16

# Two nodes of one core; prints the address and the second node's raylet. Ray takes that for dead after two seconds.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
size = {"num_cpus": 1, "object_store_memory": 100 << 20}
watch = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
head = {"temp_dir": sys.argv[1], "include_dashboard": False, "_system_config": watch}
cluster = Cluster(initialize_head=True, head_node_args=size | head)
second = cluster.add_node(**size)
print(cluster.address, second.all_processes["raylet"][0].process.pid, flush=True)
sys.stdin.read()
cluster.shutdown()
"""

# The job's real main, with a chunk a file that takes half a second at least, as chunks of real size do.
JOB = """
import sys, time
from gmn.datasets import ingest, listing
from gmn.datasets.stage import ingest_chunk
from jobs.ingest import main
def slowly(*given):
    time.sleep(0.5)
    return ingest_chunk(*given)
listing.CHUNK_COST = listing.FILE_COST
ingest.ingest_chunk = slowly
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for i in range(FILES):
        path = tmp_path / "audio" / ("pop", "rock")[i % 2] / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.random.default_rng(i).uniform(-0.5, 0.5, RATE), RATE, subtype="PCM_16")
    return tmp_path / "audio"


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Give Ray a folder of its own, of a short name, so that no other job here finds the cluster."""
    folder = Path(tempfile.mkdtemp(prefix="gmn-", dir="/tmp"))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "MLFLOW_"))}
    yield kept | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": str(folder)}
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(environment: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Start a cluster in another process; yields its address and the process of its second node's raylet."""
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER, f"{environment['RAY_TMPDIR']}/ray"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        address, raylet = process.stdout.readline().split()
        yield address, int(raylet)
        process.communicate(timeout=60)


def children(parent: int) -> dict[int, str]:
    """List a process's children with their command lines; Ray writes there what a worker does."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found[int(stat.parent.name)] = (stat.parent / "cmdline").read_text()
        except OSError:
            continue  # it has just ended
    return found


def kill_node_at_work(raylet: int, job: subprocess.Popen[str], done: Path) -> int:
    """Kill a node's processes as soon as it works on a chunk and some part is done; returns the number of parts."""
    while job.poll() is None:
        on_node = children(raylet)
        n_done = len(list(done.glob("part-*")))
        if n_done and any("Map(run)" in command for command in on_node.values()):
            for process in (raylet, *on_node):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return n_done
        time.sleep(0.05)
    raise AssertionError(f"the job ended before its second node worked: {job.communicate()}")


def tree(folder: Path) -> dict[str, bytes]:
    """Read all files but temporary ones: what a killed task was writing is litter."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.name != "summary.html"}


@pytest.mark.ray
@pytest.mark.timeout(300)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds a node's processes in /proc")
def test_the_loss_of_a_node_in_the_middle_ends_in_the_same_dataset(
    source: Path, tmp_path: Path, environment: dict[str, str], cluster: tuple[str, int], ingest_here: Any
) -> None:
    address, raylet = cluster
    output = tmp_path / "run" / "dataset"
    given = [f"source={source}", f"output={output}", f"sample_rate={RATE}", "segment_seconds=0.3"]
    with subprocess.Popen(
        [sys.executable, "-c", JOB, *given],
        env=environment | {"RAY_ADDRESS": address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as job:
        try:
            assert kill_node_at_work(raylet, job, output / "manifest") < FILES
            said, errors = job.communicate(timeout=200)
        finally:
            job.kill()
    assert job.returncode == 0, errors
    assert f"files     {FILES}, rejected: none" in said

    apart = IngestConfig(source=str(source), output=str(tmp_path / "apart"), sample_rate=RATE, segment_seconds=0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "CHUNK_COST", listing.FILE_COST)
        ingest_here(apart)
    assert tree(output) == tree(Path(apart.output))
    dataset = Dataset(str(output))
    assert sorted(dataset.manifest()["path"].to_pylist()) == sorted(
        f"{('pop', 'rock')[i % 2]}/{i}.wav" for i in range(FILES)
    )
    assert len(dataset.segments()) == FILES * 4

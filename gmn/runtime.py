"""Ray as gmn's jobs use it: join the cluster that is there, else start a small one here; and its noise, in a file."""

import contextlib
import itertools
import logging
import os
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import Any

from gmn.errors import InputError

LOCAL_OBJECT_STORE_BYTES = 512 << 20
"""A local Ray's object store. Audio never crosses it, only table rows; Ray's default takes a third of the memory."""

TASKS_AT_A_TIME = 1000
"""Ray tasks that wait or run: more than a cluster has cores, few enough to be asked after one by one."""


def connect() -> None:
    """Join the cluster that RAY_ADDRESS names or that `ray start` began on this machine; else start one here.

    A second call does nothing. Raises InputError where the cluster cannot be joined.
    """
    _quieten()
    import ray

    _to_file("ray")
    if ray.is_initialized():
        return
    environment = {"env_vars": {"OMP_NUM_THREADS": "1", "RAY_TRAIN_V2_ENABLED": "1", **_passed_on()}}
    address = _cluster()
    if address is not None:
        try:
            ray.init(runtime_env=environment, **_SILENT)
        except ConnectionError:
            message = f"the Ray cluster at {address} cannot be joined (if it asks for a token: RAY_AUTH_MODE=token)"
            raise InputError(message) from None
        return
    # Logical CPUs: two at least, so that a training worker leaves a place for the tasks that feed it.
    # By the address, and not by its absence, since a dead cluster's file may lie where Ray would look.
    ray.init(
        address="local",
        num_cpus=max(2, os.cpu_count() or 2),
        include_dashboard=False,
        object_store_memory=LOCAL_OBJECT_STORE_BYTES,
        _temp_dir=str(_short_folder()),
        runtime_env=environment,
        **_SILENT,
    )


def available_memory() -> int:
    """Return the bytes that this machine, and the control group of this process, still have to give."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) << 10
    group = "/sys/fs/cgroup/memory"
    limit, used = _lines(f"{group}.max"), _lines(f"{group}.current")
    if limit and used and limit[0] != "max":
        # Pages of files that nobody used of late are given back when asked for.
        idle = sum(int(line.split()[1]) for line in _lines(f"{group}.stat") if line.startswith("inactive_file "))
        free = min(free, int(limit[0]) - int(used[0]) + idle)
    return max(0, free)


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []


def _cluster() -> str | None:
    """Return the address of the cluster to join, which `ray.init` finds by itself in the same places.

    Not `address="auto"`, which takes any Ray that runs here, even one that another job started for itself alone.
    """
    given = os.environ.get("RAY_ADDRESS")
    if given:
        if given not in ("local", "auto") and not _answers(given):
            raise InputError(f"RAY_ADDRESS {given}: no Ray cluster answers there")
        return None if given == "local" else given
    left_by_ray_start = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray", "ray_current_cluster")
    if not left_by_ray_start.is_file():
        return None
    address = left_by_ray_start.read_text().strip()
    return address if _answers(address) else None


def _answers(address: str) -> bool:
    """Tell at once whether anything listens there; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True


_SILENT = {"log_to_driver": False, "configure_logging": False}


def _quieten() -> None:
    """Keep Ray's start-up notes and progress bars away from the terminal, before the first `import ray`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", module=r"ray\.")


def _passed_on() -> dict[str, str]:
    """Pick the settings of this process that workers must share."""
    return {key: os.environ[key] for key in ("PYTHONPATH", "PYTHONWARNINGS") if key in os.environ}


def _short_folder() -> Path:
    """Return a folder for Ray's sockets: their paths must stay under 107 bytes."""
    folder = Path(os.environ.get("RAY_TMPDIR") or Path(tempfile.gettempdir()) / f"gmn-ray-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ray_data() -> ModuleType:
    """Import Ray Data with its console output off and the order of rows kept."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    _to_file("ray.data")
    return ray.data


class Mailbox:
    """A Ray actor's inside: what workers have to say until the driver asks."""

    def __init__(self) -> None:
        self._messages: list[Any] = []

    def put(self, message: Any) -> None:
        """Leave a message."""
        self._messages.append(message)

    def take(self) -> list[Any]:
        """Take all messages."""
        messages, self._messages = self._messages, []
        return messages


@contextlib.contextmanager
def listening(hear: Callable[[Any], None]) -> Iterator[Any]:
    """Open a mailbox whose messages are heard here while the block runs; workers call `mailbox.put.remote(message)`."""
    import ray
    from ray.exceptions import RayError

    mailbox = ray.remote(num_cpus=0)(Mailbox).remote()
    over = threading.Event()

    def listen() -> None:
        last = False
        while not last:
            last = over.wait(0.5)
            # A lost mailbox costs the progress bar, not the work.
            with contextlib.suppress(RayError):
                for message in ray.get(mailbox.take.remote(), timeout=60):
                    hear(message)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield mailbox
    finally:
        over.set()
        thread.join()
        ray.kill(mailbox)


def results(tasks: Iterable[Any]) -> Iterator[Any]:
    """Yield what Ray tasks return, as they are done; they are started as they are taken, so many at a time.

    Where one fails, or no more are wanted, the rest are stopped and waited for, so that nothing of them comes later.
    """
    import ray

    more = iter(tasks)
    pending = list(itertools.islice(more, TASKS_AT_A_TIME))
    try:
        while pending:
            (done,), pending = ray.wait(pending)
            pending += itertools.islice(more, 1)
            yield ray.get(done)
    finally:
        for task in pending:
            ray.cancel(task)
        for task in pending:
            with contextlib.suppress(ray.exceptions.RayError, InputError):
                ray.get(task)


class _LogFile(logging.FileHandler):
    """A log that appears, with its folder, at the first record: a job that is refused leaves nothing behind."""

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Say nothing of a log that is cut short by a full disk: the job itself ends by saying that it is full."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close the file, even where what is left cannot be written."""
        with contextlib.suppress(OSError):
            super().close()


def keep_log(file: Path) -> None:
    """Send Python's log records and warnings of this process to a file instead of the terminal."""
    handler = _LogFile(file, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.captureWarnings(True)


def _to_file(name: str) -> None:
    """Take a library's own console handlers off, so that its records reach the root logger alone."""
    logger = logging.getLogger(name)
    for handler in list(logger.handlers):
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            logger.removeHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = True

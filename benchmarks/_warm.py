"""Contenders: processes that stay warm, and the CPU-seconds of each with all that it starts."""

import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def tree_cpu_seconds(root: int) -> float:
    """Return the CPU-seconds so far of a process and its descendants, with those that ended and were waited for."""
    children: dict[int, list[int]] = defaultdict(list)
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = stat.read_text().rpartition(")")[2].split()
            pid = int(stat.parent.name)
            children[int(fields[1])].append(pid)
            ticks[pid] = sum(int(field) for field in fields[11:15])

    def total(pid: int) -> int:
        return ticks.get(pid, 0) + sum(total(child) for child in children[pid])

    return total(root) / os.sysconf("SC_CLK_TCK")


class Contender:
    """A process of its own, and whatever it starts: worker pools, Ray."""

    def __init__(self, prepare: Callable[[], object] = str) -> None:
        self._process = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self._pid = self._process.submit(os.getpid).result()
        _, self.start_seconds = self.run(prepare)

    def run(self, work: Callable[..., T], *given: object) -> tuple[T, float]:
        """Do some work there; returns its result and its CPU-seconds."""
        before = tree_cpu_seconds(self._pid)
        result = self._process.submit(work, *given).result()
        return result, tree_cpu_seconds(self._pid) - before

    def peak_mib(self) -> float:
        """Return the largest memory so far of the process itself, in MiB."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def end(self, leave: Callable[[], object]) -> None:
        """End the process and, by `leave`, what it started."""
        self.run(leave)
        self._process.shutdown()


def spread(values: list[float]) -> dict[str, float]:
    """Return the median with the least and the most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def pairs(seconds: Mapping[str, list[float]], name: str, base: str) -> dict[str, float]:
    """Return how many times the CPU-seconds of `base` a contender took: `spread` over the rounds."""
    return spread([a / b for a, b in zip(seconds[name], seconds[base], strict=True)])

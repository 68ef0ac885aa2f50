"""What all benchmarks share: interleaved runs in CPU-seconds, medians with an interval, the machine's fingerprint."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from gmn import __version__


def interleave(candidates: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run the candidates in turn, round after round; each returns the units that it made.

    Returns units per CPU-second of this process, a figure a round. A first round warms up and does not count.
    """
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, candidate in candidates.items():
            started = time.process_time()
            units = candidate()
            if turn:
                rates[name].append(units / (time.process_time() - started))
    return rates


def ratio(rates: Mapping[str, list[float]], name: str, base: str) -> dict[str, float]:
    """Return how many times faster `name` is than `base`: the median over the rounds, with the least and the most."""
    pairs = [a / b for a, b in zip(rates[name], rates[base], strict=True)]
    return {"median": statistics.median(pairs), "least": min(pairs), "most": max(pairs)}


def fingerprint() -> dict[str, str | int | None]:
    """Return what the figures depend on: processor, cores, versions."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": model[0].partition(":")[2].strip() if model else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gmn": __version__,
    }


def publish(name: str, figures: Mapping[str, object]) -> None:
    """Print the figures and keep them as benchmarks/results/NAME.json."""
    text = json.dumps({"machine": fingerprint(), **figures}, indent=1)
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(text + "\n")
    print(text)

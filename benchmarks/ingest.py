"""Ingest against a bare process pool and two common ways; the driver's memory; reading a dataset back.

CPU-seconds throughout: of a contender's own process and all that it starts, Ray's daemons and workers included.
Contenders take turns and stay warm: the first round does not count.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from benchmarks import _contenders as ways
from benchmarks import _readback as readback
from benchmarks._bench import publish
from benchmarks._inputs import make_mp3s, make_names, make_wavs
from benchmarks._warm import Contender, pairs, spread
from gmn.config import Config
from gmn.datasets.schemas import DATASET
from gmn.storage import Folder
from jobs._job import run

SECTIONS = ("mp3", "wav", "others", "memory", "epoch", "window")
LISTED = (400, 1_000, 4_000, 40_000, 1_000_000)


class IngestBench(Config):
    """What to measure, on what."""

    audio: str
    """A folder of music, of which the inputs are made; a folder in it is a genre."""
    scratch: str = "runs/benchmark-ingest"
    """Where inputs and outputs go; inputs that are there already are taken."""
    only: tuple[Literal["mp3", "wav", "others", "memory", "epoch", "window"], ...] = SECTIONS
    """Sections to run; only a run of all of them is kept as a result."""
    rounds: int = Field(5, ge=1)
    """Rounds that count; the wav files get two at most, the alternatives three."""


def main() -> int:
    """Measure; returns the exit code."""
    return run("benchmarks.ingest", str(__doc__), IngestBench, measure)


def measure(config: IngestBench) -> str:
    """Run the sections and publish what they found."""
    scratch = Path(config.scratch).absolute()
    scratch.mkdir(parents=True, exist_ok=True)
    mp3s = make_mp3s(Path(config.audio), scratch / "mp3")
    figures: dict[str, object] = {
        "unit": "CPU-seconds, of a contender and all that it starts",
        "sample_rate": ways.RATE,
        "load before the start": os.getloadavg()[0],
    }
    sections: dict[str, Callable[[], dict[str, object]]] = {
        "mp3": lambda: against_floor(mp3s, scratch, 8, config.rounds),
        "wav": lambda: against_floor(make_wavs(mp3s, scratch / "wav"), scratch, 16, min(2, config.rounds)),
        "others": lambda: against_others(mp3s, scratch, min(3, config.rounds)),
        "memory": lambda: memory(scratch),
        "epoch": lambda: readback.epoch(dataset(mp3s, scratch), config.rounds),
        "window": lambda: readback.windows(dataset(mp3s, scratch), config.rounds, scratch),
    }
    for section in config.only:
        started = time.monotonic()
        figures[section] = sections[section]()
        print(f"{section}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    if config.only == SECTIONS:
        publish("ingest", figures)
    else:
        print(json.dumps(figures, indent=1))
    return f"ingest: {', '.join(config.only)}"


def in_turns(
    contenders: dict[str, tuple[Contender, Callable[[str], Any]]], scratch: Path, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[Any]]]:
    """Let contenders fill a new folder each, in turns; returns CPU-seconds and results of all rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    results: dict[str, list[Any]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, (contender, work) in contenders.items():
            output = scratch / "output"
            result, used = contender.run(work, str(output))
            shutil.rmtree(output)
            seconds[name].append(used)
            results[name].append(result)
    return seconds, results


def against_floor(files: list[Path], scratch: Path, parts: int, rounds: int) -> dict[str, object]:
    """Ingest on Ray against a process pool that decodes, digests and fingerprints the same files."""
    names = [str(path) for path in files]
    pool, ray = Contender(ways.start_pool), Contender(ways.start_ray)
    contenders: dict[str, tuple[Contender, Callable[[str], Any]]] = {
        "floor": (pool, partial(ways.floor, names, parts)),
        "ingest": (ray, partial(ways.ingest_in_steps, str(files[0].parents[1]))),
    }
    seconds, results = in_turns(contenders, scratch, rounds)
    first = seconds["ingest"][0] - sorted(seconds["ingest"][1:])[rounds // 2]
    warm = {name: used[1:] for name, used in seconds.items()}
    for step in ("listing", "stage", "commit"):
        warm[step] = [steps[step] for steps in results["ingest"][1:]]
    figures = {
        "files": len(files),
        "seconds": {name: spread(used) for name, used in warm.items()},
        "ingest's Ray stage / floor": pairs(warm, "stage", "floor"),
        "all of ingest / floor": pairs(warm, "ingest", "floor"),
        "start of Ray": ray.start_seconds,
        "first ingest more than a later one": first,
        "driver's peak memory, MiB": round(ray.peak_mib()),
    }
    pool.end(ways.leave)
    ray.end(ways.leave)
    return figures


def against_others(files: list[Path], scratch: Path, rounds: int) -> dict[str, object]:
    """Ingest without fingerprints against the ways without gmn."""
    source = str(files[0].parents[1])
    librosa = Contender(ways.start_ray)
    contenders: dict[str, tuple[Contender, Callable[[str], Any]]] = {
        "gmn without fingerprints": (Contender(ways.start_without_fingerprints), partial(ways.ingest_in_steps, source)),
        "Ray and librosa": (librosa, partial(ways.ray_and_librosa, source, False)),
        "Ray and librosa, 16 bits": (librosa, partial(ways.ray_and_librosa, source, True)),
    }
    if find_spec("datasets"):
        work = partial(ways.hugging_face, [str(path) for path in files])
        contenders["Hugging Face datasets"] = (Contender(ways.start_hugging_face), work)
    else:
        print("Hugging Face datasets: not installed; see benchmarks/requirements.txt", file=sys.stderr)
    seconds, _ = in_turns(contenders, scratch, rounds)
    for contender in {contender for contender, _ in contenders.values()}:
        contender.end(ways.leave)
    warm = {name: used[1:] for name, used in seconds.items()}
    gmn, *rest = contenders
    figures: dict[str, object] = {"seconds": {name: spread(used) for name, used in warm.items()}}
    figures |= {f"{name} / gmn": pairs(warm, name, gmn) for name in rest}
    return figures if find_spec("datasets") else figures | {"Hugging Face datasets": "not installed"}


def memory(scratch: Path) -> dict[str, object]:
    """List so many empty files; returns the driver's peak memory in MiB, in a fresh process each."""
    peaks = {}
    for n_files in LISTED:
        names = scratch / "names"
        make_names(names, n_files)
        driver = Contender()
        listed, used = driver.run(ways.listing, str(names), str(scratch / "output"))
        assert listed == n_files
        peaks[str(n_files)] = {"peak MiB": round(driver.peak_mib(), 1), "CPU-seconds": used}
        driver.end(ways.leave)
        shutil.rmtree(names)
        shutil.rmtree(scratch / "output")
    growth = peaks[str(LISTED[-1])]["peak MiB"] - peaks["1000"]["peak MiB"]
    return {"listed": peaks, "MiB more for a million than for a thousand": round(growth, 1)}


def dataset(mp3s: list[Path], scratch: Path) -> str:
    """Return the dataset of the mp3s, made where it is not there yet."""
    output = str(scratch / "dataset")
    if DATASET.whole(Folder(output)):
        return output
    contender = Contender(ways.start_ray)
    contender.run(ways.ingest_in_steps, str(mp3s[0].parents[1]), output)
    contender.end(ways.leave)
    return output


if __name__ == "__main__":
    sys.exit(main())

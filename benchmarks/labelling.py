"""Bulk labelling: log-mel against librosa, networks against eager float32, the job against a plain loop, its memory.

CPU-seconds throughout, in ratios of one run; untrained networks of the shipped shapes, on sounds made for it.
"""

import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import librosa
import numpy as np
import pyarrow as pa
import soundfile
import torch
from pydantic import Field

from benchmarks import _contenders as ways
from benchmarks._bench import interleave, publish, ratio
from benchmarks._inputs import make_names
from benchmarks._warm import Contender, pairs, spread
from gmn.audio.features import LogMel, LogMelConfig
from gmn.config import Config
from gmn.datasets.labels import GEMS
from gmn.datasets.library import LABEL_ROWS
from gmn.datasets.listing import read_chunk, write_chunks
from gmn.labelling.classify import ClassifyConfig, classify, commit
from gmn.labelling.inputs import INPUTS, Row, Source
from gmn.labelling.label import label, load_classifiers, make_fast
from gmn.models.bundle import Bundle, save_bundle
from gmn.models.classifier import SpectrogramClassifier
from gmn.models.cnn import CNN, CNNConfig
from gmn.models.conditioning import Conditions
from gmn.models.judging import batch_size, has_bf16, prepare
from gmn.models.resnet import ResNet, ResNetConfig
from gmn.storage import Folder
from jobs._job import run

CPU = torch.device("cpu")
RATE = 16000
GENRES = tuple("abcdefghij")
HEADS = {"genre": GENRES, "emotion": GEMS}
CLIPS, CLIP_SECONDS = 3000, 2
LISTED = (1_000, 1_000_000)
SECTIONS = ("log-mel", "network", "job", "memory")


class LabellingBench(Config):
    """What to measure."""

    scratch: str = "runs/benchmark-labelling"
    """Where inputs and outputs go; clips that are there already are taken."""
    only: tuple[Literal["log-mel", "network", "job", "memory"], ...] = SECTIONS
    """Sections to run; only a run of all of them is kept as a result."""
    rounds: int = Field(9, ge=1)
    """Rounds that count; the job gets five at most."""


def main() -> int:
    """Measure; returns the exit code."""
    return run("benchmarks.labelling", str(__doc__), LabellingBench, measure)


def measure(config: LabellingBench) -> str:
    """Run the sections and publish what they found."""
    torch.set_num_threads(1)
    scratch = Path(config.scratch).absolute()
    scratch.mkdir(parents=True, exist_ok=True)
    sections: dict[str, Callable[[], dict[str, object]]] = {
        "log-mel": lambda: log_mels(config.rounds),
        "network": lambda: networks(config.rounds),
        "job": lambda: job(scratch, min(5, config.rounds)),
        "memory": lambda: memory(scratch),
    }
    figures: dict[str, object] = {"load before the start": os.getloadavg()[0]}
    for section in config.only:
        started = time.monotonic()
        figures[section] = sections[section]()
        print(f"{section}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    if config.only == SECTIONS:
        publish("labelling", figures)
    else:
        print(json.dumps(figures, indent=1))
    return f"labelling: {', '.join(config.only)}"


def log_mels(rounds: int, clips: int = 8) -> dict[str, object]:
    """Measure clips of 5.9 s at 22,050 Hz: by librosa, by torch as on a GPU, and by blocks as gmn does on a CPU."""
    rate = 22050
    sounds = 0.1 * np.random.default_rng(0).standard_normal((clips, int(5.9 * rate)), np.float32)
    figures: dict[str, object] = {}
    for n_fft, hop_length, n_mels in ((1024, 320, 64), (2048, 512, 128)):
        definition = LogMelConfig(rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels)
        log_mel = LogMel(definition)

        def by_librosa(sound: np.ndarray[Any, Any], of: LogMelConfig = definition) -> object:
            shape = {"n_fft": of.n_fft, "hop_length": of.hop_length, "n_mels": of.n_mels, "fmin": of.f_min}
            return np.log(librosa.feature.melspectrogram(y=sound, sr=of.sample_rate, **shape) + of.log_offset)

        def at_once(sound: np.ndarray[Any, Any], of: LogMel = log_mel) -> object:
            return of._at_once(torch.from_numpy(sound)[None])

        def by_blocks(sound: np.ndarray[Any, Any], of: LogMel = log_mel) -> object:
            return of(torch.from_numpy(sound))

        found = {"librosa": by_librosa, "torch at once": at_once, "gmn": by_blocks}
        rates = interleave({name: partial(_each, way, sounds) for name, way in found.items()}, rounds)
        figures[f"n_fft {n_fft}, hop {hop_length}, {n_mels} bands"] = {
            "clips per CPU-second": {name: round(statistics.median(values)) for name, values in rates.items()},
            "gmn / librosa": ratio(rates, "gmn", "librosa"),
            "gmn / torch at once": ratio(rates, "gmn", "torch at once"),
        }
    return figures


def _each(way: Callable[[np.ndarray[Any, Any]], object], sounds: np.ndarray[Any, Any]) -> float:
    for sound in sounds:
        way(sound)
    return len(sounds)


def make_model(kind: str) -> SpectrogramClassifier:
    """Make an untrained network of a shipped shape, of both heads."""
    torch.manual_seed(0)
    return (ResNet(ResNetConfig(), RATE, HEADS) if kind == "resnet" else CNN(CNNConfig(), RATE, HEADS)).eval()


def networks(rounds: int, windows: int = 16) -> dict[str, object]:
    """Measure the networks on spectrograms of 6 s and of 2 s: one by one as trained, and as they are made for much."""
    figures: dict[str, object] = {"bfloat16 in the processor": has_bf16(CPU)}
    for kind in ("resnet", "cnn"):
        for seconds in (6, 2):
            candidates, precisions = {}, [False, True] if has_bf16(CPU) else [False]
            frames = make_model(kind).log_mel.frames(seconds * RATE)
            spectrograms = torch.randn(windows, 64, frames)
            candidates["eager"] = partial(_pass, make_model(kind), spectrograms.split(1))
            for bf16 in precisions:
                model = make_model(kind)
                prepare(model, CPU, bf16)
                candidates[f"gmn{', bfloat16' * bf16}"] = partial(_pass, model, spectrograms.split(batch_size(seconds)))
            rates = interleave(candidates, rounds)
            figures[f"{kind}, windows of {seconds} s"] = {
                "windows per CPU-second": {name: round(statistics.median(values)) for name, values in rates.items()},
                **{f"{name} / eager": ratio(rates, name, "eager") for name in rates if name != "eager"},
            }
    return figures


@torch.inference_mode()
def _pass(model: SpectrogramClassifier, batches: Sequence[torch.Tensor]) -> float:
    for batch in batches:
        model.logits(batch)
    return sum(map(len, batches))


def make_bundle(folder: Path) -> str:
    """Save the untrained ResNet."""
    conditions = Conditions.fit(GENRES, [("a", (0.25,) * 9), ("b", (0.5,) * 9)])
    save_bundle(Folder(folder), Bundle(make_model("resnet"), RATE, conditions, {"test": {}}), "# untrained\n")
    return str(folder)


def make_clips(folder: Path) -> str:
    """Make 3,000 flac files of 2 s, mono at 16 kHz, where they are not there yet."""
    if len(list(folder.glob("*.flac"))) != CLIPS:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        t = np.arange(CLIP_SECONDS * RATE) / RATE
        for i in range(CLIPS):
            noise = np.random.default_rng(i).normal(0, 0.02, len(t))
            soundfile.write(folder / f"{i:04d}.flac", 0.4 * np.sin(2 * np.pi * (110 + i) * t) + noise, RATE)
    return str(folder)


def job(scratch: Path, rounds: int) -> dict[str, object]:
    """Label the clips by the job, and by a loop in one process that writes one part."""
    clips, bundle = make_clips(scratch / "clips"), make_bundle(scratch / "resnet")
    loop, ray = Contender(_be_nice), Contender(ways.start_ray)
    seconds: dict[str, list[float]] = {"loop": [], "job": []}
    for _ in range(rounds + 1):
        for name, contender, work in (("loop", loop, label_in_a_loop), ("job", ray, label_by_job)):
            _, used = contender.run(work, clips, bundle, str(scratch / "output"))
            shutil.rmtree(scratch / "output")
            seconds[name].append(used)
    for contender in (loop, ray):
        contender.end(ways.leave)
    warm = {name: used[1:] for name, used in seconds.items()}
    return {
        "clips": CLIPS,
        "seconds": {name: spread(used) for name, used in warm.items()},
        "job's clips per CPU-second / loop's": pairs(warm, "loop", "job"),
        "start of Ray": ray.start_seconds,
        "first job more than a later one": seconds["job"][0] - statistics.median(warm["job"]),
    }


def _be_nice() -> None:
    os.nice(ways.NICENESS)


def label_in_a_loop(clips: str, bundle: str, output: str) -> None:
    """Label without Ray."""
    bundles, source = load_classifiers([bundle]), Source(clips)
    make_fast(bundles, CPU)
    rows = [row for chunk in source.chunks() for row in chunk]
    Folder(output).write_table("part.parquet", pa.Table.from_pylist(label(clips, rows, bundles), LABEL_ROWS))


def label_by_job(clips: str, bundle: str, output: str) -> None:
    """Label as jobs.classify does."""
    classify(ClassifyConfig(models=(bundle,), source=clips, output=output))


def memory(scratch: Path) -> dict[str, object]:
    """List so many empty files and commit their labels; returns the driver's peak memory in MiB, a process each."""
    bundle, peaks = make_bundle(scratch / "resnet"), {}
    for n_files in LISTED:
        make_names(scratch / "names", n_files)
        driver = Contender()
        done, used = driver.run(drive, str(scratch / "names"), bundle, str(scratch / "output"))
        assert done == n_files
        peaks[str(n_files)] = {"peak MiB": round(driver.peak_mib(), 1), "CPU-seconds": used}
        driver.end(ways.leave)
        shutil.rmtree(scratch / "names")
        shutil.rmtree(scratch / "output")
    growth = peaks[str(LISTED[-1])]["peak MiB"] - peaks[str(LISTED[0])]["peak MiB"]
    return {"inputs": peaks, "MiB more for a million than for a thousand": round(growth, 1)}


def drive(names: str, bundle: str, output: str) -> int:
    """Do what the driver does, and write in the workers' place what they would say of the inputs."""
    bundles, source, folder = load_classifiers([bundle]), Source(names), Folder(output)
    chunks = list(write_chunks(folder, source.chunks(), INPUTS, source.address))
    for chunk in chunks:
        said = [one for row in read_chunk(folder, chunk) for one in _said(row, bundles[0].digest)]
        table = pa.Table.from_pylist(said, LABEL_ROWS)
        (folder / bundles[0].digest[:12]).write_table(f"{chunk.stem}.parquet", table)
    commit(folder, bundles, chunks)
    return sum(chunk.files for chunk in chunks)


def _said(row: Row, digest: str) -> list[dict[str, Any]]:
    return [
        {
            "input": row["input"],
            "model": digest,
            "head": head,
            "label": labels[0],
            "confidence": 0.5,
            "probabilities": [0.5] * len(labels),
            "status": "ok",
        }
        for head, labels in HEADS.items()
    ]


if __name__ == "__main__":
    sys.exit(main())

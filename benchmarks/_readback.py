"""Reading a dataset back: a shuffled epoch, by Ray Data's iterator too; random windows, from an Arrow IPC file too."""

import statistics
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from benchmarks._bench import interleave, ratio
from benchmarks._contenders import leave, start_ray
from benchmarks._warm import Contender, spread
from gmn import runtime
from gmn.datasets.dataset import Dataset
from gmn.training.classifier import ClassifierTask, ResNetSettings
from gmn.training.generator import GeneratorTask, WaveNetSettings

BATCH = 32
WINDOW = 2049
WINDOWS = 1000


def epoch(uri: str, rounds: int) -> dict[str, object]:
    """Read all segments in random order, in batches of int16 [B, T]: by index, and by Ray Data's iterator."""
    plain, ray = Contender(), Contender(start_ray)
    speeds: dict[str, list[float]] = {"by index": [], "Ray Data": []}
    for turn in range(rounds + 1):
        for name, contender, work in (("by index", plain, epoch_by_index), ("Ray Data", ray, epoch_by_ray)):
            seconds, used = contender.run(work, uri)
            if turn:
                speeds[name].append(seconds / used)
    for contender in (plain, ray):
        contender.end(leave)
    lost = [1 - b / a for a, b in zip(speeds["by index"], speeds["Ray Data"], strict=True)]
    return {
        "unit": "seconds of audio per CPU-second",
        "speeds": {name: spread(values) for name, values in speeds.items()},
        "share lost to Ray Data's iterator": spread(lost),
    }


def epoch_by_index(uri: str, epochs: int = 10) -> float:
    """Read as training does, several times over; returns the seconds of audio."""
    dataset = Dataset(uri)
    reader = dataset.segments()
    samples = 0
    for seed in range(epochs):
        order = np.random.default_rng(seed).permutation(len(reader))
        for start in range(0, len(order), BATCH):
            samples += batch([reader.pcm(int(item)) for item in order[start : start + BATCH]]).size
    return samples / dataset.sample_rate


def epoch_by_ray(uri: str) -> float:
    """Read by Ray Data with a shuffle buffer; returns the seconds of audio."""
    dataset = Dataset(uri)
    parts = [f"{uri}/{part}" for part in dataset.root["segments"]]
    rows = runtime.ray_data().read_parquet(parts)
    samples = 0
    for table in rows.iter_batches(batch_size=BATCH, batch_format="pyarrow", local_shuffle_buffer_size=8 * BATCH):
        samples += batch([np.frombuffer(pcm.as_buffer(), "<i2") for pcm in table["pcm"]]).size
    return samples / dataset.sample_rate


def batch(segments: list[npt.NDArray[np.int16]]) -> npt.NDArray[np.int16]:
    """Stack whole segments, the only ones here but for each track's last."""
    longest = max(len(segment) for segment in segments)
    stacked = np.zeros((len(segments), longest), np.int16)
    for row, segment in zip(stacked, segments, strict=True):
        row[: len(segment)] = segment
    return stacked


def windows(uri: str, rounds: int, scratch: Path) -> dict[str, object]:
    """Read random windows from the segments as they are and from one Arrow IPC file; set that against a step."""
    torch.set_num_threads(1)
    dataset = Dataset(uri)
    reader = dataset.segments()
    cached = write_ipc(dataset, scratch / "segments.arrow")
    places = [(segment.part, segment.row) for segment in reader.segments]

    def draw(rng: np.random.Generator) -> tuple[int, int]:
        return int(rng.integers(len(reader))), int(rng.integers(50_000))

    def from_parquet() -> float:
        rng = np.random.default_rng(0)
        for item, start in (draw(rng) for _ in range(WINDOWS)):
            reader.pcm(item)[start : start + WINDOW].max()
        return WINDOWS

    def from_ipc() -> float:
        rng = np.random.default_rng(0)
        for item, start in (draw(rng) for _ in range(WINDOWS)):
            column, row = cached[places[item]]
            np.frombuffer(column[row].as_buffer(), "<i2")[start : start + WINDOW].max()
        return WINDOWS

    rates = interleave({"Parquet": from_parquet, "Arrow IPC": from_ipc}, rounds)
    (scratch / "segments.arrow").unlink()
    micros = {name: round(1e6 / statistics.median(values), 1) for name, values in rates.items()}
    gain = (micros["Parquet"] - micros["Arrow IPC"]) / 1e6
    cpu = torch.device("cpu")
    wavenet = step_seconds(GeneratorTask(dataset, WaveNetSettings(), cpu))
    resnet = step_seconds(ClassifierTask(dataset, ResNetSettings(), cpu))
    return {
        "microseconds a window of 2,049 samples, warm page cache": micros,
        "Arrow IPC against Parquet": ratio(rates, "Arrow IPC", "Parquet"),
        "WaveNet: CPU-seconds a step of 8 windows": wavenet,
        "WaveNet: share of a step that the cache would save": 8 * gain / wavenet,
        "ResNet: CPU-seconds a step of 32 crops": resnet,
        "ResNet: share of a step that the cache would save, if crops were read anew": 32 * gain / resnet,
    }


def write_ipc(dataset: Dataset, file: Path) -> dict[tuple[int, int], tuple[pa.ChunkedArray, int]]:
    """Write all segments into one Arrow IPC file; returns, by part and row, the memory-mapped column and row."""
    places: list[tuple[int, int]] = []
    with pa.OSFile(str(file), "wb") as sink:
        writer = None
        for part, name in enumerate(dataset.root["segments"]):
            source = dataset.folder.open_parquet(name)
            for rows in source.iter_batches(columns=["pcm"]):
                writer = writer or pa.ipc.new_file(sink, rows.schema)
                writer.write_batch(rows)
            places += [(part, row) for row in range(source.metadata.num_rows)]
        assert writer is not None
        writer.close()
    mapped = pa.ipc.open_file(pa.memory_map(str(file)))
    where = [
        (mapped.get_batch(i)["pcm"], row)
        for i in range(mapped.num_record_batches)
        for row in range(mapped.get_batch(i).num_rows)
    ]
    return dict(zip(places, where, strict=True))


def step_seconds(task: GeneratorTask | ClassifierTask, steps: int = 3) -> float:
    """Return the CPU-seconds of a training step: the median of a few, after one that warms up."""
    used = []
    for step in range(steps + 1):
        started = time.process_time()
        task.loss(step, 0, 1).backward()
        used.append(time.process_time() - started)
    return statistics.median(used[1:])

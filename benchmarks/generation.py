"""Generation, on one core: samples per CPU-second of each backend, against the reference and against the bare GEMMs.

python benchmarks/generation.py [model=BUNDLE]

The speed model has 3 stacks of 10 layers, 32 residual and gate, 1,024 skip and 512 end channels, and random weights.
The divergence of bf16 is measured on a trained model: the bundle given, or a small one trained here on gmn's own music.
"""

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from _bench import interleave, publish, ratio
from torch import Tensor

from gmn.audio.decode import read_mono
from gmn.audio.mulaw import SILENCE, encode_pcm16
from gmn.config import Config, build
from gmn.corpus.write import write_corpus
from gmn.generation.engine import Stream, find_backend, generate
from gmn.generation.packed import PackedLinear, pack
from gmn.generation.sampling import Sampling, draw
from gmn.models.bundle import load_bundle
from gmn.models.wavenet import WaveNet, WaveNetConfig

SPEED = WaveNetConfig(stacks=3, layers=10, residual_channels=32, skip_channels=1024, end_channels=512)
CONDITION = 14
ROUNDS = 7
SAMPLES = {1: 400, 8: 300, 32: 200, 128: 150, 512: 80}
"""Samples a stream and round, by the number of slots."""
KL_STREAMS, KL_SAMPLES = 16, 2000


class Settings(Config):
    """What is measured beside speed."""

    model: str | None = None
    """A trained generator's bundle, for the divergence of bf16; none: one is trained here, in some minutes."""


def main() -> None:
    """Measure one core, then two, then what bf16 does to a trained model."""
    settings = build(Settings, None, sys.argv[1:])
    torch.set_num_threads(1)
    rates = interleave(candidates(), ROUNDS)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    publish(
        "generation",
        {
            "unit": "samples per CPU-second, one core, random weights, 10x3 layers, 32/32/1024/512",
            "medians": {name: round(value) for name, value in medians.items()},
            "against reference, 1 slot": {
                name: ratio(rates, name, "reference, 1") for name in rates if not name.startswith("GEMMs")
            },
            "share of the float32 GEMM floor": {
                slots: ratio(rates, f"folded, {slots}", f"GEMMs, {slots}") for slots in SAMPLES
            },
            "bf16 against folded, 128 slots": ratio(rates, "folded bf16, 128", "folded, 128"),
            "load average": round(os.getloadavg()[0], 1),
            "bf16 in hardware": "avx512_bf16" in Path("/proc/cpuinfo").read_text(),
            "two processes against one": two_processes(),
            "bf16, KL to float32 in nats": divergence(settings.model),
        },
    )


def candidates() -> dict[str, Callable[[], float]]:
    """Return what is measured: name and slots -> a run that returns its number of samples."""
    runs: dict[str, Callable[[], float]] = {"anew, 1": anew}
    for slots in (1, 128):
        runs[f"reference, {slots}"] = lambda slots=slots: sample(slots, "reference")
    for slots in SAMPLES:
        runs[f"folded, {slots}"] = lambda slots=slots: sample(slots, "folded")
        runs[f"GEMMs, {slots}"] = gemms(slots)
    runs["folded bf16, 128"] = lambda: sample(128, "folded", "bf16")
    return runs


@cache
def speed_model() -> WaveNet:
    """Return the speed model, the same in every process."""
    torch.manual_seed(0)
    return WaveNet(SPEED, CONDITION).eval()


def sample(slots: int, backend: str, precision: str = "float32") -> float:
    """Generate full slots as a library does."""
    streams = [Stream(np.zeros(CONDITION, np.float32), 0, index) for index in range(slots)]
    generate(speed_model(), streams, SAMPLES[slots], slots, Sampling(), backend, precision)
    return slots * SAMPLES[slots]


@torch.inference_mode()
def anew(n_samples: int = 4) -> float:
    """Generate one stream by a full pass over the receptive field for every sample."""
    model = speed_model()
    codes, condition = torch.full((1, SPEED.receptive_field), SILENCE), torch.zeros(1, CONDITION)
    for _ in range(n_samples):
        drawn = draw(model(codes, condition)[0, -1:], torch.rand(1), Sampling())
        codes = torch.cat([codes[:, 1:], drawn[None]], dim=1)
    return n_samples


def gemms(slots: int) -> Callable[[], float]:
    """Return a run of the matrix products of a step alone, each by the faster of a plain and a packed product."""
    L, R, G = len(SPEED.dilations), SPEED.residual_channels, SPEED.gate_channels or SPEED.residual_channels
    S, E = SPEED.skip_channels, SPEED.end_channels or SPEED.skip_channels
    once = [best_product(slots, *shape) for shape in ((L * G, S), (S, E), (E, 256))]
    of_layer = [best_product(slots, *shape) for shape in ((R, 2 * G), (R, 2 * G), (G, R))]
    steps = SAMPLES[slots]

    @torch.inference_mode()
    def run() -> float:
        for _ in range(steps):
            for product in of_layer * L + once:
                product()
        return slots * steps

    return run


@torch.inference_mode()
def best_product(rows: int, inputs: int, outputs: int) -> Callable[[], Any]:
    """Return the fastest float32 product [rows, inputs] x [inputs, outputs] that this build has."""
    x, weight, bias = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.zeros(outputs)
    turned, out = weight.T.contiguous(), torch.empty(rows, outputs)
    ways: list[Callable[[], Any]] = [lambda: torch.mm(x, turned, out=out), lambda: F.linear(x, weight, bias)]
    if pack(weight, rows) is not None:
        packed = PackedLinear(weight, bias, rows)
        ways.append(lambda: packed(x))

    def seconds(way: Callable[[], Any]) -> float:
        took = []
        for _ in range(20):
            started = time.process_time()
            way()
            took.append(time.process_time() - started)
        return min(took[2:])

    return min(ways, key=seconds)


def two_processes() -> dict[str, Any]:
    """Compare two processes on two cores with one, in samples per second of wall time and per CPU-second."""
    rounds = [(work_in(1), work_in(2)) for _ in range(3)]
    return {
        "wall": statistics.median(two[0] / one[0] for one, two in rounds),
        "CPU-seconds per sample": statistics.median(one[1] / two[1] for one, two in rounds),
    }


def work_in(processes: int) -> tuple[float, float]:
    """Return samples per second and per CPU-second of so many processes that start together."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.SimpleQueue()
    workers = [context.Process(target=work, args=(barrier, results)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    samples = sum(samples for samples, _, _ in found)
    return samples / max(wall for _, wall, _ in found), samples / sum(cpu for _, _, cpu in found)


def work(barrier: Barrier, results: Any) -> None:
    """Generate in a process of its own, once for warmth and, together with the others, once for the clock."""
    torch.set_num_threads(1)
    sample(128, "folded")
    barrier.wait()
    wall, cpu = time.perf_counter(), time.process_time()
    samples = sum(sample(128, "folded") for _ in range(5))
    results.put((samples, time.perf_counter() - wall, time.process_time() - cpu))


def divergence(uri: str | None) -> dict[str, float]:
    """Return the mean and the largest KL(float32 || bf16) over codes that float32 draws."""
    model = load_bundle(uri, "generator").model if uri else trained()
    assert isinstance(model, WaveNet)
    with torch.inference_mode():
        return divergence_of(model)


def divergence_of(model: WaveNet) -> dict[str, float]:
    """Step both precisions through the same codes."""
    conditions = torch.zeros(KL_STREAMS, model.condition_size)
    exact, rough = (find_backend(model.kind, "folded", p)(model, conditions) for p in ("float32", "bf16"))
    codes, nats, bits = torch.full((KL_STREAMS,), SILENCE), [], []
    for numbers in torch.rand(KL_SAMPLES, KL_STREAMS, generator=torch.Generator().manual_seed(0)):
        p, q = exact.step(codes).log_softmax(-1), rough.step(codes).log_softmax(-1)
        nats.append((p.exp() * (p - q)).sum(-1))
        bits.append(-(p.exp() * p).sum(-1).mean().item() / np.log(2))
        codes = draw(p, numbers, Sampling())
    kl = torch.stack(nats).double()
    return {"mean": kl.mean().item(), "most": kl.max().item(), "entropy in bits": float(np.mean(bits))}


def trained(steps: int = 200) -> WaveNet:
    """Train the default shape for a while on music that gmn composes, so that its logits are those of a model."""
    with tempfile.TemporaryDirectory() as folder:
        files = sorted(write_corpus(Path(folder) / "audio", tracks=16, seconds=4.0, sample_rate=16_000).rglob("*.wav"))
        codes = torch.from_numpy(
            np.stack([encode_pcm16(read_mono(file, 16_000).pcm[:64_000]) for file in files])
        ).long()
    torch.manual_seed(0)
    model = WaveNet(WaveNetConfig(), CONDITION)
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model, codes).backward()
        optimizer.step()
    return model.eval()


def loss_of(model: WaveNet, codes: Tensor) -> Tensor:
    """Return the cross-entropy of windows drawn at random from tracks [N, T]."""
    rows, starts = torch.randint(len(codes), (4,)), torch.randint(codes.shape[1] - 2049, (4,))
    windows = torch.stack([codes[row, start : start + 2049] for row, start in zip(rows, starts, strict=True)])
    logits = model(windows[:, :-1], torch.zeros(4, model.condition_size))
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


if __name__ == "__main__":
    main()

"""Training a WaveNet, on one core: targets per CPU-second, by how the layers are laid out and how windows are used.

python benchmarks/training.py

The model has 3 stacks of 10 layers, 32 residual and gate, 1,024 skip and 512 end channels; its receptive field is 3,071
samples. `16 targets a window` is what the published PyTorch WaveNets train on: a receptive field is computed for
each 16 samples that count. A step is forward, backward, clipping and AdamW.
"""

import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from _bench import interleave, publish, ratio
from torch import Tensor

from gmn.models.wavenet import CLASSES, WaveNet, WaveNetConfig
from gmn.training.loop import use_bf16
from gmn.training.muon import Muon

SPEED = WaveNetConfig(stacks=3, layers=10, residual_channels=32, skip_channels=1024, end_channels=512)
SHIPPED = WaveNetConfig()
CONDITION = 14
ROUNDS = 5
WINDOW = 4096

Forward = Callable[[Tensor, Tensor], Tensor]
"""Maps codes [B, T] and conditions [B, C] to logits [B, T, 256]."""


def by_conv1d(model: WaveNet) -> Forward:
    """Return the same network as dilated convolutions on [B, C, T]."""

    def forward(codes: Tensor, condition: Tensor) -> Tensor:
        x = model.embedding(codes).mT
        skips: Tensor | None = None
        for layer in model.stack:
            taps = layer.taps.weight.unflatten(1, (layer.kernel_size, -1)).mT
            padded = F.pad(x, ((layer.kernel_size - 1) * layer.dilation, 0))
            a = F.conv1d(padded, taps, layer.taps.bias, dilation=layer.dilation) + layer.condition(condition)[..., None]
            filters, gates = a.chunk(2, dim=1)
            z = torch.tanh(filters) * torch.sigmoid(gates)
            skip = F.conv1d(z, layer.skip.weight[..., None])
            skips = skip if skips is None else skips + skip
            x = x + F.conv1d(z, layer.residual.weight[..., None], layer.residual.bias)
        assert skips is not None
        return model.head(skips.mT + model.skip_bias)

    return forward


def trainer(model: WaveNet, forward: Forward, targets: int, bf16: bool = False) -> Callable[[], float]:
    """Return a step on one window whose last `targets` samples count; it returns their number."""
    length = max(WINDOW, targets) if targets > 16 else model.config.receptive_field + targets - 1
    optimizer = torch.optim.AdamW(model.parameters())
    codes, condition = torch.randint(0, CLASSES, (1, length + 1)), torch.rand(1, CONDITION)

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = forward(codes[:, :-1], condition)[:, -targets:]
            loss = F.cross_entropy(logits.flatten(0, 1), codes[:, -targets:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return targets

    return step


def flops(config: WaveNetConfig) -> int:
    """Count the operations of a training step per target: 2 a weight forward, 4 backward."""
    products = [module for module in WaveNet(config, 0).modules() if isinstance(module, torch.nn.Linear)]
    return 6 * sum(module.weight.numel() for module in products)


def muons() -> dict[str, float]:
    """Return what the optimizer's step costs for the shipped shape's matrices, by torch.optim's Muon and by gmn's."""
    matrices = WaveNet(SHIPPED, CONDITION).matrices()
    for matrix in matrices:
        matrix.grad = torch.randn_like(matrix)

    def stepper(muon: torch.optim.Optimizer) -> Callable[[], float]:
        def step() -> float:
            muon.step()
            return 1.0

        return step

    ways = {"torch.optim": torch.optim.Muon(matrices, 1e-6), "gmn": Muon(matrices, 1e-6)}
    rates = interleave({name: stepper(muon) for name, muon in ways.items()}, ROUNDS)
    return {name: round(1 / statistics.median(values), 4) for name, values in rates.items()}


def gemm(size: int = 1024) -> Callable[[], float]:
    """Return a float32 product of square matrices that counts its operations."""
    a, b = torch.rand(size, size), torch.rand(size, size)

    def multiply() -> float:
        torch.mm(a, b)
        return 2.0 * size**3

    return multiply


def main() -> None:
    """Measure the speed model and the shipped recipe's shape, in float32 and, where the processor has it, bfloat16."""
    torch.set_num_threads(1)
    bf16 = use_bf16("auto", torch.device("cpu"))
    candidates: dict[str, Callable[[], float]] = {"gemm": gemm()}
    for name, config in (("speed model", SPEED), ("shipped", SHIPPED)):
        model = WaveNet(config, CONDITION)
        candidates[f"{name}, 16 targets a window"] = trainer(model, model, 16)
        candidates[f"{name}, whole windows, conv1d"] = trainer(model, by_conv1d(model), WINDOW)
        candidates[f"{name}, whole windows"] = trainer(model, model, WINDOW)
        if bf16:
            candidates[f"{name}, whole windows, bf16"] = trainer(model, model, WINDOW, bf16=True)
    rates = interleave(candidates, ROUNDS)
    peak = statistics.median(rates.pop("gemm"))
    of = {name: name.partition(",")[0] + ", 16 targets a window" for name in rates}
    shares = {
        name: statistics.median(values) * flops(SPEED if name.startswith("speed") else SHIPPED) / peak
        for name, values in rates.items()
        if name.endswith("whole windows")
    }
    publish(
        "training",
        {
            "unit": "targets per CPU-second, one core, random codes",
            "medians": {name: round(statistics.median(values)) for name, values in rates.items()},
            "ratios": {name: ratio(rates, name, base) for name, base in of.items() if name != base},
            "a step of Muon, CPU-seconds": muons(),
            "gemm_gflops": round(peak / 1e9, 1),
            "share_of_gemm": {name: round(share, 3) for name, share in shares.items()},
        },
    )


if __name__ == "__main__":
    main()

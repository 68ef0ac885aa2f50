"""Generation, on one core: samples per CPU-second against running the network anew over its receptive field.

python benchmarks/generation.py
"""

import statistics

import numpy as np
import torch
from _bench import interleave, publish, ratio

from gmn.audio.mulaw import SILENCE
from gmn.generation.engine import Stream, generate
from gmn.models.wavenet import WaveNet, WaveNetConfig

CONDITION = 14
ROUNDS = 5


def main() -> None:
    """Measure the shipped recipe's shape with random weights."""
    torch.set_num_threads(1)
    model = WaveNet(WaveNetConfig(), CONDITION).eval()

    @torch.inference_mode()
    def anew(n_samples: int = 40) -> float:
        """Generate one stream by a full pass over the receptive field for every sample."""
        codes = torch.full((1, model.config.receptive_field), SILENCE)
        condition = torch.zeros(1, CONDITION)
        for _ in range(n_samples):
            drawn = torch.multinomial(model(codes, condition)[0, -1].softmax(-1), 1)
            codes = torch.cat([codes[:, 1:], drawn[None]], dim=1)
        return n_samples

    def steps(slots: int, n_samples: int) -> float:
        streams = [Stream(np.zeros(CONDITION, np.float32), 0, index) for index in range(slots)]
        generate(model, streams, n_samples, 1.0, slots)
        return slots * n_samples

    rates = interleave(
        {
            "anew, 1 stream": anew,
            "reference, 1 slot": lambda: steps(1, 1000),
            "reference, 16 slots": lambda: steps(16, 1000),
            "reference, 128 slots": lambda: steps(128, 500),
        },
        ROUNDS,
    )
    publish(
        "generation",
        {
            "unit": "samples per CPU-second, one core, random weights, the shape of configs/train/wavenet.yaml",
            "medians": {name: round(statistics.median(values)) for name, values in rates.items()},
            "ratios": {name: ratio(rates, name, "anew, 1 stream") for name in rates if name != "anew, 1 stream"},
        },
    )


if __name__ == "__main__":
    main()

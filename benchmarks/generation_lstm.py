"""Generation by an LSTM, on one core: samples per CPU-second against a loop of LSTMCell, and against the bare products.

python benchmarks/generation_lstm.py
"""

import statistics
from collections.abc import Callable, Mapping

import torch
from _bench import interleave, publish, ratio
from torch import Tensor, nn

from gmn.generation.lstm import FoldedLSTM, ReferenceLSTM
from gmn.generation.packed import PackedLinear
from gmn.models.lstm import LSTM, LSTMConfig

CONDITION = 14
SLOTS = 256
STEPS = 96
ROUNDS = 9

SHAPES = {
    "plain, H = 160": LSTMConfig(frame_size=1, hidden_size=160, embedding_size=256, head_size=160),
    "plain, H = 512": LSTMConfig(frame_size=1, hidden_size=512, embedding_size=256, head_size=512),
    "configs/train/lstm.yaml": LSTMConfig(),
}


class CellLoop:
    """The loop as one writes it: LSTMCell, the newest samples shifted by one, the model's own head."""

    def __init__(self, model: LSTM, conditions: Tensor) -> None:
        self._model, self._conditions = model, conditions
        H = model.config.hidden_size
        self._cell = nn.LSTMCell(model.lstm.input_size, H)
        self._cell.load_state_dict({name.removesuffix("_l0"): value for name, value in model.lstm.state_dict().items()})
        self._state = conditions.new_zeros(len(conditions), H), conditions.new_zeros(len(conditions), H)
        self._newest = model.embed(torch.empty(len(conditions), 0, dtype=torch.int64))
        self._place = -1
        self._advance()

    def step(self, codes: Tensor) -> Tensor:
        """Map the newest codes [B] to the logits [B, 256] of the next ones."""
        self._newest = torch.cat([self._newest[:, 1:], self._model.embedding(codes)[:, None]], dim=1)
        self._advance()
        return self._model.sample_tier(self._vectors[:, self._place], self._newest.flatten(1))

    def _advance(self) -> None:
        self._place = (self._place + 1) % self._model.config.frame_size
        if self._place == 0:
            given = torch.cat([self._newest.flatten(1), self._conditions], dim=1)
            self._state = self._cell(given, self._state)
            self._vectors = self._model.vectors(self._state[0][:, None])


def products(config: LSTMConfig) -> Mapping[tuple[int, int], float]:
    """Return the products of a step of the folded loop, [inputs, outputs] -> how often a sample."""
    H, D = config.hidden_size, config.head_size
    newest = config.frame_size * config.embedding_size if config.frame_size > 1 else 0
    return {
        (newest + H, 4 * H): 1 / config.frame_size,
        (newest + H, D): 1,
        (D, 256): 1,
    }


def loop(stepper: ReferenceLSTM | FoldedLSTM | CellLoop) -> Callable[[], float]:
    """Return a run of steps over drawn codes."""
    codes = torch.randint(256, (STEPS, SLOTS))

    @torch.inference_mode()
    def run() -> float:
        for step in codes:
            stepper.step(step)
        return STEPS * SLOTS

    return run


def bare(config: LSTMConfig, packed: bool) -> Callable[[], float]:
    """Return a run of the products of the steps and nothing else, by PyTorch's own mm or by oneDNN's."""
    work: list[tuple[int, Callable[[], object]]] = []
    for (inputs, outputs), often in products(config).items():
        x, weight = torch.randn(SLOTS, inputs), torch.randn(outputs, inputs)
        product = PackedLinear(weight, torch.zeros(outputs), SLOTS)
        y, turned = torch.empty(SLOTS, outputs), weight.T.contiguous()
        one = (lambda p=product, x=x: p(x)) if packed else (lambda x=x, w=turned, y=y: torch.mm(x, w, out=y))
        work.append((round(often * STEPS), one))

    @torch.inference_mode()
    def run() -> float:
        for times, one in work:
            for _ in range(times):
                one()
        return STEPS * SLOTS

    return run


@torch.inference_mode()
def measure(config: LSTMConfig) -> dict[str, object]:
    """Measure one shape with random weights."""
    model, conditions = LSTM(config, CONDITION).eval(), torch.rand(SLOTS, CONDITION)
    given = torch.randint(256, (SLOTS, 40))
    cells, folded = CellLoop(model, conditions), FoldedLSTM(model, conditions)
    for codes in given.T:
        expected, found = cells.step(codes), folded.step(codes)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    rates = interleave(
        {
            "LSTMCell": loop(CellLoop(model, conditions)),
            "reference": loop(ReferenceLSTM(model, conditions)),
            "folded": loop(FoldedLSTM(model, conditions)),
            "bare mm": bare(config, packed=False),
            "bare packed": bare(config, packed=True),
        },
        ROUNDS,
    )
    floor = max(("bare mm", "bare packed"), key=lambda name: statistics.median(rates[name]))
    return {
        "medians": {name: round(statistics.median(values)) for name, values in rates.items()},
        "folded to LSTMCell": ratio(rates, "folded", "LSTMCell"),
        "folded to reference": ratio(rates, "folded", "reference"),
        f"folded to {floor}": ratio(rates, "folded", floor),
    }


def main() -> None:
    """Measure all shapes."""
    torch.set_num_threads(1)
    publish(
        "generation_lstm",
        {
            "unit": f"samples per CPU-second, one core, float32, {SLOTS} slots, random weights",
            "shapes": {name: config.model_dump() | measure(config) for name, config in SHAPES.items()},
        },
    )


if __name__ == "__main__":
    main()

"""Judging many inputs at once: what `judge` says, whatever else is judged beside it."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from gmn.models import judging
from gmn.models.classifier import SpectrogramClassifier
from gmn.models.cnn import CNN, CNNConfig
from gmn.models.judging import Judgement, judge_all, prepare
from gmn.models.resnet import ResNet, ResNetConfig

RATE = 4000
CPU = torch.device("cpu")
SHAPE: dict[str, Any] = {"widths": (8, 12), "n_fft": 256, "hop_length": 64, "n_mels": 16, "window_seconds": 0.5}
LENGTHS = [2000, 1, 700, 2000, 5000, 700, 1999, 1, 700, 26_000, 63, 2000, 700]
"""Samples: windows of 2,000 fill batches with what is left over, others find company or none."""


def make(kind: str = "resnet", heads: tuple[str, ...] = ("genre", "emotion"), **changes: Any) -> SpectrogramClassifier:
    torch.manual_seed(len(kind))
    labels = {head: {"genre": ("a", "b", "c"), "emotion": ("d", "e")}[head] for head in heads}
    shape = SHAPE | {"members": 2} | changes
    model = ResNet(ResNetConfig(**shape), RATE, labels) if kind == "resnet" else CNN(CNNConfig(**shape), RATE, labels)
    for norm in (module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    return model.eval()


def sounds() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [(torch.rand(n, generator=generator) - 0.5) for n in LENGTHS]


def prepared(model: SpectrogramClassifier, bf16: bool = False) -> SpectrogramClassifier:
    model = copy.deepcopy(model)
    prepare(model, CPU, bf16)
    return model


def equal(one: list[Judgement], other: list[Judgement]) -> bool:
    return all(torch.equal(a[head], b[head]) for a, b in zip(one, other, strict=True) for head in a)


@pytest.mark.parametrize("kind", ["resnet", "cnn"])
def test_all_is_judged_as_one_by_one(kind: str) -> None:
    model = make(kind)
    said = judge_all([prepared(model)], [{RATE: sound} for sound in sounds()])
    for sound, (judged,) in zip(sounds(), said, strict=True):
        torch.testing.assert_close(judged, model.judge(sound), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["resnet", "cnn"])
@pytest.mark.parametrize("bf16", [False, True])
def test_bits_depend_neither_on_the_batch_nor_on_the_order(kind: str, bf16: bool) -> None:
    model, inputs = prepared(make(kind), bf16), [{RATE: sound} for sound in sounds()]
    together = [judged for (judged,) in judge_all([model], inputs)]
    alone = [judge_all([model], [one])[0][0] for one in inputs]
    assert equal(together, alone)
    backwards = [judged for (judged,) in judge_all([model], inputs[::-1])]
    assert equal(together, backwards[::-1])


def test_models_that_share_a_spectrogram_say_what_each_says_alone() -> None:
    """Beside one of another spectrogram, of another window, and one that hears none."""

    class Loudness:
        sample_rate = RATE

        def judge(self, waveform: Tensor) -> Judgement:
            return {"genre": waveform.abs().max()[None]}

    networks = [make("resnet"), make("cnn"), make("cnn", n_mels=20), make("cnn", window_seconds=0.3)]
    models = [*map(prepared, networks), Loudness()]
    inputs = [{RATE: sound} for sound in sounds()]
    together = judge_all(models, inputs)
    for place, model in enumerate(models):
        alone = [judged for (judged,) in judge_all([model], inputs)]
        assert equal([judged[place] for judged in together], alone)
    assert together[3][4]["genre"] == sounds()[3].abs().max()


def test_sixteen_bits_are_heard_as_their_floats() -> None:
    model = prepared(make())
    codes = [(32767 * sound).to(torch.int16) for sound in sounds()]
    whole = judge_all([model], [{RATE: code} for code in codes])
    floats = judge_all([model], [{RATE: code.float() / 32768} for code in codes])
    assert equal([one for (one,) in whole], [one for (one,) in floats])


def test_prepared_networks_have_no_batch_norm_left() -> None:
    for kind in ("resnet", "cnn"):
        assert not [m for m in prepared(make(kind)).modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_bfloat16_says_nearly_the_same() -> None:
    model = make()
    said = judge_all([prepared(model, bf16=True)], [{RATE: sound} for sound in sounds()])
    differences = [
        (judged["genre"] - model.judge(sound)["genre"]).abs().max()
        for sound, (judged,) in zip(sounds(), said, strict=True)
    ]
    assert 0 < max(differences) < 0.02


def test_batches_are_of_2_to_8_windows() -> None:
    """In which a window's bits are the same."""
    assert [judging.batch_size(seconds) for seconds in (1e-4, 2, 3, 6, 10, 12, 13, 60)] == [8, 8, 8, 4, 2, 2, 2, 2]


def test_nothing_to_judge() -> None:
    assert judge_all([prepared(make())], []) == []

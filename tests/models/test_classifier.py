"""ResNet and CNN: any length of audio, and a judgement that depends on the audio alone."""

from typing import Any

import pytest
import torch

from gmn.errors import InputError
from gmn.models.classifier import SpectrogramClassifier, head_loss
from gmn.models.cnn import CNN, CNNConfig
from gmn.models.resnet import ResNet, ResNetConfig

RATE = 4000
SHAPE: dict[str, Any] = {"widths": (4, 6), "n_fft": 256, "hop_length": 64, "n_mels": 16, "window_seconds": 0.5}
HEADS = {"genre": ("a", "b", "c"), "emotion": ("d", "e")}


def make(kind: str = "resnet", **changes: Any) -> SpectrogramClassifier:
    torch.manual_seed(0)
    shape = SHAPE | changes
    model = ResNet(ResNetConfig(**shape), RATE, HEADS) if kind == "resnet" else CNN(CNNConfig(**shape), RATE, HEADS)
    for batch_norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(batch_norm.weight, 0.5, 1.5)
        batch_norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    return model.eval()


def noise(n_samples: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n_samples, generator=torch.Generator().manual_seed(seed)) - 0.5


@pytest.mark.parametrize("kind", ["resnet", "cnn"])
@pytest.mark.parametrize("n_samples", [1, 63, 64, 255, 257, 1999, 4001])
@torch.no_grad()
def test_any_length_gives_logits(kind: str, n_samples: int) -> None:
    logits = make(kind, members=2)(torch.stack([noise(n_samples), noise(n_samples, 1)]))
    assert logits.shape == (2, 2, 5)
    assert logits.isfinite().all()


@pytest.mark.parametrize("kind", ["resnet", "cnn"])
@pytest.mark.parametrize("n_samples", [1, 100, 2000, 2001, 7777])
def test_judge_gives_probabilities(kind: str, n_samples: int) -> None:
    judged = make(kind).judge(noise(n_samples))
    assert {head: len(heard) for head, heard in judged.items()} == {"genre": 3, "emotion": 2}
    assert judged["genre"].sum().item() == pytest.approx(1)
    assert all(((heard >= 0) & (heard <= 1)).all() for heard in judged.values())


def test_the_rates_of_an_emotion_head_stand_each_by_itself() -> None:
    model = make()
    torch.nn.init.constant_(model.members[0].head.bias, 5.0)  # type: ignore[arg-type, union-attr]
    assert (model.judge(noise(3000))["emotion"] > 0.5).all()


def test_judge_is_the_mean_of_its_windows_by_their_length() -> None:
    model, waveform = make(), noise(5000)
    parts = [model.judge(waveform[start : start + 2000])["genre"] for start in (0, 2000, 4000)]
    torch.testing.assert_close(model.judge(waveform)["genre"], (2 * parts[0] + 2 * parts[1] + parts[2]) / 5)


def test_judge_is_the_mean_of_its_members() -> None:
    model, waveform = make(members=3), noise(1000)
    members = list(model.members)
    heard = []
    for member in members:
        model.members = torch.nn.ModuleList([member])
        heard.append(model.judge(waveform)["emotion"])
    assert not torch.allclose(heard[0], heard[1])
    model.members = torch.nn.ModuleList(members)
    torch.testing.assert_close(model.judge(waveform)["emotion"], torch.stack(heard).mean(0))


@pytest.mark.parametrize("kind", ["resnet", "cnn"])
@torch.no_grad()
def test_a_temperature_divides_the_logits_of_its_head_for_good(kind: str) -> None:
    model, waveform = make(kind, members=2), noise(1000)[None]
    before = model.by_head(model(waveform))
    model.divide_logits({"genre": 2.0, "emotion": 0.5})
    after = model.by_head(model(waveform))
    torch.testing.assert_close(after["genre"], before["genre"] / 2)
    torch.testing.assert_close(after["emotion"], before["emotion"] * 2)


def test_the_loss_of_a_head() -> None:
    """Against torch's own, and zero where the logits say what is true."""
    torch.manual_seed(0)
    logits, classes, rates = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0]), torch.rand(5, 3)
    expected = torch.nn.functional.cross_entropy(logits, classes, reduction="none", label_smoothing=0.1)
    found = head_loss("genre", logits, torch.eye(3)[classes], label_smoothing=0.1)
    torch.testing.assert_close(found, expected)
    assert head_loss("genre", 100 * torch.eye(3), torch.eye(3)).max() < 1e-6
    assert head_loss("emotion", 200 * torch.eye(3) - 100, torch.eye(3)).max() < 1e-6
    assert (head_loss("emotion", logits, rates) > 0).all()


def test_judge_depends_on_nothing_but_the_audio() -> None:
    """Not on what was judged before, on the random state, or on gradients being recorded."""
    model, waveform = make(), noise(3000)
    first = model.judge(waveform)["genre"]
    model.judge(noise(9999, 1))
    torch.manual_seed(99)
    assert torch.equal(model.judge(waveform.clone())["genre"], first)
    assert torch.equal(make().judge(waveform)["genre"], first)


def test_judge_tells_audio_apart() -> None:
    assert not torch.allclose(make().judge(noise(3000))["genre"], make().judge(0.01 * noise(3000))["genre"])


def test_no_audio_is_refused() -> None:
    with pytest.raises(InputError, match="not empty"):
        make().judge(noise(0))


@torch.no_grad()
def test_bands_are_standardised() -> None:
    model, waveform = make(), noise(8000)[None]
    log_mel = model.log_mel(waveform)
    model.band_mean.copy_(log_mel[0].mean(1))
    model.band_std.copy_(log_mel[0].std(1))
    seen = model.spectrogram(waveform)[0]
    torch.testing.assert_close(seen.mean(1), torch.zeros(16), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(1), torch.ones(16), atol=1e-4, rtol=0)


@pytest.mark.parametrize("config", [ResNetConfig, CNNConfig])
@pytest.mark.parametrize("widths", [(), (0,), (4, -1)])
def test_widths_without_a_width_are_refused(config: Any, widths: tuple[int, ...]) -> None:
    """They once passed and broke in the worker."""
    with pytest.raises(ValueError, match="widths"):
        config(widths=widths)

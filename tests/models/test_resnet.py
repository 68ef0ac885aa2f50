"""ResNet: any length of audio, and a judgement that depends on the audio alone."""

import pytest
import torch

from gmn.errors import InputError
from gmn.models.resnet import ResNet, ResNetConfig

RATE = 4000
CONFIG = ResNetConfig(widths=(4, 6), n_fft=256, hop_length=64, n_mels=16, window_seconds=0.5)


def resnet(softmax: bool = True, config: ResNetConfig = CONFIG) -> ResNet:
    torch.manual_seed(0)
    model = ResNet(config, RATE, 3, softmax)
    for batch_norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(batch_norm.weight, 0.5, 1.5)
        batch_norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    return model.eval()


def noise(n_samples: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n_samples, generator=torch.Generator().manual_seed(seed)) - 0.5


@pytest.mark.parametrize("n_samples", [1, 63, 64, 255, 257, 1999, 4001])
@torch.no_grad()
def test_any_length_gives_logits(n_samples: int) -> None:
    waveform = torch.stack([noise(n_samples), noise(n_samples, 1)])
    logits = resnet()(waveform)
    assert logits.shape == (2, 3)
    assert logits.isfinite().all()


@pytest.mark.parametrize("n_samples", [1, 100, 2000, 2001, 7777])
def test_judge_gives_probabilities(n_samples: int) -> None:
    judged = resnet().judge(noise(n_samples))
    assert judged.shape == (3,)
    assert judged.sum().item() == pytest.approx(1)
    assert ((judged >= 0) & (judged <= 1)).all()


def test_the_rates_of_an_emotion_head_stand_each_by_itself() -> None:
    model = resnet(softmax=False)
    torch.nn.init.constant_(model.head.bias, 5.0)
    assert (model.judge(noise(3000)) > 0.5).all()


def test_judge_is_the_mean_of_its_windows_by_their_length() -> None:
    model, waveform = resnet(), noise(5000)
    parts = [model.judge(waveform[start : start + 2000]) for start in (0, 2000, 4000)]
    torch.testing.assert_close(model.judge(waveform), (2 * parts[0] + 2 * parts[1] + parts[2]) / 5)


def test_judge_depends_on_nothing_but_the_audio() -> None:
    """Not on what was judged before, on the random state, or on gradients being recorded."""
    model, waveform = resnet(), noise(3000)
    first = model.judge(waveform)
    model.judge(noise(9999, 1))
    torch.manual_seed(99)
    assert torch.equal(model.judge(waveform.clone()), first)
    assert torch.equal(resnet().judge(waveform), first)


def test_judge_tells_audio_apart() -> None:
    assert not torch.allclose(resnet().judge(noise(3000)), resnet().judge(0.01 * noise(3000)))


def test_no_audio_is_refused() -> None:
    with pytest.raises(InputError, match="not empty"):
        resnet().judge(noise(0))


@torch.no_grad()
def test_bands_are_standardised() -> None:
    model, waveform = resnet(), noise(8000)[None]
    log_mel = model.log_mel(waveform)
    model.band_mean.copy_(log_mel[0].mean(1))
    model.band_std.copy_(log_mel[0].std(1))
    seen = model.spectrogram(waveform)[0]
    torch.testing.assert_close(seen.mean(1), torch.zeros(16), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(1), torch.ones(16), atol=1e-4, rtol=0)


@pytest.mark.parametrize("widths", [(), (0,), (4, -1)])
def test_widths_without_a_width_are_refused(widths: tuple[int, ...]) -> None:
    """They once passed and broke in the worker."""
    with pytest.raises(ValueError, match="widths"):
        ResNetConfig(widths=widths)

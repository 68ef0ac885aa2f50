"""Log-mel spectrograms equal librosa's, clip by clip, and their definition survives JSON."""

import json
from typing import Any

import librosa
import numpy as np
import pytest
import torch

from gmn.audio.features import LogMel, LogMelConfig
from gmn.errors import InputError


def music(n_samples: int, rate: int) -> np.ndarray:
    t = np.arange(n_samples) / rate
    noise = 0.003 * np.random.default_rng(n_samples).standard_normal(n_samples)
    chord = sum(np.sin(2 * np.pi * f * t) * np.exp(-t * 2) for f in (110, 220.5, 277.2, 659.3))
    return (0.2 * chord + noise).astype(np.float32)


@pytest.mark.parametrize(
    ("config", "n_samples"),
    [
        (LogMelConfig(22_050), 22_050),
        (LogMelConfig(16_000, n_fft=512, hop_length=160, n_mels=40, f_min=0.0, f_max=7_000.0, log_offset=1e-4), 12_345),
        (LogMelConfig(22_050, n_fft=2048, hop_length=512, n_mels=128), 2_100),
    ],
)
def test_equals_librosa(config: LogMelConfig, n_samples: int) -> None:
    clips = np.stack([gain * music(n_samples, config.sample_rate) for gain in (1, 0.1, 0, 0.01, 1)])
    ours = LogMel(config)(torch.from_numpy(clips))
    assert ours.dtype == torch.float32
    assert ours.shape == (5, config.n_mels, LogMel(config).frames(n_samples))
    for clip, mine in zip(clips, ours, strict=True):
        power = librosa.feature.melspectrogram(
            y=clip,
            sr=config.sample_rate,
            n_fft=config.n_fft,
            hop_length=config.hop_length,
            n_mels=config.n_mels,
            fmin=config.f_min,
            fmax=config.f_max,
        )
        np.testing.assert_allclose(mine.numpy(), np.log(power + config.log_offset), rtol=0, atol=1e-4)


@pytest.mark.parametrize("n_fft", [512, 1024, 2048])
@pytest.mark.parametrize("n_samples", [1, 2_100, 70_000])
def test_by_blocks_equals_the_definition(n_fft: int, n_samples: int) -> None:
    """What a CPU computes in blocks, and what a GPU computes at once; with a number of bands that no block divides."""
    log_mel = LogMel(LogMelConfig(22_050, n_fft=n_fft, hop_length=320, n_mels=45, f_min=0.0))
    clips = torch.from_numpy(np.stack([music(n_samples, 22_050), np.zeros(n_samples, np.float32)]))
    torch.testing.assert_close(log_mel(clips), log_mel._at_once(clips), rtol=0, atol=1e-4)


def test_a_clip_alone_equals_the_clip_in_a_batch() -> None:
    log_mel = LogMel(LogMelConfig(16_000))
    clips = torch.from_numpy(np.stack([music(8_000, 16_000), np.flip(music(8_000, 16_000)), music(8_000, 8_000)]))
    assert torch.equal(log_mel(clips)[2], log_mel(clips[2]))


def test_nothing_is_stored_with_the_weights() -> None:
    assert LogMel(LogMelConfig(16_000)).state_dict() == {}


def test_the_definition_survives_json() -> None:
    config = LogMelConfig(16_000, n_mels=80, f_max=7_500.0)
    assert LogMelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    values = config.to_dict()
    with pytest.raises(InputError, match="win_length"):
        LogMelConfig.from_dict({**values, "win_length": 3})
    del values["n_mels"]
    with pytest.raises(InputError, match="n_mels"):
        LogMelConfig.from_dict(values)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"hop_length": 0}, "hop_length is 0"), ({"f_min": 9_000.0}, "f_min 9000"), ({"f_max": 8_001.0}, "f_max 8001")],
)
def test_a_definition_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        LogMelConfig(16_000, **wrong)


def test_bands_without_a_bin_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="mel bands hold no FFT bin"):
        LogMel(LogMelConfig(16_000, n_fft=256, n_mels=128))
    for shape in [(0,), (1, 2, 3), (2, 0)]:
        with pytest.raises(InputError, match="a waveform is"):
            LogMel(LogMelConfig(16_000))(torch.zeros(shape))

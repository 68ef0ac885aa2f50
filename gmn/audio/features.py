"""The log-mel spectrogram: what classifiers hear.

    waveform [B, T] -zeros on both sides-> frames -Hann, FFT-> power [B, F, N] -mel bands-> ln(. + offset) [B, M, N]

B clips, T samples, F = n_fft / 2 + 1 bins, M = n_mels bands, N = 1 + T // hop_length frames; frame n is centred on
sample n * hop_length. The definition is librosa's `melspectrogram` with its own defaults (Slaney's mel scale and area
norm, power, Hann, zeros as padding) under a natural logarithm. torchaudio and torch mirror the edges instead, which
changes the first and last frames by several log units; zeros work for clips of any length.
"""

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from gmn.audio.torchaudio_loader import load_torchaudio
from gmn.errors import InputError

_FRAMES_AT_A_TIME = 512
_TRANSFORMS_AT_A_TIME = 128
"""On a CPU: what fits its caches, and calls few enough that they cost little."""
_BANDS_AT_A_TIME = 16
"""On a CPU: neighbouring bands share few bins, and all other products would be with zero."""


@dataclass(frozen=True)
class LogMelConfig:
    """The definition of a log-mel spectrogram; a bundle stores it as JSON."""

    sample_rate: int
    """Hz."""
    n_fft: int = 1024
    """Samples a frame, and the Hann window's length."""
    hop_length: int = 441
    """Samples from one frame to the next."""
    n_mels: int = 64
    """Mel bands."""
    f_min: float = 20.0
    """Hz, the lowest band's lower edge."""
    f_max: float | None = None
    """Hz, the highest band's upper edge; none means half the sample rate."""
    log_offset: float = 1e-6
    """Added to a band's power before the logarithm; silence reads ln of it."""

    def __post_init__(self) -> None:
        for name in ("sample_rate", "n_fft", "hop_length", "n_mels", "log_offset"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}, needs to be above 0")
        if not 0 <= self.f_min < self.highest <= self.sample_rate / 2:
            raise InputError(
                f"f_min {self.f_min} and f_max {self.highest} Hz: needs 0 <= f_min < f_max <= {self.sample_rate / 2}"
            )

    @property
    def highest(self) -> float:
        """Hz, the highest band's upper edge."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    def to_dict(self) -> dict[str, Any]:
        """Return the definition as plain JSON values; `from_dict` reads it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build the definition that `to_dict` gave.

        Raises InputError for a key that is unknown or missing, and for values that cannot be.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if set(values) != known:
            wrong = sorted(set(values) ^ known)
            raise InputError(f"log-mel features: unknown or missing {', '.join(wrong)}")
        return cls(**values)


class LogMel(torch.nn.Module):
    """Waveform `[B, T]` or `[T]` to log-mel `[B, M, N]` or `[M, N]`, float32."""

    window: Tensor
    bands: Tensor

    def __init__(self, config: LogMelConfig):
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.register_buffer("bands", _mel_bands(config), persistent=False)
        self._blocks = _band_blocks(self.bands)

    def frames(self, n_samples: int) -> int:
        """Return the number of frames N of a waveform of that length."""
        return 1 + n_samples // self.config.hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        """Return ln(mel power + log_offset).

        Raises InputError for a waveform that is neither `[T]` nor `[B, T]`, or empty.
        """
        if waveform.ndim not in (1, 2) or waveform.numel() == 0:
            raise InputError(f"a waveform is [T] or [B, T] and not empty, this one is {list(waveform.shape)}")
        clips = torch.atleast_2d(waveform.float())
        if waveform.device.type == "cpu":
            log_mel = torch.stack([self._by_blocks(clip) for clip in clips])
        else:
            log_mel = self._at_once(clips)
        return log_mel.squeeze(0) if waveform.ndim == 1 else log_mel

    def _at_once(self, clips: Tensor) -> Tensor:
        """Compute the definition as it stands: what a GPU is good at."""
        spectrum = torch.stft(
            clips,
            self.config.n_fft,
            self.config.hop_length,
            window=self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        power = spectrum.real.square().addcmul(spectrum.imag, spectrum.imag)
        return torch.matmul(self.bands, power).add(self.config.log_offset).log()

    def _by_blocks(self, clip: Tensor) -> Tensor:
        """Compute the same of a clip [T], some frames and bands at a time, which suits a CPU."""
        side = self.config.n_fft // 2
        frames = F.pad(clip, (side, side)).unfold(0, self.config.n_fft, self.config.hop_length)
        mel = clip.new_empty(self.config.n_mels, len(frames))
        windowed = clip.new_empty(_TRANSFORMS_AT_A_TIME, self.config.n_fft)
        for start in range(0, len(frames), _FRAMES_AT_A_TIME):
            block = frames[start : start + _FRAMES_AT_A_TIME]
            squares = clip.new_empty(len(block), self.config.n_fft // 2 + 1, 2)
            parts = zip(block.split(_TRANSFORMS_AT_A_TIME), squares.split(_TRANSFORMS_AT_A_TIME), strict=True)
            for part, into in parts:
                spectrum = torch.fft.rfft(torch.mul(part, self.window, out=windowed[: len(part)]))
                torch.square(torch.view_as_real(spectrum), out=into)
            # Real and imaginary parts side by side, as the blocks' weights are: the product adds them up.
            power = squares.flatten(1).mT
            for bands, bins, weights in self._blocks:
                mel[bands, start : start + len(block)] = weights @ power[bins]
        return mel.add_(self.config.log_offset).log_()


def _band_blocks(bands: Tensor) -> list[tuple[slice, slice, Tensor]]:
    """Cut the bands `[M, F]` into blocks of rows: which rows, which of 2 F squares, and the weights of those."""
    blocks = []
    for start in range(0, len(bands), _BANDS_AT_A_TIME):
        rows = bands[start : start + _BANDS_AT_A_TIME]
        bins = rows.amax(0).nonzero()
        first, end = int(bins[0]), int(bins[-1]) + 1
        weights = rows[:, first:end].repeat_interleave(2, dim=1)
        blocks.append((slice(start, start + len(rows)), slice(2 * first, 2 * end), weights))
    return blocks


def _mel_bands(config: LogMelConfig) -> Tensor:
    """Return the triangular bands `[M, F]`, Slaney's scale and area norm.

    Raises InputError where a band is so narrow that it falls between two FFT bins.
    """
    functional = load_torchaudio().functional
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchaudio warns of empty bands; here they are an error
        bands: Tensor = functional.melscale_fbanks(
            config.n_fft // 2 + 1,
            config.f_min,
            config.highest,
            config.n_mels,
            config.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        ).T.contiguous()
    empty = int((bands.amax(1) == 0).sum())
    if empty:
        raise InputError(f"{empty} of {config.n_mels} mel bands hold no FFT bin: lower n_mels or raise n_fft or f_min")
    return bands

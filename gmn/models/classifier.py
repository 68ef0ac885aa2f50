"""What the networks that hear log-mel spectrograms share: heads, members, and a judgement of audio of any length.

Shapes: B clips, T samples, M mel bands, N frames, E members, K labels of all heads.

    waveform [B, T] -> log-mel [B, M, N], standardised per band -> each member -> logits [E, B, K]
    -> probabilities, a head at a time: a softmax over genres, which exclude each other, a rate for each emotion

Members are the same network from other first weights, trained side by side on the same examples; their probabilities
are averaged (Lakshminarayanan et al. 2017, "Deep Ensembles").
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gmn.audio.features import LogMel, LogMelConfig
from gmn.config import Config

Head = Literal["genre", "emotion"]
"""What a classifier tells: one of the genres, or the nine GEMS rates."""

HEADS: tuple[Head, ...] = ("genre", "emotion")
"""All heads, in the order in which a model has them."""

Heads = Mapping[str, tuple[str, ...]]
"""Head -> its labels, in the order of the logits."""


class SpectrogramConfig(Config):
    """What a network hears, and how it judges."""

    dropout: float = Field(0.4, ge=0, lt=1)
    """Share of pooled features dropped in training."""
    members: int = Field(1, ge=1)
    """Networks whose probabilities are averaged; each costs as much as the first."""
    n_fft: int = Field(1024, ge=16)
    """Samples in a spectrogram frame."""
    hop_length: int = Field(512, ge=1)
    """Samples from one frame to the next."""
    n_mels: int = Field(64, ge=8)
    """Mel bands."""
    window_seconds: float = Field(6.0, gt=0)
    """The longest stretch judged at once; longer audio is cut into such windows and their probabilities averaged."""


class SpectrogramClassifier(nn.Module):
    """A classifier of log-mel spectrograms."""

    band_mean: Tensor
    band_std: Tensor

    def __init__(
        self, config: SpectrogramConfig, sample_rate: int, heads: Heads, network: Callable[[int], nn.Module]
    ) -> None:
        """`network` makes a member: standardised log-mel [B, 1, M, N] to so many logits."""
        super().__init__()
        self.sample_rate = sample_rate
        self.heads = {head: tuple(labels) for head, labels in heads.items()}
        self.log_mel = LogMel(
            LogMelConfig(sample_rate, n_fft=config.n_fft, hop_length=config.hop_length, n_mels=config.n_mels)
        )
        self.window_samples = round(config.window_seconds * sample_rate)
        self.register_buffer("band_mean", torch.zeros(config.n_mels))
        self.register_buffer("band_std", torch.ones(config.n_mels))
        size = sum(map(len, self.heads.values()))
        self.members = nn.ModuleList(network(size) for _ in range(config.members))
        # Channels last: batch norm and pooling of small networks take little more than half the time on a CPU.
        self.members.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def spectrogram(self, waveform: Tensor) -> Tensor:
        """Map a waveform [B, T] at the model's sample rate, in [-1, 1], to its standardised log-mel [B, M, N]."""
        return self.standardise(self.log_mel(waveform))

    def standardise(self, log_mel: Tensor) -> Tensor:
        """Standardise log-mel [B, M, N] per band."""
        return (log_mel - self.band_mean[:, None]) / self.band_std[:, None]

    def logits(self, spectrogram: Tensor) -> Tensor:
        """Map standardised log-mel [B, M, N] to logits [E, B, K], float32 whatever the members compute in."""
        x = spectrogram[:, None].to(next(self.members.parameters()).dtype, memory_format=torch.channels_last)
        return torch.stack([member(x).float() for member in self.members])

    def forward(self, waveform: Tensor) -> Tensor:
        """Map a waveform [B, T] to logits [E, B, K]."""
        return self.logits(self.spectrogram(waveform))

    def by_head(self, logits: Tensor) -> dict[str, Tensor]:
        """Cut logits [..., K] into each head's."""
        sizes = [len(labels) for labels in self.heads.values()]
        return dict(zip(self.heads, logits.split(sizes, dim=-1), strict=True))

    def probabilities(self, logits: Tensor) -> dict[str, Tensor]:
        """Map logits [E, ..., K] to each head's probabilities [..., labels], the mean over the members."""
        return {head: probabilities(head, of_head).mean(0) for head, of_head in self.by_head(logits).items()}

    @torch.no_grad()
    def judge(self, waveform: Tensor) -> dict[str, Tensor]:
        """Map one waveform [T] of any length to each head's probabilities: the mean over its windows, by length."""
        windows = waveform.split(self.window_samples)
        judged = [self.probabilities(self(window[None])) for window in windows]
        weights = torch.tensor([float(len(window)) for window in windows])
        return {
            head: (weights / weights.sum()) @ torch.stack([window[head][0] for window in judged]) for head in self.heads
        }

    @torch.no_grad()
    def divide_logits(self, temperatures: Mapping[str, float]) -> None:
        """Divide each head's logits for good, by changing the last layers' weights (Guo et al. 2017, section 4.2)."""
        for member in self.members:
            last = [module for module in member.modules() if isinstance(module, nn.Linear)][-1]
            divisors = torch.cat([last.bias.new_full((len(self.heads[head]),), t) for head, t in temperatures.items()])
            last.weight.div_(divisors[:, None])
            last.bias.div_(divisors)


class Pool(nn.Module):
    """Mean and maximum over bands and frames, side by side: [B, W, M, N] to [B, 2 W]."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)


def probabilities(head: str, logits: Tensor) -> Tensor:
    """Map a head's logits [..., labels] to probabilities: of genres one is true, emotions stand each by itself."""
    return logits.softmax(-1) if head == "genre" else logits.sigmoid()


def head_loss(head: str, logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy [...] of logits against target probabilities [..., labels]; of rates, their mean."""
    if head == "genre":
        smooth = (1 - label_smoothing) * targets + label_smoothing / targets.shape[-1]
        return -(smooth * logits.log_softmax(-1)).sum(-1)
    return F.binary_cross_entropy_with_logits(logits, targets.expand_as(logits), reduction="none").mean(-1)

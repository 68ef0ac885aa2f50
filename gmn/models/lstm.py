"""Conditional LSTM on 8-bit mu-law codes, with a frame tier (Mehri et al. 2017, "SampleRNN", sections 2.1 to 2.3).

Shapes: B clips, T samples, F samples in a frame, N frames, E embedding, H hidden size, D width of the head, C length of
a condition vector.

    codes      . . . . | a a a a | b b b b | c c c        frames of F samples; before the start all is zero
    LSTM           h0        h1        h2                 one step a frame, over the frame's embedded samples
    next codes       a a a a   b b b b   c c c c          each frame's state gives F vectors, one a sample of the next

The sample tier maps that vector, and the newest F embedded samples, to the logits of the sample at t + 1. With F = 1
the LSTM sees every sample, so that the sample tier has nothing to add: the network is embedding, LSTM and head, the
plain sample-level LSTM.

Departures from the paper: two tiers, not three, and one hidden layer in the sample tier; an LSTM, not a GRU; the frame
tier sees embedded samples, not their amplitudes; a frame of zeros takes the place of a learned first state; no weight
normalisation; each training window starts from that frame of zeros, where the paper carries the state over. Added: the
condition, at every step of the LSTM beside the frame.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from gmn.audio.mulaw import LEVELS
from gmn.config import Config
from gmn.models.embedding import code_embedding

State = tuple[Tensor, Tensor]
"""Hidden and cell state of each layer, [layers, B, H] each."""


class LSTMConfig(Config):
    """The network's shape."""

    frame_size: int = Field(8, ge=1)
    """Samples in a step of the LSTM; 1 is the plain sample-level LSTM."""
    layers: int = Field(1, ge=1)
    """LSTM layers, one on another."""
    hidden_size: int = Field(192, ge=1)
    """Width of the LSTM."""
    embedding_size: int = Field(16, ge=1)
    """Width of an embedded sample."""
    head_size: int = Field(192, ge=1)
    """Width of the sample tier."""

    @property
    def context_samples(self) -> int:
        """Given samples from which on a prediction is at its best.

        The state reaches back without end, so that this is a measured bound: after a short training, a past longer than
        256 samples was worth less than 0.001 bits a sample.
        """
        return 1024

    @property
    def state_size(self) -> int:
        """Number of values that one stream keeps from step to step: hidden and cell states, and the newest samples."""
        return 2 * self.layers * self.hidden_size + self.frame_size * self.embedding_size


class LSTM(nn.Module):
    """The whole network; `forward` gives the logits of every next sample at once."""

    kind: Literal["lstm"] = "lstm"

    def __init__(self, config: LSTMConfig, condition_size: int) -> None:
        super().__init__()
        self.config = config
        self.condition_size = condition_size
        frame = config.frame_size * config.embedding_size
        self.embedding = code_embedding(config.embedding_size)
        self.lstm = nn.LSTM(frame + condition_size, config.hidden_size, config.layers, batch_first=True)
        self.upsample = nn.Linear(config.hidden_size, config.frame_size * config.head_size)
        self.recent = nn.Linear(frame, config.head_size, bias=False) if config.frame_size > 1 else None
        self.head = nn.Linear(config.head_size, LEVELS)

    def embed(self, codes: Tensor) -> Tensor:
        """Map codes [B, T] to embedded samples [B, F + T, E], a frame of zeros first."""
        return F.pad(self.embedding(codes), (0, 0, self.config.frame_size, 0))

    def frame_tier(self, embedded: Tensor, condition: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map embedded samples [B, N * F, E], conditions [B, C] and a state to hidden states [B, N, H] and the last."""
        frames = embedded.unflatten(1, (-1, self.config.frame_size)).flatten(2)
        given = torch.cat([frames, condition[:, None].expand(-1, frames.shape[1], -1)], dim=-1)
        return self.lstm(given, state)

    def vectors(self, hidden: Tensor) -> Tensor:
        """Map hidden states [B, N, H] to the vectors [B, N * F, D] of the frames that follow them."""
        return self.upsample(hidden).unflatten(-1, (self.config.frame_size, -1)).flatten(1, 2)

    def sample_tier(self, vectors: Tensor, newest: Tensor) -> Tensor:
        """Map vectors [..., D] and the newest embedded samples [..., F * E], oldest first, to logits [..., 256]."""
        x = vectors if self.recent is None else vectors + self.recent(newest)
        return self.head(F.relu(x))

    def forward(self, codes: Tensor, condition: Tensor) -> Tensor:
        """Map codes [B, T], integers 0..255, and conditions [B, C] to the logits [B, T, 256] of the codes at t + 1."""
        T, size = codes.shape[1], self.config.frame_size
        embedded = self.embed(codes)
        hidden, _ = self.frame_tier(embedded[:, : size + T - T % size], condition)
        newest = embedded[:, 1:].unfold(1, size, 1).transpose(2, 3).flatten(2)
        return self.sample_tier(self.vectors(hidden)[:, 1 : T + 1], newest)

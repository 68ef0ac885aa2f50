"""The LSTM step, readable and folded.

Shapes: B slots, T samples, F samples in a frame, E embedding, H hidden size, D width of the head, C length of a
condition vector.

The code of time t lies at place t mod F of its frame. Once the last place is taken the LSTM takes a step, and its
hidden state serves the F samples that follow:

    place of the sample to come    0 1 2 3 | 0 1 2 3 | 0 1
    hidden state                   h0        h1        h2      h0 comes from the frame of zeros before the start
"""

import torch
from torch import Tensor

from gmn.generation.packed import PackedLinear
from gmn.models.lstm import LSTM, State

PRIMED_AT_ONCE = 65_536
"""Samples, over all slots, that priming computes between two states: it bounds the memory."""


class ReferenceLSTM:
    """An LSTM with the state of B streams, in the model's own precision: the definition of right."""

    _state: State
    _vectors: Tensor
    _newest: Tensor
    _place: int

    def __init__(self, model: LSTM, conditions: Tensor) -> None:
        self._model = model
        self._conditions = conditions
        self._start(torch.empty(len(conditions), 0, dtype=torch.int64, device=conditions.device))

    def prime(self, codes: Tensor) -> Tensor:
        """Take past codes [B, T] into the fresh state; returns the logits [B, 256] that follow them."""
        self._start(codes)
        return self._logits()

    def step(self, codes: Tensor) -> Tensor:
        """Map the newest codes [B] to the logits [B, 256] of the next ones."""
        self._newest = torch.cat([self._newest[:, 1:], self._model.embedding(codes)[:, None]], dim=1)
        self._place = (self._place + 1) % self._model.config.frame_size
        if self._place == 0:
            hidden, self._state = self._model.frame_tier(self._newest, self._conditions, self._state)
            self._vectors = self._model.vectors(hidden)
        return self._logits()

    def _start(self, codes: Tensor) -> None:
        size = self._model.config.frame_size
        self._state = look_back(self._model, codes, self._conditions)
        self._vectors = self._model.vectors(self._state[0][-1][:, None])
        self._newest = self._model.embed(codes[:, -size:])[:, -size:]
        self._place = codes.shape[1] % size

    def _logits(self) -> Tensor:
        return self._model.sample_tier(self._vectors[:, self._place], self._newest.flatten(1))


class Cell:
    """One LSTM layer of B streams, folded: what it sees lies in `x`, [B, I], beside its hidden state `h`, [B, H]."""

    def __init__(self, input_weight: Tensor, hidden_weight: Tensor, rows: int) -> None:
        sizes = [input_weight.shape[1], hidden_weight.shape[1]]
        self._product = PackedLinear(torch.cat([input_weight, hidden_weight], dim=1), None, rows)
        self._x_h = input_weight.new_zeros(rows, sum(sizes))
        self.x, self.h = self._x_h.split(sizes, dim=1)
        self.c = input_weight.new_zeros(rows, sizes[1])
        self.gates = input_weight.new_empty(rows, 4 * sizes[1])
        self._i_f_o, self._g = self.gates.split([3 * sizes[1], sizes[1]], dim=1)
        self._i, self._f, self._o = self._i_f_o.chunk(3, dim=1)
        self._squashed = torch.empty_like(self.c)

    def step(self) -> None:
        """Move the state by one step; `gates` [B, 4 H] holds what the gates have beside the product, and is used up."""
        self._product.add_to(self.gates, self._x_h)
        self._i_f_o.sigmoid_()
        self._g.tanh_()
        self.c.mul_(self._f).addcmul_(self._i, self._g)
        torch.mul(self._o, torch.tanh(self.c, out=self._squashed), out=self.h)


class FoldedLSTM:
    """An LSTM with the state of B streams, with everything folded that can be folded exactly, in real arithmetic.

    1. Each layer is one product over [x, h]; one sigmoid serves three gates, which lie side by side. The condition is a
       part of the first layer's x that is written once.
    2. With F = 1 the embedding, its product and the biases are one table, [256, 4 H].
    3. The sample tier's first product is one over [newest samples, h], with a weight for each place in the frame. So
       the newest samples need not move: they lie in a ring, and it is the weight that is turned.
    """

    _place: int

    def __init__(self, model: LSTM, conditions: Tensor) -> None:
        self._model = model
        self._conditions = conditions
        config, rows = model.config, len(conditions)
        frame = config.frame_size * config.embedding_size
        layers = [[_side_by_side(weights) for weights in layer] for layer in model.lstm.all_weights]
        self._biases = [b_x + b_h for _, _, b_x, b_h in layers]
        self._embedding = model.embedding.weight
        self._table = None
        if model.recent is None:
            into_frame, layers[0][0] = layers[0][0].split([frame, model.condition_size], dim=1)
            self._table = torch.addmm(self._biases[0], self._embedding, into_frame.T)
        self._cells = [Cell(w_x, w_h, rows) for w_x, w_h, *_ in layers]
        self._cells[0].x[:, -model.condition_size :] = conditions

        weights = list(model.upsample.weight.split(config.head_size))
        if model.recent is None:
            self._ring_h = self._cells[-1].h
        else:
            self._ring_h = conditions.new_zeros(rows, frame + config.hidden_size)
            by_age = model.recent.weight.unflatten(1, (config.frame_size, -1))
            for place, weight in enumerate(weights):
                weights[place] = torch.cat([by_age.roll(place, dims=1).flatten(1), weight], dim=1)
        biases = model.upsample.bias.split(config.head_size)
        self._first = [PackedLinear(*of_place, rows, relu=True) for of_place in zip(weights, biases, strict=True)]
        self._ring, self._h = self._ring_h.tensor_split([-config.hidden_size], dim=1)
        self._last = PackedLinear(model.head.weight, model.head.bias, rows)
        self._start(torch.empty(rows, 0, dtype=torch.int64, device=conditions.device))

    def prime(self, codes: Tensor) -> Tensor:
        """Take past codes [B, T] into the fresh state; returns the logits [B, 256] that follow them."""
        self._start(codes)
        return self._logits()

    def step(self, codes: Tensor) -> Tensor:
        """Map the newest codes [B] to the logits [B, 256] of the next ones."""
        if self._table is None:
            E = self._model.config.embedding_size
            self._ring[:, self._place * E : (self._place + 1) * E] = self._embedding.index_select(0, codes)
        self._place = (self._place + 1) % self._model.config.frame_size
        if self._place == 0:
            self._frame(codes)
        return self._logits()

    def _frame(self, codes: Tensor) -> None:
        """Take a step of the LSTM: over the newest codes by the table, or over the ring, a whole frame in order."""
        below = self._ring
        for cell, bias in zip(self._cells, self._biases, strict=True):
            if cell is self._cells[0] and self._table is not None:
                torch.index_select(self._table, 0, codes, out=cell.gates)
            else:
                cell.gates.copy_(bias)
                cell.x[:, : below.shape[1]] = below
            cell.step()
            below = cell.h
        if self._table is None:
            self._h.copy_(below)

    def _start(self, codes: Tensor) -> None:
        size = self._model.config.frame_size
        hidden, cell_states = look_back(self._model, codes, self._conditions)
        for cell, h, c in zip(self._cells, hidden, cell_states, strict=True):
            cell.h.copy_(h)
            cell.c.copy_(c)
        self._h.copy_(hidden[-1])
        if self._table is None:
            newest = self._model.embed(codes[:, -size:])[:, -size:]
            self._ring.copy_(newest.roll(codes.shape[1], dims=1).flatten(1))
        self._place = codes.shape[1] % size

    def _logits(self) -> Tensor:
        return self._last(self._first[self._place](self._ring_h))


def look_back(model: LSTM, codes: Tensor, conditions: Tensor) -> State:
    """Run past codes [B, T] through the LSTM in one parallel pass, a frame of zeros first; returns its last state.

    The samples of a frame that is not whole yet play no part.
    """
    size = model.config.frame_size
    _, state = model.frame_tier(model.embed(codes[:, :0]), conditions)
    whole, at_once = codes.shape[1] // size * size, max(1, PRIMED_AT_ONCE // len(codes) // size) * size
    for start in range(0, whole, at_once):
        embedded = model.embedding(codes[:, start : min(start + at_once, whole)])
        _, state = model.frame_tier(embedded, conditions, state)
    return state


def _side_by_side(weights: Tensor) -> Tensor:
    """Put the gates' rows [4 H, ...], in PyTorch's order i, f, g, o, into the order i, f, o, g."""
    i, f, g, o = weights.chunk(4)
    return torch.cat([i, f, o, g])

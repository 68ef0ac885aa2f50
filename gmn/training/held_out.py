"""Judging a generator on held-out tracks: bits per sample, the ladder below it, and what its conditions are worth.

A window is cut from a held-out segment: samples that are given, as context, then SCORED that are judged. All figures
are means over tracks of each track's own mean, so that a long track counts no more than a short one.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from gmn.audio.mulaw import encode_pcm16
from gmn.datasets.dataset import SegmentReader, Track
from gmn.metrics.agreement import mean_interval
from gmn.metrics.bits import NGramLadder, verdict
from gmn.metrics.linear_prediction import PAST, linear_prediction_bits
from gmn.models.conditioning import Conditions, Labels

Codes = npt.NDArray[np.uint8]

SCORED = 4096
"""Samples of a window that are judged, at most."""

LADDER_SAMPLES = 20_000_000
"""Training samples that the n-gram models are counted on, at most; spread evenly over the segments."""


@dataclass(frozen=True)
class Window:
    """A piece of a held-out track."""

    track: Track
    codes: Codes
    """Mu-law codes [T]."""
    given: int
    """How many first codes are context only."""


def held_out_windows(reader: SegmentReader, count: int, context_samples: int) -> list[Window]:
    """Cut about `count` windows, evenly over a split.

    The context is the model's, or what linear prediction adapts to where that is longer; of a segment too short
    for it, half.
    """
    context = max(context_samples, PAST)
    windows = []
    chosen = sorted({int(i) for i in np.linspace(0, len(reader) - 1, count)})
    for index in chosen:
        codes = encode_pcm16(reader.pcm(index))
        if len(codes) < 2:
            continue
        context_here = min(context, len(codes) // 2)
        pieces = max(1, min(count // len(chosen), (len(codes) - context_here) // SCORED))
        # Of equal distances: a single window lies in the middle.
        room = max(0, len(codes) - context_here - SCORED)
        for start in np.linspace(0, room, pieces + 2)[1:-1].astype(int):
            windows.append(
                Window(reader.segments[index].track, codes[start : start + context_here + SCORED], context_here)
            )
    return windows


def mean_bits(model: nn.Module, windows: Sequence[Window], conditions: Conditions) -> float:
    """Return a generator's bits per sample on windows under their own conditions."""
    return float(_bits(model, windows, conditions, [{}]).mean())


def judge(
    model: nn.Module, windows: Sequence[Window], train: SegmentReader, conditions: Conditions, seed: int
) -> dict[str, Any]:
    """Return a generator's figures on test windows.

    `bits`, by `tracks`; the `ladder` of the same samples, its n-grams counted on the training tracks; the `verdict` and
    its `sentence`; and `conditions`: for genre and emotion, where test tracks have them, how many bits per sample the
    model gains by being told the track's own instead of another track's (another genre; the emotion of another track,
    of the same genre where there is one), as a mean over tracks with its 95 % interval.
    """
    labels = {window.track.track_id: (window.track.genre, window.track.emotion) for window in windows}
    swaps = {
        head: swapped for head in ("genre", "emotion") if (swapped := _swap(labels, head, np.random.default_rng(seed)))
    }
    bits = _bits(model, windows, conditions, [{}, *swaps.values()])
    gains = {}
    for column, (head, swapped) in enumerate(swaps.items(), 1):
        # A track without a label was told nothing else.
        rows = [row for row, track_id in enumerate(labels) if track_id in swapped]
        gain = bits[rows, column] - bits[rows, 0]
        gains[head] = {"gain": float(gain.mean()), "interval": list(mean_interval(gain)), "tracks": len(rows)}
    ladder = _ladder(windows, train)
    judged = verdict(float(bits[:, 0].mean()), ladder)
    return {
        "bits": float(bits[:, 0].mean()),
        "tracks": len(labels),
        "ladder": ladder,
        "verdict": judged.word,
        "sentence": judged.sentence,
        "conditions": gains,
    }


@torch.no_grad()
def _bits(
    model: nn.Module, windows: Sequence[Window], conditions: Conditions, swaps: Sequence[Mapping[str, Labels]]
) -> npt.NDArray[np.float64]:
    """Return the bits per sample of each track under each set of labels, [tracks, sets], tracks as first met.

    A set maps track ids to the labels that the model is told instead of the track's own.
    """
    device = next(model.parameters()).device
    of_track: dict[str, list[npt.NDArray[np.float64]]] = defaultdict(list)
    for window in windows:
        track = window.track
        told = [swap.get(track.track_id, (track.genre, track.emotion)) for swap in swaps]
        condition = torch.from_numpy(np.stack([conditions.vector(*labels) for labels in told])).to(device)
        codes = torch.from_numpy(window.codes).to(device, torch.long).expand(len(told), -1)
        logits = model(codes[:, :-1], condition)[:, window.given - 1 :].float()
        nats = F.cross_entropy(logits.transpose(1, 2), codes[:, window.given :], reduction="none")
        of_track[track.track_id].append(nats.double().mean(1).cpu().numpy() / math.log(2))
    return np.stack([np.mean(values, axis=0) for values in of_track.values()])


def _swap(labels: Mapping[str, Labels], head: str, rng: np.random.Generator) -> dict[str, Labels]:
    """Give each track that has it another track's genre or emotion; {} where there is no other."""
    swapped: dict[str, Labels] = {}
    for track_id, (genre, emotion) in labels.items():
        if head == "genre":
            others = [other for other, _ in labels.values() if other not in (None, genre)]
            if genre is not None and others:
                swapped[track_id] = (others[rng.integers(len(others))], emotion)
        elif emotion is not None:
            rest = [(g, e) for other, (g, e) in labels.items() if other != track_id and e is not None]
            rates = [e for g, e in rest if g == genre] or [e for _, e in rest]
            if rates:
                swapped[track_id] = (genre, rates[rng.integers(len(rates))])
    return swapped


def _ladder(windows: Sequence[Window], train: SegmentReader) -> dict[str, float]:
    n_grams = NGramLadder.fit(_training_codes(train))
    of_track: dict[str, list[Window]] = defaultdict(list)
    for window in windows:
        of_track[window.track.track_id].append(window)
    rungs = [
        n_grams.bits([window.codes[window.given :] for window in track])
        | {"linear prediction": linear_prediction_bits([(window.codes, window.given) for window in track])}
        for track in of_track.values()
    ]
    return {name: float(np.mean([track[name] for track in rungs])) for name in rungs[0]}


def _training_codes(reader: SegmentReader) -> Iterator[Codes]:
    each = max(2, LADDER_SAMPLES // len(reader))
    for index in range(len(reader)):
        yield encode_pcm16(reader.pcm(index)[:each])

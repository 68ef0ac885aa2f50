"""A ladder of models over mu-law codes: what a generator's bits per sample are worth.

A generator's loss says little by itself; the ladder gives it rungs, all measured on the same held-out codes:

    uniform (8 bits) > unigram (how loud it is) > bigram (that it moves slowly) > trigram (that it swings)
        > linear prediction (the resonances of the moment; gmn/metrics/linear_prediction.py)

A generator above the best n-gram has learned less than a table of triples, and its clips will be noise. Below linear
prediction it knows more than any signal tells of itself by its last moments.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gmn.errors import InputError

LEVELS = 256
RUNGS = ("uniform", "unigram", "bigram", "trigram")
LINEAR_PREDICTION = "linear prediction"

_COUNTED = 1 << 22
"""Codes counted together: counting costs a pass over the table of triples."""

_SCORED = 1 << 18
"""Codes scored together, which bounds the memory."""

Codes = npt.NDArray[np.uint8]


class NGramLadder:
    """Uniform, unigram, bigram and trigram models of codes 0..255, interpolated by Witten and Bell's rule.

    With c(h w) the count of code w after history h, c(h) its sum over w, and t(h) the number of distinct codes seen
    after h, each order leans on the next lower one, whose history h' is h without its oldest code:

        p(w | h) = (c(h w) + t(h) p(w | h')) / (c(h) + t(h)),    below the unigram p(w) = 1 / 256

    An unseen history has c = t = 0 and takes p(w | h') as it is. Every p(. | h) sums to 1 and has no zero.
    Sources: Witten and Bell 1991, The zero-frequency problem, method C; interpolated as in Chen and Goodman 1998,
    section 2.4. Takes 64 MB for the counts of triples.
    """

    def __init__(self, trigram_counts: npt.NDArray[np.uint32], bigram_counts: npt.NDArray[np.int64], first: Codes):
        """Take counts `[256, 256, 256]` and `[256, 256]`, oldest code first, and the first code of each sequence."""
        self._trigram = trigram_counts
        self._trigram_total = trigram_counts.sum(axis=2, dtype=np.int64)
        self._trigram_types = np.count_nonzero(trigram_counts, axis=2)
        unigram_counts = bigram_counts.sum(axis=0) + np.bincount(first, minlength=LEVELS)
        self._unigram = _interpolate(unigram_counts, np.full(LEVELS, 1 / LEVELS))
        self._bigram = _interpolate(bigram_counts, self._unigram)

    @classmethod
    def fit(cls, sequences: Iterable[Codes]) -> "NGramLadder":
        """Count the codes of training sequences, each uint8 `[T]`; no triple spans two of them.

        Raises InputError for a sequence that is no uint8 `[T]`, or where there is no code at all.
        """
        trigrams = np.zeros(LEVELS**3, np.uint32)
        bigrams = np.zeros(LEVELS**2, np.int64)
        first: list[int] = []
        for group in _groups(sequences):
            first += [int(codes[0]) for codes in group]
            pairs = [_pairs(codes) for codes in group]
            bigrams += np.bincount(np.concatenate(pairs), minlength=LEVELS**2)
            triples = [_triples(p, codes) for p, codes in zip(pairs, group, strict=True)]
            trigrams += np.bincount(np.concatenate(triples), minlength=LEVELS**3).astype(np.uint32)
        if not first:
            raise InputError("there are no codes to fit the n-gram ladder on")
        return cls(
            trigrams.reshape(LEVELS, LEVELS, LEVELS), bigrams.reshape(LEVELS, LEVELS), np.array(first, dtype=np.uint8)
        )

    def probabilities(self, history: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return p(. | history), float64 `[256]`; a history of 0, 1 or 2 codes picks unigram, bigram or trigram."""
        if len(history) == 0:
            return self._unigram
        if len(history) == 1:
            return self._bigram[history[0]]
        older, newer = history
        types = self._trigram_types[older, newer]
        total = self._trigram_total[older, newer]
        lower = self._bigram[newer]
        return (self._trigram[older, newer] + types * lower) / (total + types) if types else lower

    def bits(self, sequences: Iterable[Codes]) -> dict[str, float]:
        """Return the bits per sample of each rung on held-out sequences, each uint8 `[T]`.

        - (1 / N) sum log2 p(code | history) over all N samples. Every rung scores the same samples: where a sequence
        has no full history yet, the longest there is.

        Raises InputError for a sequence that is no uint8 `[T]`, or where there is no code at all.

        >>> ladder = NGramLadder.fit([np.tile(np.array([1, 2], np.uint8), 1000)])
        >>> {rung: round(bits, 2) for rung, bits in ladder.bits([np.array([1, 2, 1, 2], np.uint8)]).items()}
        {'uniform': 8.0, 'unigram': 1.0, 'bigram': 0.25, 'trigram': 0.25}
        """
        totals = np.zeros(len(RUNGS))
        n_samples = 0
        for group in _groups(sequences):
            for codes in group:
                n_samples += codes.size
                for start in range(0, codes.size, _SCORED):
                    history = min(start, 2)
                    totals -= self._log2(codes[start - history : start + _SCORED])[:, history:].sum(axis=1)
        if not n_samples:
            raise InputError("there are no codes to measure the n-gram ladder on")
        return {rung: float(total) / n_samples for rung, total in zip(RUNGS, totals, strict=True)}

    def _log2(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Return log2 p of each code `[T]` by each rung, `[4, T]`; the first two know only what is before them here."""
        pairs = _pairs(codes)
        lower = self._bigram.reshape(-1)[pairs]
        counts = self._trigram.reshape(-1)[_triples(pairs, codes)]
        types = self._trigram_types.reshape(-1)[pairs[:-1]]
        weight = self._trigram_total.reshape(-1)[pairs[:-1]] + types
        p = np.empty((len(RUNGS), codes.size))
        p[0] = 1 / LEVELS
        p[1:] = self._unigram[codes]
        p[2:, 1:] = lower
        p[3, 2:] = np.where(types > 0, (counts + types * lower[1:]) / np.maximum(weight, 1), lower[1:])
        return np.log2(p)


@dataclass(frozen=True)
class Verdict:
    """What to expect of a generator's clips, and a sentence to show with it."""

    word: Literal["noise", "texture", "ready"]
    sentence: str


EXPECT = {
    "noise": "expect noise; train longer or on more audio.",
    "texture": "expect sound with texture, though not yet music.",
    "ready": "it predicts better than what adapts to the signal alone: ready to generate.",
}


def verdict(bits: float, ladder: Mapping[str, float]) -> Verdict:
    """Place a generator's held-out bits per sample on the ladder of the same codes.

    "noise": not below the best n-gram. "texture": below it, so it has learned what triples of samples do not show.
    "ready": below linear prediction as well.

    Raises InputError for bits that are not finite or a ladder without an n-gram.

    >>> verdict(4.1, {"uniform": 8.0, "trigram": 5.1, "linear prediction": 3.9}).word
    'texture'
    """
    n_grams = [rung for rung in RUNGS if rung in ladder]
    if not math.isfinite(bits) or not n_grams:
        raise InputError(f"bits per sample is {bits}, on a ladder of {len(n_grams)} n-grams: needs a number and one")
    best = min(n_grams, key=ladder.__getitem__)
    word: Literal["noise", "texture", "ready"] = "texture" if bits < ladder[best] else "noise"
    compared = [best]
    if word != "noise" and LINEAR_PREDICTION in ladder:
        compared.append(LINEAR_PREDICTION)
        word = "ready" if bits < ladder[LINEAR_PREDICTION] else "texture"
    apart = " and ".join(
        f"{abs(bits - ladder[rung]):.2f} {'below' if bits < ladder[rung] else 'above'} {rung} ({ladder[rung]:.2f})"
        for rung in compared
    )
    return Verdict(word, f"{bits:.2f} bits per sample, {apart}: {EXPECT[word]}")


def _interpolate(counts: npt.NDArray[np.int64], lower: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return p(w | h) from counts `[..., 256]` and the next lower order `[256]`."""
    types = np.count_nonzero(counts, axis=-1, keepdims=True)
    weight = counts.sum(axis=-1, keepdims=True) + types
    return np.where(types > 0, (counts + types * lower) / np.maximum(weight, 1), lower)


def _groups(sequences: Iterable[Codes]) -> Iterator[list[Codes]]:
    """Yield lists of non-empty sequences that together hold about 4 million codes or one long sequence."""
    group: list[Codes] = []
    size = 0
    for codes in sequences:
        if codes.ndim != 1 or codes.dtype != np.uint8:
            raise InputError(f"codes are uint8 [T], not {codes.dtype} {list(codes.shape)}")
        if codes.size:
            group.append(codes)
            size += codes.size
        if size >= _COUNTED:
            yield group
            group, size = [], 0
    if group:
        yield group


def _pairs(codes: Codes) -> npt.NDArray[np.int32]:
    """Return the T - 1 pairs of neighbours as older * 256 + newer."""
    return (codes[:-1].astype(np.int32) << 8) | codes[1:]


def _triples(pairs: npt.NDArray[np.int32], codes: Codes) -> npt.NDArray[np.int32]:
    """Return the T - 2 triples of neighbours as pair * 256 + newest."""
    return (pairs[:-1] << 8) | codes[2:]

"""Conditions: what a generator is asked for, as one vector.

    [ genre one-hot | genre given? | nine GEMS rates | emotion given? ]

A track without a label has zeros there and its presence bit off, as has a condition that was dropped in training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gmn.datasets.labels import GEMS
from gmn.errors import InputError

Labels = tuple[str | None, Sequence[float] | None]
"""A genre and nine GEMS rates, each None where it is not known."""


@dataclass(frozen=True)
class Conditions:
    """The vocabulary of conditions of one trained generator; all tables come from its training tracks."""

    genres: tuple[str, ...]
    emotions: Mapping[str, tuple[float, ...]]
    """Emotion -> the mean rates of the training tracks in that emotion's top decile. A one-hot vector would lie
    outside everything that the model saw. Empty where no track has an emotion."""
    rate_mean: tuple[float, ...]
    rate_std: tuple[float, ...]

    @classmethod
    def fit(cls, genres: Sequence[str], labels: Sequence[Labels]) -> "Conditions":
        """Build the tables from the labels of the training tracks."""
        rates = np.array([rates for _, rates in labels if rates is not None], np.float64)
        if not len(rates):
            return cls(tuple(genres), {}, (), ())
        top = max(1, len(rates) // 10)
        emotions = {
            name: tuple(rates[np.argsort(-rates[:, i], kind="stable")[:top]].mean(0).round(6).tolist())
            for i, name in enumerate(GEMS)
        }
        mean, std = rates.mean(0), np.maximum(rates.std(0), 1e-3)
        return cls(tuple(genres), emotions, tuple(mean.round(6).tolist()), tuple(std.round(6).tolist()))

    @property
    def size(self) -> int:
        """Length of a condition vector."""
        return len(self.genres) + 1 + len(GEMS) + 1

    def vector(self, genre: str | None, emotion: str | Sequence[float] | None) -> npt.NDArray[np.float32]:
        """Encode a condition as float32 [size]; an emotion is a name, or nine rates in [0, 1] as numbers or as text.

        Raises InputError for a genre or emotion that the model does not know, or rates out of range.
        """
        vector = np.zeros(self.size, np.float32)
        if genre is not None:
            if genre not in self.genres:
                known = ", ".join(self.genres) or "none (it was trained without genres)"
                raise InputError(f"genre {genre!r} is unknown to this model, which knows: {known}")
            vector[self.genres.index(genre)] = vector[len(self.genres)] = 1
        if emotion is not None:
            vector[-len(GEMS) - 1 : -1] = self.rates(emotion)
            vector[-1] = 1
        return vector

    def rates(self, emotion: str | Sequence[float]) -> npt.NDArray[np.float32]:
        """Return the nine rates that an emotion's name stands for, or check given ones; as text, 0.1:0.5:... .

        Raises InputError for an unknown name and for anything but nine numbers in [0, 1].
        """
        if isinstance(emotion, str) and ":" in emotion:
            try:
                emotion = [float(rate) for rate in emotion.split(":")]
            except ValueError:
                raise InputError(f"emotion {emotion!r}: holds something else than numbers between its colons") from None
        if isinstance(emotion, str):
            if emotion not in self.emotions:
                known = ", ".join(self.emotions) or "none (it was trained without emotions)"
                raise InputError(f"emotion {emotion!r} is unknown to this model, which knows: {known}")
            emotion = self.emotions[emotion]
        rates = np.asarray(emotion, np.float32)
        if rates.shape != (len(GEMS),) or not ((rates >= 0) & (rates <= 1)).all():
            raise InputError(
                f"emotion {list(emotion)}: needs {len(GEMS)} rates from 0 to 1, in the order {', '.join(GEMS)}"
            )
        return rates

    def standing(self, head: str, probabilities: Sequence[float] | npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Tell how far each label of a head stands out: a genre by itself, a rate standardised over training tracks."""
        given = np.asarray(probabilities, np.float64)
        return (given - self.rate_mean) / self.rate_std if head == "emotion" else given

    def to_json(self) -> dict[str, Any]:
        """Write the tables for a bundle."""
        return asdict(self)

    @classmethod
    def from_json(cls, tables: Mapping[str, Any]) -> "Conditions":
        """Read the tables of a bundle."""
        return cls(
            genres=tuple(tables["genres"]),
            emotions={name: tuple(rates) for name, rates in tables["emotions"].items()},
            rate_mean=tuple(tables["rate_mean"]),
            rate_std=tuple(tables["rate_std"]),
        )

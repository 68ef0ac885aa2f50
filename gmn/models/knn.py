"""k nearest neighbours on hand-made features (Cover and Hart 1967), for genre and for the nine GEMS rates.

Shapes: T samples, W windows, N stored examples, K labels of all heads.

    waveform [T] -> windows -> hand-made features [W, 57] -> standardised over the stored examples [N, 57]
    -> the nearest ones that have the head's label -> the mean of their labels, over windows by length

The logarithm of a variance is standardised, not the variance: those span orders of magnitude, and a few loud or busy
examples would set the scale for all.
"""

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from gmn.audio.handmade import HANDMADE, handmade_features
from gmn.config import Config
from gmn.errors import InputError
from gmn.models.classifier import Heads

_VARIANCES = [name.endswith("_var") for name in HANDMADE]
_LEAST_VARIANCE = 1e-8
"""Added to a variance before the logarithm: silence has none."""


class KNNConfig(Config):
    """How neighbours are found and what each has to say."""

    neighbours: int = Field(11, ge=1)
    """Stored examples that are asked: the k of k-NN."""
    metric: Literal["euclidean", "manhattan", "cosine"] = "cosine"
    """What nearness is, between standardised features."""
    weights: Literal["uniform", "distance"] = "distance"
    """uniform: neighbours count alike; distance: by the inverse of their distance."""
    window_seconds: float = Field(6.0, gt=0)
    """The stretch that one example's features describe; longer audio is cut into such windows and their probabilities
    averaged."""


class FittedKNNConfig(KNNConfig):
    """The same with the size of what is stored, so that a model can be made before its buffers are read."""

    examples: int = Field(ge=1)
    """Stored examples, N."""


class KNN(nn.Module):
    """The whole classifier: its examples are buffers, and there is nothing else to it."""

    kind: Literal["knn"] = "knn"
    mean: Tensor
    std: Tensor
    features: Tensor
    targets: Tensor

    def __init__(self, config: FittedKNNConfig, sample_rate: int, heads: Heads) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = sample_rate
        self.heads = {head: tuple(labels) for head, labels in heads.items()}
        self.window_samples = max(1, round(config.window_seconds * sample_rate))
        n_features, n_labels = len(HANDMADE), sum(map(len, self.heads.values()))
        self.register_buffer("mean", torch.zeros(n_features, dtype=torch.float64))
        self.register_buffer("std", torch.ones(n_features, dtype=torch.float64))
        self.register_buffer("features", torch.zeros(config.examples, n_features))
        self.register_buffer("targets", torch.zeros(config.examples, n_labels))

    @classmethod
    def fit(
        cls,
        config: KNNConfig,
        sample_rate: int,
        heads: Heads,
        features: npt.NDArray[np.floating],
        targets: npt.NDArray[np.floating],
    ) -> Self:
        """Store examples: hand-made features [N, 57], and targets [N, K], a head's labels beside the other's.

        Targets are probabilities in [0, 1]; those of a head that an example has no label for are NaN.

        Raises InputError where a head has fewer labelled examples than neighbours to ask.
        """
        assert np.isfinite(features).all()
        model = cls(FittedKNNConfig(**dict(config), examples=len(features)), sample_rate, heads)
        scaled = _log_variances(features)
        constant = (scaled == scaled[0]).all(0)
        model.mean.copy_(torch.from_numpy(scaled.mean(0)))
        model.std.copy_(torch.from_numpy(np.where(constant, 1.0, scaled.std(0))))
        model.features.copy_(torch.from_numpy(model.standardise(features)))
        model.targets.copy_(torch.from_numpy(targets))
        for head, of_head in model._targets().items():
            known = int((~of_head.isnan().any(1)).sum())
            if known < config.neighbours:
                raise InputError(f"model.neighbours: {config.neighbours}, but {known} examples have a label for {head}")
        return model

    def standardise(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Map hand-made features [W, 57] to where the stored examples lie: mean 0 and deviation 1 over those."""
        scaled = (_log_variances(features) - self.mean.numpy()) / self.std.numpy()
        return scaled.astype(np.float32)

    def forward(self, features: npt.NDArray[np.floating]) -> dict[str, Tensor]:
        """Map hand-made features [W, 57] to each head's probabilities [W, labels]; of genres, they sum to one."""
        from sklearn.neighbors import KNeighborsRegressor  # only where something is judged

        asked, found = self.standardise(features), {}
        for head, targets in self._targets().items():
            known = ~targets.isnan().any(1)
            nearest = KNeighborsRegressor(
                self.config.neighbours, weights=self.config.weights, metric=self.config.metric, algorithm="brute"
            )
            nearest.fit(self.features[known].numpy(), targets[known].numpy())
            found[head] = torch.from_numpy(nearest.predict(asked)).float()
        return found

    def judge(self, waveform: Tensor) -> dict[str, Tensor]:
        """Map one waveform [T] of any length to each head's probabilities: the mean over its windows, by length.

        Raises InputError for a waveform that is empty or not finite.
        """
        windows = waveform.split(self.window_samples)
        judged = self(np.stack([handmade_features(window.numpy(), self.sample_rate) for window in windows]))
        weights = torch.tensor([float(len(window)) for window in windows])
        return {head: (weights / weights.sum()) @ of_head for head, of_head in judged.items()}

    def _targets(self) -> dict[str, Tensor]:
        """Return the stored targets [N, labels] of each head."""
        sizes = [len(labels) for labels in self.heads.values()]
        return dict(zip(self.heads, self.targets.split(sizes, dim=1), strict=True))


def _log_variances(features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Take the logarithm of the columns of [W, 57] that are variances."""
    scaled = features.astype(np.float64)
    scaled[:, _VARIANCES] = np.log(scaled[:, _VARIANCES] + _LEAST_VARIANCE)
    return scaled

"""k-NN: what neighbours say, and that a stored model says the same."""

from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from gmn.audio.handmade import HANDMADE, handmade_features
from gmn.errors import InputError
from gmn.models.knn import KNN, FittedKNNConfig, KNNConfig

RATE = 8_000
GENRE = {"genre": ("low", "high")}
BOTH = {"genre": ("low", "high"), "emotion": ("calm", "tense", "sad")}


def examples(n: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two groups that lie apart in every feature, of which the first is `low` and calm."""
    rng = np.random.default_rng(seed)
    high = np.arange(n) % 2
    features = 100 + 10 * rng.random((n, len(HANDMADE))) + 50 * high[:, None]
    targets = np.stack([1 - high, high, 0.9 - 0.8 * high, 0.2 + 0.5 * high, np.full(n, 0.3)], axis=1)
    return features, targets


def fit(heads: dict[str, tuple[str, ...]] = BOTH, **settings: Any) -> KNN:
    features, targets = examples()
    labels = sum(map(len, heads.values()))
    return KNN.fit(KNNConfig(neighbours=3, window_seconds=0.5, **settings), RATE, heads, features, targets[:, :labels])


def noise(n_samples: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n_samples, generator=torch.Generator().manual_seed(seed)) - 0.5


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_neighbours_say_what_they_are(metric: str, weights: str) -> None:
    features, targets = examples(seed=1)
    judged = fit(metric=metric, weights=weights)(features)
    np.testing.assert_allclose(judged["genre"], targets[:, :2], atol=1e-6)
    np.testing.assert_allclose(judged["emotion"], targets[:, 2:], atol=1e-6)


def test_near_neighbours_count_for_more() -> None:
    features, targets = np.full((3, 57), 100.0), np.array([[1.0, 0], [0, 1], [0, 1]])
    features[:, 0] = [0, 8, 9]
    asked = features[:1].copy()
    asked[0, 0] = 1
    for weights, low in (("uniform", 1 / 3), ("distance", 1 / (1 + 1 / 7 + 1 / 8))):
        config = KNNConfig(neighbours=3, weights=weights, metric="euclidean")
        judged = KNN.fit(config, RATE, GENRE, features, targets)(asked)
        np.testing.assert_allclose(judged["genre"][0], [low, 1 - low], rtol=1e-5)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_an_example_at_no_distance_is_believed_alone(metric: str) -> None:
    features, targets = examples()
    targets[0, :2] = 0, 1  # against its group
    config = KNNConfig(neighbours=3, weights="distance", metric=metric)
    judged = KNN.fit(config, RATE, BOTH, features, targets)(features[:1])
    np.testing.assert_allclose(judged["genre"][0], [0, 1], atol=1e-3)


def test_an_example_without_a_label_says_nothing_of_that_head() -> None:
    features, targets = examples()
    targets[0::4, :2] = np.nan
    targets[1::4, 2:] = np.nan
    model = KNN.fit(KNNConfig(neighbours=3), RATE, BOTH, features, targets)
    asked, expected = examples(seed=1)
    np.testing.assert_allclose(model(asked)["genre"], expected[:, :2], atol=1e-6)
    np.testing.assert_allclose(model(asked)["emotion"], expected[:, 2:], atol=1e-6)


def test_more_neighbours_than_labels_are_refused() -> None:
    features, targets = examples()
    targets[2:, 2:] = np.nan
    with pytest.raises(InputError, match=r"model\.neighbours: 3, but 2 examples have a label for emotion"):
        KNN.fit(KNNConfig(neighbours=3), RATE, BOTH, features, targets)


def test_features_are_standardised_and_a_constant_one_is_left() -> None:
    features, targets = examples()
    features[:, HANDMADE.index("tempo")] = 117.45383522727273
    features[:, HANDMADE.index("rms_var")] = 0
    model = KNN.fit(KNNConfig(neighbours=3), RATE, BOTH, features, targets)
    varies = np.array([name not in ("tempo", "rms_var") for name in HANDMADE])
    np.testing.assert_allclose(model.features.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(model.features.std(0, correction=0), varies, atol=1e-6)
    assert model(features)["genre"].isfinite().all()


def test_variances_are_compared_by_their_ratio() -> None:
    features, targets = np.full((4, 57), 1.0), np.array([[1.0, 0], [0, 1], [0, 1], [0, 1]])
    column = HANDMADE.index("perceptr_var")
    features[:, column] = [1e-4, 1e-2, 1.0, 100.0]
    asked = features[:1].copy()
    asked[0, column] = 3e-3  # a third of the second, though its difference to the first is smaller
    judged = KNN.fit(KNNConfig(neighbours=1, metric="euclidean"), RATE, GENRE, features, targets)(asked)
    assert judged["genre"].tolist() == [[0, 1]]


@pytest.mark.parametrize("n_samples", [1, 3_000, 4_000, 4_001, 9_000])
def test_judge_gives_probabilities(n_samples: int) -> None:
    judged = fit().judge(noise(n_samples))
    assert {head: tuple(p.shape) for head, p in judged.items()} == {"genre": (2,), "emotion": (3,)}
    assert judged["genre"].sum().item() == pytest.approx(1)
    assert all(((p >= 0) & (p <= 1)).all() for p in judged.values())


def test_judge_is_the_mean_of_its_windows_by_their_length() -> None:
    features = np.stack([handmade_features(noise(4_000, seed).numpy(), RATE) for seed in range(12)])
    model = KNN.fit(KNNConfig(neighbours=2, window_seconds=0.5), RATE, BOTH, features, examples()[1])
    waveform = torch.cat([noise(4_000, 3), noise(4_000, 6), noise(2_000, 9)])
    parts = [model.judge(waveform[start : start + 4_000])["genre"] for start in (0, 4_000, 8_000)]
    assert not torch.equal(parts[0], parts[1])
    expected = (4 * parts[0] + 4 * parts[1] + 2 * parts[2]) / 10
    torch.testing.assert_close(model.judge(waveform)["genre"], expected)


def test_no_audio_is_refused() -> None:
    with pytest.raises(InputError, match="need a waveform"):
        fit().judge(noise(0))


def test_a_stored_model_says_the_same() -> None:
    model, waveform = fit(), noise(9_000)
    stored = safetensors.torch.load(safetensors.torch.save(model.state_dict()))
    config = FittedKNNConfig(**model.config.model_dump(mode="json"))
    again = KNN(config, RATE, BOTH)
    again.load_state_dict(stored)
    first, second = model.judge(waveform), again.judge(waveform)
    assert all(torch.equal(first[head], second[head]) for head in BOTH)

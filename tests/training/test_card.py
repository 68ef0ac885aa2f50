"""The model card says what the facts say."""

from typing import Any

import pytest

from gmn.datasets.labels import GEMS
from gmn.models.bundle import Bundle
from gmn.models.conditioning import Conditions
from gmn.models.resnet import ResNet, ResNetConfig
from gmn.models.wavenet import WaveNet, WaveNetConfig
from gmn.training.card import model_card

CONDITIONS = Conditions.fit(("pop", "rock"), [])
FACTS: dict[str, Any] = {
    "parameters": 12345,
    "dataset": {
        "uri": "runs/d",
        "digest": "abcdef0123456789",
        "counts": {"tracks": 9, "hours": 0.5, "splits": {"train": 7}},
    },
    "training": {"fit": {"steps": 50, "batch_size": 4}, "seed": 3},
    "train_seconds": 61.2,
}
GENRE = {"accuracy": 0.75, "interval": [0.3, 0.95], "macro_f1": 0.7, "majority": 0.25, "confusion": [], "tracks": 4}
EMOTION = {"mean_r": 0.4, "r": {"power": 0.5, "sadness": 0.3}, "tracks": 4}
BITS = {
    "bits": 4.25,
    "tracks": 4,
    "ladder": {"uniform": 8.0, "trigram": 5.0},
    "verdict": "texture",
    "sentence": "Noise.",
    "conditions": {"genre": {"gain": 0.0104, "interval": [0.0071, 0.0137], "tracks": 4}},
}


def bundle(head: str | None, test: dict[str, Any]) -> Bundle:
    facts = FACTS | {"test": test}
    if head is None:
        model = WaveNet(WaveNetConfig(stacks=1, layers=1, residual_channels=2, skip_channels=2), CONDITIONS.size)
        return Bundle(model, 8000, CONDITIONS, facts=facts)
    facts["test"] = {head: test}
    labels = CONDITIONS.genres if head == "genre" else GEMS
    network = ResNet(ResNetConfig(widths=(2,), n_mels=16), 8000, {head: labels})
    return Bundle(network, 8000, CONDITIONS, facts)


@pytest.mark.parametrize(
    ("head", "test", "says"),
    [
        (
            None,
            BITS,
            [
                "# wavenet: a generator of raw audio",
                "4.250 bits per sample on 4 tracks",
                "trigram 5.00",
                "Noise.",
                "0.010 bits per sample (95 %: 0.007",
            ],
        ),
        (
            "genre",
            GENRE,
            ["# resnet: a classifier of genre", "Genre: accuracy 0.750 (95 %: 0.30 to 0.95) on 4 tracks", "0.250"],
        ),
        ("emotion", EMOTION, ["a classifier of emotion", "0.400 on 4 tracks: power 0.50, sadness 0.30."]),
    ],
)
def test_card(head: str | None, test: dict[str, Any], says: list[str]) -> None:
    card = model_card(bundle(head, test))
    for text in (
        *says,
        "12,345 parameters, audio at 8000 Hz",
        "9 tracks, 0.5 hours, of which 7",
        "50 steps of 4",
        "seed 3",
    ):
        assert text in card

"""The checkpoint bundle: a trained model as a folder that loads by itself.

    model.json           root: kind, architecture, sample rate, heads, conditions, dataset, metrics, digest, versions
    model.safetensors    the weights
    README.md            the model card, for people
    training_state/      what a resumed training needs; a finished bundle works without it

No pickle is read: weights are safetensors, the rest is JSON. The digest covers the weights and everything that the
model computes with, so that it names the model everywhere, and a damaged file is found out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from gmn import __version__
from gmn.errors import InputError
from gmn.models.classifier import HEADS, Heads
from gmn.models.cnn import CNN, CNNConfig
from gmn.models.conditioning import Conditions
from gmn.models.knn import KNN, FittedKNNConfig
from gmn.models.lstm import LSTM, LSTMConfig
from gmn.models.resnet import ResNet, ResNetConfig
from gmn.models.wavenet import WaveNet, WaveNetConfig
from gmn.storage import Folder, Format, digest, digest_json

BUNDLE = Format("gmn.bundle", "model.json", 1, 2)

WEIGHTS = "model.safetensors"
IDENTITY = ("kind", "architecture", "sample_rate", "heads", "conditions")
"""The keys of model.json that decide what the model computes; the digest covers them and the weights."""
IDENTITY_1_1 = ("kind", "architecture", "sample_rate", "head", "labels", "conditions")
"""The same before version 1.2, when a classifier had one head."""

Generator = WaveNet | LSTM
Classifier = ResNet | CNN | KNN
GENERATORS: dict[str, tuple[Any, Any]] = {"wavenet": (WaveNet, WaveNetConfig), "lstm": (LSTM, LSTMConfig)}
CLASSIFIERS: dict[str, tuple[Any, Any]] = {
    "resnet": (ResNet, ResNetConfig),
    "cnn": (CNN, CNNConfig),
    "knn": (KNN, FittedKNNConfig),
}


@dataclass(frozen=True)
class Bundle:
    """A trained model with all that its users need to know."""

    model: Generator | Classifier
    sample_rate: int
    conditions: Conditions
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Where it came from and how good it is: dataset, split, training, metrics, curves."""

    @property
    def heads(self) -> Heads:
        """What a classifier tells: head -> labels; empty for a generator."""
        return {} if isinstance(self.model, Generator) else self.model.heads

    @property
    def identity(self) -> dict[str, Any]:
        """What the model computes, but for its weights, as JSON values."""
        return {
            "kind": self.model.kind,
            "architecture": self.model.config.model_dump(mode="json"),
            "sample_rate": self.sample_rate,
            "heads": {head: list(labels) for head, labels in self.heads.items()},
            "conditions": self.conditions.to_json(),
        }


@dataclass(frozen=True)
class LoadedBundle(Bundle):
    """A bundle read from a folder."""

    uri: str = ""
    digest: str = ""


def save_bundle(folder: Folder, bundle: Bundle, card: str) -> str:
    """Write a bundle's files, the root last; returns its digest."""
    # Whatever their order in memory, the file has the plain one.
    weights = safetensors.torch.save({name: value.contiguous() for name, value in bundle.model.state_dict().items()})
    name = _digest(weights, bundle.identity)
    folder.write_bytes(WEIGHTS, weights)
    folder.write_bytes("README.md", card.encode())
    BUNDLE.write(folder, {"digest": name, **bundle.identity, **bundle.facts, "gmn_version": __version__})
    return name


def load_bundle(uri: str, kind: str | None = None) -> LoadedBundle:
    """Load a bundle, its model in evaluation mode; `kind` is generator or classifier where only one will do.

    Raises InputError where the folder is no bundle, is damaged, is from a newer gmn or of the wrong kind.
    """
    folder = Folder(uri)
    root = BUNDLE.read(folder)
    keys = IDENTITY if "heads" in root else IDENTITY_1_1
    missing = [key for key in (*keys, "digest") if key not in root]
    if missing:
        raise InputError(f"{uri}/{BUNDLE.root}: lacks {', '.join(missing)}")
    found = "generator" if root["kind"] in GENERATORS else "classifier"
    if kind is not None and kind != found:
        raise InputError(f"{uri}: holds a {found} ({root['kind']}), but a {kind} is needed here")
    if not folder.exists(WEIGHTS):
        raise InputError(f"{uri}: {WEIGHTS} is missing")
    content = folder.read_bytes(WEIGHTS)
    if _digest(content, {key: root[key] for key in keys}) != root["digest"]:
        raise InputError(f"{uri}: damaged: its files do not match its digest {root['digest'][:12]}")
    weights = safetensors.torch.load(content)
    if keys is IDENTITY_1_1:
        root, weights = _from_1_1(root, weights)
    conditions = Conditions.from_json(root["conditions"])
    model = _build(root, conditions)
    model.load_state_dict(weights)
    return LoadedBundle(
        model=model.eval(),
        sample_rate=root["sample_rate"],
        conditions=conditions,
        facts={key: value for key, value in root.items() if key not in (*IDENTITY, "digest", "format", "version")},
        uri=uri,
        digest=root["digest"],
    )


def _from_1_1(root: dict[str, Any], weights: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Bring a root and weights to version 1.2, in which a classifier has several heads, and members."""
    head, labels = root.pop("head"), root.pop("labels")
    if head is None:
        return root | {"heads": {}}, weights
    own = ("band_mean", "band_std")
    weights = {name if name in own else f"members.0.{name}": value for name, value in weights.items()}
    return root | {"heads": {head: labels}, "test": {head: root.get("test", {})}}, weights


def _digest(weights: bytes, identity: Mapping[str, Any]) -> str:
    return digest(digest_json(identity).encode(), weights)


def _build(root: Mapping[str, Any], conditions: Conditions) -> Generator | Classifier:
    kind, architecture = root["kind"], root["architecture"]
    if kind in GENERATORS:
        model, config = GENERATORS[kind]
        return model(config(**architecture), conditions.size)
    if kind in CLASSIFIERS:
        model, config = CLASSIFIERS[kind]
        if not set(root["heads"]) <= set(HEADS):
            raise InputError(f"a classifier of {', '.join(root['heads'])}: this gmn knows {' and '.join(HEADS)}")
        heads = {head: tuple(root["heads"][head]) for head in HEADS if head in root["heads"]}
        return model(config(**architecture), root["sample_rate"], heads)
    raise InputError(f"model kind {kind!r} is unknown to this gmn")


def count_parameters(model: nn.Module) -> int:
    """Count a model's trained numbers; of a k-NN, the numbers that it stores."""
    return sum(value.numel() for value in (model.buffers() if isinstance(model, KNN) else model.parameters()))

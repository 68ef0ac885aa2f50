"""The checkpoint bundle: a trained model as a folder that loads by itself.

    model.json           root: kind, architecture, sample rate, labels, conditions, dataset, metrics, digest, versions
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
from torch import nn

from gmn import __version__
from gmn.errors import InputError
from gmn.models.conditioning import Conditions
from gmn.models.lstm import LSTM, LSTMConfig
from gmn.models.resnet import ResNet, ResNetConfig
from gmn.models.wavenet import WaveNet, WaveNetConfig
from gmn.storage import Folder, Format, digest, digest_json

BUNDLE = Format("gmn.bundle", "model.json", 1, 1)

WEIGHTS = "model.safetensors"
IDENTITY = ("kind", "architecture", "sample_rate", "head", "labels", "conditions")
"""The keys of model.json that decide what the model computes; the digest covers them and the weights."""


@dataclass(frozen=True)
class Bundle:
    """A trained model with all that its users need to know."""

    model: WaveNet | LSTM | ResNet
    sample_rate: int
    conditions: Conditions
    head: str | None = None
    """What a classifier tells: genre or emotion; None for a generator."""
    labels: tuple[str, ...] = ()
    """A classifier's classes, in the order of its logits."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Where it came from and how good it is: dataset, split, training, metrics, curves."""

    @property
    def identity(self) -> dict[str, Any]:
        """What the model computes, but for its weights, as JSON values."""
        architecture = self.model.config.model_dump(mode="json")
        values = (
            self.model.kind,
            architecture,
            self.sample_rate,
            self.head,
            list(self.labels),
            self.conditions.to_json(),
        )
        return dict(zip(IDENTITY, values, strict=True))


@dataclass(frozen=True)
class LoadedBundle(Bundle):
    """A bundle read from a folder."""

    uri: str = ""
    digest: str = ""


def save_bundle(folder: Folder, bundle: Bundle, card: str) -> str:
    """Write a bundle's files, the root last; returns its digest."""
    weights = safetensors.torch.save(bundle.model.state_dict())
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
    missing = [key for key in (*IDENTITY, "digest") if key not in root]
    if missing:
        raise InputError(f"{uri}/{BUNDLE.root}: lacks {', '.join(missing)}")
    found = "generator" if root["head"] is None else "classifier"
    if kind is not None and kind != found:
        raise InputError(f"{uri}: holds a {found} ({root['kind']}), but a {kind} is needed here")
    if not folder.exists(WEIGHTS):
        raise InputError(f"{uri}: {WEIGHTS} is missing")
    weights = folder.read_bytes(WEIGHTS)
    identity = {key: root[key] for key in IDENTITY}
    if _digest(weights, identity) != root["digest"]:
        raise InputError(f"{uri}: damaged: its files do not match its digest {root['digest'][:12]}")
    conditions = Conditions.from_json(root["conditions"])
    model = _build(root, conditions)
    model.load_state_dict(safetensors.torch.load(weights))
    return LoadedBundle(
        model=model.eval(),
        sample_rate=root["sample_rate"],
        conditions=conditions,
        head=root["head"],
        labels=tuple(root["labels"]),
        facts={key: value for key, value in root.items() if key not in (*IDENTITY, "digest", "format", "version")},
        uri=uri,
        digest=root["digest"],
    )


def _digest(weights: bytes, identity: Mapping[str, Any]) -> str:
    return digest(digest_json(identity).encode(), weights)


def _build(root: Mapping[str, Any], conditions: Conditions) -> WaveNet | LSTM | ResNet:
    if root["kind"] == WaveNet.kind:
        return WaveNet(WaveNetConfig(**root["architecture"]), conditions.size)
    if root["kind"] == LSTM.kind:
        return LSTM(LSTMConfig(**root["architecture"]), conditions.size)
    if root["kind"] == ResNet.kind:
        config = ResNetConfig(**root["architecture"])
        return ResNet(config, root["sample_rate"], len(root["labels"]), softmax=root["head"] == "genre")
    raise InputError(f"model kind {root['kind']!r} is unknown to this gmn")


def count_parameters(model: nn.Module) -> int:
    """Count a model's trained numbers."""
    return sum(parameter.numel() for parameter in model.parameters())

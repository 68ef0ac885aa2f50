"""Labels of some inputs, in this process: the models made fast, the inputs read one by one, rows of probabilities."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from gmn.audio.rejection import DecodeError
from gmn.errors import InputError
from gmn.labelling.inputs import Row, Source, Waveforms, read_inputs
from gmn.models.bundle import Classifier, Generator, LoadedBundle, load_bundle
from gmn.models.classifier import SpectrogramClassifier
from gmn.models.judging import has_bf16, judge_all, prepare

BF16_CHANGED = 0.01
BF16_LARGEST = 0.02
"""bfloat16 is used where no more of the held-out tracks change their label, and no probability changes by more."""


@dataclass(frozen=True)
class Heard:
    """What one model's head says of one file: its labels' probabilities, from the one that stands out most."""

    model: str
    head: str
    probabilities: dict[str, float]


def load_classifiers(uris: Sequence[str]) -> list[LoadedBundle]:
    """Load the bundles.

    Raises InputError where one is no classifier's, or two tell the same head.
    """
    bundles = [load_bundle(uri, "classifier") for uri in uris]
    for head, count in Counter(head for bundle in bundles for head in bundle.heads).items():
        if count > 1:
            raise InputError(f"models: {count} of them tell the {head}; give one model a head")
    return bundles


def make_fast(bundles: Sequence[LoadedBundle], device: torch.device) -> None:
    """Prepare the bundles' models for much work on a device, in bfloat16 where their accuracy was found to hold."""
    torch.set_num_threads(1)
    for bundle in bundles:
        if isinstance(bundle.model, SpectrogramClassifier):
            prepare(bundle.model, device, has_bf16(device) and holds_in_bf16(bundle))


def holds_in_bf16(bundle: LoadedBundle) -> bool:
    """Tell whether training found that the model says the same in bfloat16; bundles before 1.2 do not know."""
    found = bundle.facts.get("bf16")
    if not found:
        return False
    return max(found["changed"].values()) <= BF16_CHANGED * found["tracks"] and found["largest"] <= BF16_LARGEST


def label(address: str, rows: Sequence[Row], bundles: Sequence[LoadedBundle]) -> list[dict[str, Any]]:
    """Say what each model hears in some inputs: rows of LABEL_ROWS, one for each input and head."""
    read: list[tuple[str, str | None]] = []

    def sounds() -> Iterator[Waveforms]:
        for row, sound in read_inputs(address, rows, {bundle.sample_rate for bundle in bundles}):
            if isinstance(sound, DecodeError):
                read.append((row["input"], sound.reason.value))
            else:
                read.append((row["input"], None))
                yield sound

    judged = iter(judge_all(_models(bundles), sounds()))
    labels = []
    for name, reason in read:
        of_models = next(judged) if reason is None else [None] * len(bundles)
        for bundle, said in zip(bundles, of_models, strict=True):
            for head, names in bundle.heads.items():
                row: dict[str, Any] = {"input": name, "model": bundle.digest, "head": head}
                if said is None:
                    labels.append(row | {"status": "rejected", "reason": reason})
                    continue
                probabilities = said[head].tolist()
                top = int(bundle.conditions.standing(head, probabilities).argmax())
                row |= {"label": names[top], "confidence": probabilities[top], "probabilities": probabilities}
                labels.append(row | {"status": "ok"})
    return labels


def hear(source: Source, bundles: Sequence[LoadedBundle]) -> list[Heard]:
    """Say what each model hears in a source of one input.

    Raises InputError where it cannot be read.
    """
    rows = [row for chunk in source.chunks() for row in chunk]
    ((_, sound),) = read_inputs(source.address, rows, {bundle.sample_rate for bundle in bundles})
    if isinstance(sound, DecodeError):
        raise InputError(f"source {source.uri}: {sound}")
    make_fast(bundles, torch.device("cpu"))
    (said,) = judge_all(_models(bundles), [sound])
    heard = []
    for bundle, judged in zip(bundles, said, strict=True):
        for head, labels in bundle.heads.items():
            probabilities = judged[head].tolist()
            order = bundle.conditions.standing(head, probabilities).argsort()[::-1]
            heard.append(Heard(bundle.digest, head, {labels[i]: probabilities[i] for i in order}))
    return heard


def _models(bundles: Sequence[LoadedBundle]) -> list[Classifier]:
    return [bundle.model for bundle in bundles if not isinstance(bundle.model, Generator)]

"""How the golden files were made; see README.md. Run by hand, when a format gets a new version, into a new folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import soundfile
import torch

from gmn.datasets.commit import commit
from gmn.datasets.labels import GEMS, Labeller, LabelsConfig
from gmn.datasets.listing import write_chunks, write_listing
from gmn.datasets.settings import IngestConfig
from gmn.datasets.stage import ingest_chunk
from gmn.generation import library
from gmn.generation.settings import GenerateConfig, plan
from gmn.labelling import classify
from gmn.labelling.inputs import INPUTS, Source
from gmn.labelling.label import load_classifiers
from gmn.models.bundle import Bundle, load_bundle, save_bundle
from gmn.models.classifier import SpectrogramClassifier
from gmn.models.cnn import CNN, CNNConfig
from gmn.models.conditioning import Conditions
from gmn.models.lstm import LSTM, LSTMConfig
from gmn.models.resnet import ResNet, ResNetConfig
from gmn.models.wavenet import WaveNet, WaveNetConfig
from gmn.storage import Folder

RATE = 2000
DATASET_RATE = 4000


def make_audio(folder: Path) -> Path:
    """Write six tones of 0.5 s, one file that is no audio, and labels.csv."""
    rows = [",".join(["path", "genre", "n_annotators", *GEMS])]
    for i in range(6):
        genre = ("pop", "rock")[i % 2]
        tone = 0.5 * np.sin(2 * np.pi * (110 + 40 * i) * np.arange(DATASET_RATE // 2) / DATASET_RATE)
        (folder / genre).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / genre / f"{i}.wav", tone, DATASET_RATE, subtype="PCM_16")
        rates = [round((i + 1) * (j + 1) / 60, 3) for j in range(9)]
        rows.append(",".join(map(str, [f"{genre}/{i}.wav", genre, 10 + i, *rates])))
    (folder / "pop" / "bad.wav").write_bytes(b"no sound")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def make_dataset(output: Path, audio: Path) -> None:
    """Ingest the tones at 4 kHz in segments of 0.3 s, without Ray."""
    labels = LabelsConfig(kind="table", path=str(audio / "labels.csv"))
    config = IngestConfig(
        source=str(audio), output=str(output), sample_rate=DATASET_RATE, segment_seconds=0.3, labels=labels
    )
    folder = Folder(output)
    chunks = list(write_listing(config.source, folder, Labeller(labels), "golden", {}))
    for chunk in chunks:
        ingest_chunk(chunk, config.source, folder, config.sample_rate, config.segment_samples)
    commit(folder, [chunk.stem for chunk in chunks], config, (), ())
    shutil.rmtree(output / "listing")


def make_bundles(folder: Path) -> None:
    """Save an untrained generator and two untrained classifiers of a few channels."""
    conditions = Conditions.fit(("pop", "rock"), [("pop", (0.25,) * 9), ("rock", (0.5,) * 9), (None, None)])
    facts = {"parameters": 1, "test": {"note": "untrained"}}
    torch.manual_seed(0)
    wavenet = WaveNet(WaveNetConfig(stacks=1, layers=3, residual_channels=3, skip_channels=4), conditions.size)
    save_bundle(Folder(folder / "wavenet"), Bundle(wavenet, RATE, conditions, facts=facts), "# golden\n")
    for head, labels in (("genre", conditions.genres), ("emotion", GEMS)):
        config = ResNetConfig(widths=(2, 3), n_fft=128, hop_length=64, n_mels=8)
        bundle = Bundle(ResNet(config, RATE, {head: labels}), RATE, conditions, facts)
        save_bundle(Folder(folder / f"resnet-{head}"), bundle, "# golden\n")


def make_lstm(folder: Path) -> None:
    """Save an untrained LSTM of a few channels, of frames of three, and what it computes: all of version 1.1."""
    conditions = Conditions.fit(("pop", "rock"), [("pop", (0.25,) * 9), ("rock", (0.5,) * 9), (None, None)])
    torch.manual_seed(0)
    config = LSTMConfig(frame_size=3, layers=2, hidden_size=4, embedding_size=2, head_size=3)
    bundle = Bundle(LSTM(config, conditions.size), RATE, conditions, facts={"parameters": 1, "test": {}})
    save_bundle(Folder(folder / "lstm"), bundle, "# golden\n")
    (folder / "expected.json").write_text(json.dumps({"lstm": logits(folder / "lstm")}) + "\n")


def make_cnn(folder: Path) -> None:
    """Save an untrained CNN of two heads and two members, and what it computes: all of version 1.2."""
    conditions = Conditions.fit(("pop", "rock"), [("pop", (0.25,) * 9), ("rock", (0.5,) * 9), (None, None)])
    torch.manual_seed(0)
    config = CNNConfig(widths=(2, 3), n_fft=128, hop_length=64, n_mels=8, members=2)
    model = CNN(config, RATE, {"genre": conditions.genres, "emotion": GEMS})
    facts = {"parameters": 1, "test": {"genre": {}, "emotion": {}}}
    save_bundle(Folder(folder / "cnn"), Bundle(model, RATE, conditions, facts), "# golden\n")
    (folder / "expected.json").write_text(json.dumps({"cnn": logits(folder / "cnn")}) + "\n")


def make_library(folder: Path) -> None:
    """Generate three clips of 0.05 s, and label them with both classifiers, without Ray."""
    asked = {"clips": 3, "seconds": 0.05, "slots": 2, "emotions": ("power",)}
    config = GenerateConfig(model=str(folder / "wavenet"), output=str(folder / "library"), **asked)
    bundle = load_bundle(config.model)
    grid = plan(config, bundle)
    parts = [range(0, 2), range(2, 3)]
    for part in parts:
        library.generate_part(config, part, [grid[index] for index in part])
    library._commit(config, bundle, None, Folder(config.output), [library._name(part) for part in parts])
    judges = tuple(str(folder / f"resnet-{head}") for head in ("genre", "emotion"))
    source, labels = Source(config.output), Folder(config.output) / "labels"
    judging = load_classifiers(judges)
    chunks = list(write_chunks(labels, source.chunks(), INPUTS, source.address))
    for chunk in chunks:
        classify.label_chunk(
            tuple((bundle.uri, bundle.digest) for bundle in judging), source.address, labels.uri, chunk, "cpu"
        )
    classify.commit(labels, judging, chunks)
    shutil.rmtree(Path(labels.uri) / "listing")


def make_library_1_1(folder: Path, models: Path, prime: Path) -> None:
    """Generate two clips of 0.05 s that go on from a tone, with what `gmn.library` 1.1 added, without Ray."""
    config = GenerateConfig(
        model=str(models / "wavenet"),
        output=str(folder / "library"),
        clips=2,
        seconds=0.05,
        slots=2,
        emotions=("power", ":".join(["0.5"] * 9)),
        prime=str(prime),
        top_k=100,
        top_p=0.9,
        guidance=1.5,
    )
    bundle = load_bundle(config.model)
    grid, given, part = plan(config, bundle), library._prime(config, bundle), range(2)
    library.generate_part(config, part, [grid[index] for index in part], given)
    library._commit(config, bundle, given, Folder(config.output), [library._name(part)])


@torch.no_grad()
def logits(bundle: Path) -> list[float]:
    """Compute the last logits of a bundle's model on a given ramp of 60 samples."""
    model = load_bundle(str(bundle)).model
    if isinstance(model, SpectrogramClassifier):
        return model(torch.linspace(-1, 1, 60)[None])[:, 0].mean(0).tolist()
    condition = torch.from_numpy(load_bundle(str(bundle)).conditions.vector("rock", "power"))
    return model(torch.arange(60)[None] * 4, condition[None])[0, -1].tolist()


def make_all(folder: Path, audio: Path) -> None:
    """Write all golden files, and expected.json with what the models compute."""
    make_dataset(folder / "dataset", make_audio(audio))
    make_bundles(folder)
    make_library(folder)
    expected = {name: logits(folder / name) for name in ("wavenet", "resnet-genre", "resnet-emotion")}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    make_all(Path("golden-new"), Path("golden-audio"))
    make_library_1_1(Path("golden-new-1.1"), Path(__file__).parent / "v1", Path("golden-audio/pop/0.wav"))
    make_lstm(Path("golden-new-lstm"))
    make_cnn(Path("golden-new-cnn"))

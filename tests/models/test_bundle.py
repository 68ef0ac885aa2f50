"""Bundles: they load by themselves, read no pickle, and name what is wrong."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gmn.datasets.labels import GEMS
from gmn.errors import InputError
from gmn.models.bundle import Bundle, count_parameters, load_bundle, save_bundle
from gmn.models.conditioning import Conditions
from gmn.models.lstm import LSTM, LSTMConfig
from gmn.models.resnet import ResNet, ResNetConfig
from gmn.models.wavenet import WaveNet, WaveNetConfig
from gmn.storage import Folder

RATE = 4000
CONDITIONS = Conditions.fit(("pop", "rock"), [("pop", (0.5,) * 9), ("rock", (0.25,) * 9)])

LOAD = """
import sys, torch
torch.set_num_threads(1)
from gmn.models.bundle import load_bundle
given = torch.load(sys.argv[2])
model = load_bundle(sys.argv[1]).model
with torch.no_grad():
    torch.save(model(*given), sys.argv[3])
"""


def generator() -> Bundle:
    torch.manual_seed(1)
    config = WaveNetConfig(stacks=1, layers=3, residual_channels=4, skip_channels=6)
    return Bundle(WaveNet(config, CONDITIONS.size), RATE, CONDITIONS, facts={"test": {"bits": 5.0}})


def lstm() -> Bundle:
    torch.manual_seed(1)
    config = LSTMConfig(frame_size=3, hidden_size=5, embedding_size=2, head_size=4)
    return Bundle(LSTM(config, CONDITIONS.size), RATE, CONDITIONS)


def classifier(head: str = "genre") -> Bundle:
    torch.manual_seed(2)
    labels = CONDITIONS.genres if head == "genre" else GEMS
    config = ResNetConfig(widths=(4, 6), n_fft=256, hop_length=64, n_mels=16)
    model = ResNet(config, RATE, {head: labels})
    model.band_mean.fill_(-3.0)
    return Bundle(model, RATE, CONDITIONS)


INPUTS: dict[str, tuple[torch.Tensor, ...]] = {
    "generator": (torch.arange(40)[None] * 6 % 256, torch.ones(1, CONDITIONS.size)),
    "lstm": (torch.arange(40)[None] * 6 % 256, torch.ones(1, CONDITIONS.size)),
    "classifier": (torch.linspace(-1, 1, 3000)[None] ** 3,),
}


@pytest.fixture
def saved(tmp_path: Path) -> str:
    save_bundle(Folder(tmp_path / "bundle"), generator(), "# card\n")
    return str(tmp_path / "bundle")


def change_root(uri: str, **changes: Any) -> None:
    file = Path(uri, "model.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refusal(uri: str, kind: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        load_bundle(uri, kind)
    return str(caught.value)


@pytest.mark.parametrize("make", [generator, lstm, classifier])
def test_a_new_process_computes_the_same_logits(tmp_path: Path, make: Any) -> None:
    bundle, given = make(), INPUTS[make.__name__]
    save_bundle(Folder(tmp_path / "bundle"), bundle, "")
    torch.save(given, tmp_path / "given.pt")
    files = [str(tmp_path / name) for name in ("bundle", "given.pt", "logits.pt")]
    subprocess.run([sys.executable, "-c", LOAD, *files], check=True, cwd=tmp_path)
    with torch.no_grad():
        assert torch.equal(torch.load(tmp_path / "logits.pt"), bundle.model.eval()(*given))


@pytest.mark.parametrize("head", ["genre", "emotion"])
def test_a_classifier_comes_back_with_its_head(tmp_path: Path, head: str) -> None:
    bundle = classifier(head)
    digest = save_bundle(Folder(tmp_path), bundle, "")
    loaded = load_bundle(str(tmp_path), "classifier")
    assert (loaded.heads, loaded.sample_rate, loaded.digest) == (bundle.heads, RATE, digest)
    assert list(loaded.heads) == [head]
    assert isinstance(loaded.model, ResNet)
    assert not loaded.model.training


def test_a_generator_comes_back_with_its_conditions_and_facts(saved: str) -> None:
    loaded = load_bundle(saved, "generator")
    assert loaded.conditions == CONDITIONS
    assert loaded.model.config == generator().model.config
    assert loaded.facts["test"] == {"bits": 5.0}
    assert loaded.identity == generator().identity
    assert Path(saved, "README.md").read_text() == "# card\n"


def test_the_digest_names_weights_and_architecture_but_no_facts(tmp_path: Path) -> None:
    def digest_of(name: str, bundle: Bundle) -> str:
        return save_bundle(Folder(tmp_path / name), bundle, "")

    bundle = generator()
    first = digest_of("a", bundle)
    assert digest_of("b", Bundle(bundle.model, RATE, CONDITIONS, facts={"other": 1})) == first
    assert digest_of("c", Bundle(bundle.model, RATE + 1, CONDITIONS)) != first
    with torch.no_grad():
        bundle.model.skip_bias[0] += 1  # type: ignore[union-attr, operator]
    assert digest_of("d", bundle) != first


def test_damaged_weights_are_refused(saved: str) -> None:
    file = Path(saved, "model.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    assert f"{saved}: damaged: its files do not match its digest" in refusal(saved)


def test_a_changed_architecture_is_refused(saved: str) -> None:
    change_root(saved, sample_rate=8000)
    assert "damaged" in refusal(saved)


def test_a_pickle_in_place_of_the_weights_is_refused_unread(saved: str, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    for content in (pickle.dumps(Bomb()), b""):
        Path(saved, "model.safetensors").write_bytes(content)
        assert "damaged" in refusal(saved)
    assert not (tmp_path / "executed").exists()


def test_a_pickle_in_place_of_a_bundle_is_refused_unread(saved: str, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    assert refusal(f"{tmp_path}/model.pkl") == f"{tmp_path}/model.pkl: not a bundle (no model.json in it)"
    Path(saved, "model.json").write_bytes(pickle.dumps(Bomb()))
    assert refusal(saved) == f"{saved}/model.json: not a JSON file (damaged?)"
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("file", ["model.safetensors", "model.json"])
def test_a_truncated_bundle_is_refused(saved: str, file: str) -> None:
    content = Path(saved, file).read_bytes()
    Path(saved, file).write_bytes(content[: len(content) // 2])
    assert "damaged" in refusal(saved)


def test_other_labels_are_found_out(tmp_path: Path) -> None:
    save_bundle(Folder(tmp_path), classifier(), "")
    change_root(str(tmp_path), heads={"genre": ["rock", "pop"]})
    assert "damaged: its files do not match its digest" in refusal(str(tmp_path))


def test_a_head_of_a_newer_gmn_is_refused(tmp_path: Path) -> None:
    bundle = classifier()
    bundle.model.heads = {"mood": ("a", "b")}  # type: ignore[union-attr, misc]
    save_bundle(Folder(tmp_path), bundle, "")
    assert refusal(str(tmp_path)) == "a classifier of mood: this gmn knows genre and emotion"


@pytest.mark.parametrize(
    ("kind", "found"), [("classifier", "generator (wavenet)"), ("generator", "classifier (resnet)")]
)
def test_the_wrong_kind_is_refused(tmp_path: Path, kind: str, found: str) -> None:
    save_bundle(Folder(tmp_path), generator() if kind == "classifier" else classifier(), "")
    assert refusal(str(tmp_path), kind) == f"{tmp_path}: holds a {found}, but a {kind} is needed here"


def test_a_newer_bundle_is_refused(saved: str) -> None:
    change_root(saved, version="1.3")
    assert "written by a newer gmn; this one reads up to 1.2" in refusal(saved)


def test_an_older_minor_is_not_newer(saved: str) -> None:
    change_root(saved, version="1.0", gmn_version="9.9.9")
    assert load_bundle(saved).facts["gmn_version"] == "9.9.9"


def test_missing_weights_are_named(saved: str) -> None:
    Path(saved, "model.safetensors").unlink()
    assert refusal(saved) == f"{saved}: model.safetensors is missing"


def test_missing_keys_are_named(saved: str) -> None:
    file = Path(saved, "model.json")
    root = json.loads(file.read_text())
    del root["conditions"], root["digest"]
    file.write_text(json.dumps(root))
    assert refusal(saved) == f"{saved}/model.json: lacks conditions, digest"


def test_what_is_no_bundle_is_named(tmp_path: Path) -> None:
    assert refusal(str(tmp_path)) == f"{tmp_path}: not a bundle (no model.json in it)"
    assert refusal(str(tmp_path / "none")) == f"{tmp_path}/none: no such folder"


def test_parameters_are_counted() -> None:
    assert count_parameters(torch.nn.Linear(3, 4)) == 16

"""First weights from a file: taken as they are, refused key by key, and never run."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from gmn.errors import InputError
from gmn.models.resnet import ResNet, ResNetConfig
from gmn.training.first_weights import read_first_weights, take_first_weights

HEADS = {"genre": ("a", "b")}


def make(**changes: Any) -> ResNet:
    torch.manual_seed(0)
    shape = {"widths": (4, 6), "blocks": 2, "n_fft": 256, "n_mels": 16, "members": 2} | changes
    return ResNet(ResNetConfig(**shape), 4000, HEADS)


def published(model: ResNet) -> dict[str, torch.Tensor]:
    """Make a state dict as torchvision would publish it: three colours, a thousand classes."""
    torch.manual_seed(1)
    weights = {name: torch.randn_like(value.float()) for name, value in model.members[0].state_dict().items()}
    weights["bn1.num_batches_tracked"] = torch.tensor(7)
    return weights | {
        "conv1.weight": torch.randn(4, 3, 7, 7),
        "fc.weight": torch.randn(1000, 6),
        "fc.bias": torch.randn(1000),
    }


def test_every_member_takes_them_but_for_the_last_layer(tmp_path: Path) -> None:
    model = make()
    weights, file = published(model), tmp_path / "resnet.pth"
    torch.save(weights, file)
    before = [member.fc.weight.clone() for member in model.members]  # type: ignore[union-attr, operator]
    take_first_weights(model, read_first_weights(str(file)), str(file))
    for member, own in zip(model.members, before, strict=True):
        state = member.state_dict()
        assert torch.equal(state["layer2.0.downsample.0.weight"], weights["layer2.0.downsample.0.weight"])
        assert torch.equal(state["layer2.1.conv2.weight"], weights["layer2.1.conv2.weight"])
        assert torch.equal(state["fc.weight"], own)
        # A grey picture, the same in all three colours, gives what it gave.
        grey = torch.randn(1, 1, 9, 9)
        expected = torch.nn.functional.conv2d(grey.expand(-1, 3, -1, -1), weights["conv1.weight"], stride=2, padding=3)
        torch.testing.assert_close(member.conv1(grey), expected)  # type: ignore[operator]


def test_resnet_18_has_torchvision_s_names_and_size() -> None:
    """11.18 million parameters before the last layer, as torchvision's has with one input channel."""
    model = make(widths=(64, 128, 256, 512), members=1)
    own = {name: value for name, value in model.members[0].named_parameters() if not name.startswith("fc.")}
    assert sum(value.numel() for value in own.values()) == 11_176_512 - 2 * 64 * 49
    assert {"conv1.weight", "bn1.bias", "layer4.1.bn2.weight", "layer3.0.downsample.1.weight"} <= set(own)
    assert "layer1.0.downsample.0.weight" not in own


def test_what_does_not_fit_is_listed_key_by_key() -> None:
    model = make()
    weights = published(model)
    del weights["bn1.bias"]
    weights |= {"layer1.0.conv1.weight": torch.zeros(5, 4, 3, 3), "layer9.0.conv1.weight": torch.zeros(1)}
    with pytest.raises(InputError) as refused:
        take_first_weights(model, weights, "a.pth")
    assert str(refused.value).splitlines() == [
        "init a.pth: does not fit this model:",
        "  bn1.bias: missing",
        "  layer9.0.conv1.weight: unknown",
        "  layer1.0.conv1.weight: [5, 4, 3, 3], needs [4, 4, 3, 3]",
    ]


def test_the_small_layout_takes_none() -> None:
    with pytest.raises(InputError, match=r"needs a resnet of the standard layout: model\.blocks=2"):
        take_first_weights(make(blocks=None), {}, "a.pth")


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    for name, content in {
        "pickle.pth": pickle.dumps(Bomb()),
        "text.pth": b"no weights at all",
        "empty.pth": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"init .*{name}: "):
            read_first_weights(str(tmp_path / name))
    torch.save({"conv1.weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(InputError, match="holds more than tensors"):
        read_first_weights(str(tmp_path / "bomb.pth"))
    assert not (tmp_path / "executed").exists()
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(InputError, match="not a state dict"):
        read_first_weights(str(tmp_path / "list.pth"))
    with pytest.raises(InputError, match=r"none\.pth: no such file"):
        read_first_weights(str(tmp_path / "none.pth"))

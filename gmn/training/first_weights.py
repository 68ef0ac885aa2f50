"""First weights of a ResNet from a file: a state dict with torchvision's names, as published for ResNet-18."""

import pickle
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from gmn.errors import InputError
from gmn.models.resnet import ResNet, StandardResNet

LISTED = 20
"""Keys that an error names at most."""


def read_first_weights(file: str) -> dict[str, Tensor]:
    """Read a state dict by PyTorch's own safe reader: tensors alone, no code.

    Raises InputError where the file is missing, is no state dict, or would run code.
    """
    if not Path(file).is_file():
        raise InputError(f"init {file}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd pickle is told below
            found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(f"init {file}: holds more than tensors, or is no PyTorch file; it was not run") from None
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        why = next(iter(str(error).splitlines()), "it ends too soon")
        raise InputError(f"init {file}: cannot be read: {why}") from None
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError(f"init {file}: not a state dict (names with tensors)")
    return found


@torch.no_grad()
def take_first_weights(model: nn.Module, weights: dict[str, Tensor], file: str) -> None:
    """Copy weights into every member of a ResNet of the standard layout; its last layer keeps its own.

    A first convolution of three colours is summed to one channel, which is what it gives for a grey picture. Raises
    InputError with every key that does not fit.
    """
    if not isinstance(model, ResNet) or not isinstance(model.members[0], StandardResNet):
        raise InputError("init: needs a resnet of the standard layout: model.blocks=2 and model.widths=64,128,256,512")
    given = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    first = given.get("conv1.weight")
    if first is not None and first.ndim == 4 and first.shape[1] == 3:
        given["conv1.weight"] = first.sum(1, keepdim=True)
    own = {name: value for name, value in model.members[0].state_dict().items() if not name.startswith("fc.")}
    wrong = [f"{name}: missing" for name in own if name not in given]
    wrong += [f"{name}: unknown" for name in given if name not in own]
    wrong += [
        f"{name}: {list(given[name].shape)}, needs {list(value.shape)}"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]
    if wrong:
        more = [f"and {len(wrong) - LISTED} more"] if len(wrong) > LISTED else []
        lines = "\n".join(f"  {line}" for line in wrong[:LISTED] + more)
        raise InputError(f"init {file}: does not fit this model:\n{lines}")
    for member in model.members:
        member.load_state_dict(given, strict=False)

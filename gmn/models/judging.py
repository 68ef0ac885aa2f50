"""Judging much audio by several networks: what `judge` says of each input, in a fraction of its time.

Shapes: B windows, T samples, M mel bands, N frames, K labels of all heads.

    inputs --windows--> batches of one length [B, T] -log-mel, once for all that share it-> [B, M, N]
    -> each network, batch norms folded into convolutions, channels last -> [B, K] -> mean over an input's windows

What is said of an input does not depend on the others, nor on their order: on a CPU, the convolutions give a window the
same bits in any batch of 2 to 8. Alone it would go another way, so it goes twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gmn.models.classifier import SpectrogramClassifier

BATCH = 8
BATCH_SECONDS = 24
"""The most windows, and seconds, that go through a network together: with more of 6 s, its caches would overflow."""
WAITING = 64
"""Windows of several lengths that wait for others of theirs."""

Judgement = dict[str, Tensor]
"""Head -> probabilities [labels]."""


class Judge(Protocol):
    """A classifier of any kind; one that hears no spectrogram judges each input by itself."""

    sample_rate: int

    def judge(self, waveform: Tensor) -> Judgement:
        """Map one waveform [T], float32 in [-1, 1], to each head's probabilities."""


def prepare(model: SpectrogramClassifier, device: torch.device, bf16: bool = False) -> None:
    """Make a model that has been trained fast, for good: it computes the same but for rounding.

    Each batch norm is folded into its convolution, the one that was registered right before it; ReLU works in place.
    With `bf16`, the networks compute in bfloat16.
    """
    for module in list(model.members.modules()):
        for (name, convolution), (follower, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(convolution, norm))
                setattr(module, follower, nn.Identity())
        if isinstance(module, nn.ReLU):
            module.inplace = True
    model.to(device)
    model.members.to(torch.bfloat16 if bf16 else torch.float32)


def has_bf16(device: torch.device) -> bool:
    """Tell whether the processor multiplies bfloat16 by itself."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@torch.inference_mode()
def judge_all(models: Sequence[Judge], inputs: Iterable[Mapping[int, Tensor]]) -> list[list[Judgement]]:
    """Return what each model hears in each input, `[input][model]`.

    An input has its waveform [T] at each model's sample rate (Hz), float32 in [-1, 1] or int16. Inputs are taken one
    by one; of their sound, no more is held at a time than the input itself and the windows that wait.
    """
    same: dict[object, list[SpectrogramClassifier]] = defaultdict(list)
    for model in models:
        if isinstance(model, SpectrogramClassifier):
            same[model.log_mel.config, model.window_samples].append(model)
    listeners = [_Listener(those) for those in same.values()]
    said: dict[int, list[Judgement]] = {id(model): [] for model in models}
    n_inputs = 0
    for waveforms in inputs:
        for listener in listeners:
            listener.hear(n_inputs, waveforms[listener.models[0].sample_rate])
        for model in models:
            if not isinstance(model, SpectrogramClassifier):
                said[id(model)].append(model.judge(_as_float(waveforms[model.sample_rate])))
        n_inputs += 1
    for listener in listeners:
        for network, of_inputs in listener.finish(n_inputs):
            said[id(network)] = of_inputs
    return [[said[id(model)][item] for model in models] for item in range(n_inputs)]


def batch_size(seconds: float) -> int:
    """Return how many windows of so many seconds make a batch."""
    return max(2, min(BATCH, int(BATCH_SECONDS / seconds)))


def _as_float(waveform: Tensor) -> Tensor:
    return waveform.float() / 32768 if waveform.dtype == torch.int16 else waveform


class _Listener:
    """Models that hear the same log-mel of the same windows.

    Logits become probabilities an input at a time: where a number stands in a batch decides which code rounds it.
    """

    def __init__(self, models: Sequence[SpectrogramClassifier]) -> None:
        self.models = models
        self._waiting: dict[int, list[tuple[int, int, Tensor]]] = defaultdict(list)
        self._heard: list[dict[int, list[tuple[int, int, Tensor]]]] = [defaultdict(list) for _ in models]

    def hear(self, item: int, waveform: Tensor) -> None:
        """Take an input's waveform [T]."""
        for index, window in enumerate(waveform.split(self.models[0].window_samples)):
            alike = self._waiting[len(window)]
            alike.append((item, index, window))
            if len(alike) == batch_size(len(window) / self.models[0].sample_rate):
                self._judge(self._waiting.pop(len(window)))
            elif sum(map(len, self._waiting.values())) >= WAITING:
                self._judge_waiting()

    def finish(self, n_inputs: int) -> list[tuple[SpectrogramClassifier, list[Judgement]]]:
        """Return what each model has to say of each input: the mean over its windows, by their length."""
        self._judge_waiting()
        said = []
        for model, heard in zip(self.models, self._heard, strict=True):
            of_inputs = []
            for item in range(n_inputs):
                _, samples, logits = zip(*sorted(heard.pop(item), key=lambda window: window[0]), strict=True)
                lengths = torch.tensor(samples, dtype=torch.float32)
                judged = model.probabilities(torch.stack(logits, dim=1))
                of_inputs.append({head: (lengths / lengths.sum()) @ of_head for head, of_head in judged.items()})
            said.append((model, of_inputs))
        return said

    def _judge_waiting(self) -> None:
        for windows in self._waiting.values():
            self._judge(windows)
        self._waiting.clear()

    def _judge(self, windows: Sequence[tuple[int, int, Tensor]]) -> None:
        """Judge a batch of windows of one length."""
        waveform = torch.stack([window for _, _, window in windows]).to(self.models[0].band_mean.device)
        log_mel = self.models[0].log_mel(_as_float(waveform)).expand(max(2, len(windows)), -1, -1)
        for model, heard in zip(self.models, self._heard, strict=True):
            of_batch = model.logits(model.standardise(log_mel)).cpu()
            for place, (item, index, window) in enumerate(windows):
                heard[item].append((index, len(window), of_batch[:, place]))

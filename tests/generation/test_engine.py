"""The sampling loop: a clip is the same whatever runs beside it, and is what the model says."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gmn.audio.mulaw import SILENCE
from gmn.errors import InputError
from gmn.generation.engine import BACKENDS, ON_GPU, Generated, Stream, find_backend, generate
from gmn.generation.sampling import Sampling
from gmn.models.bundle import Bundle, save_bundle
from gmn.models.conditioning import Conditions
from gmn.models.wavenet import WaveNet
from gmn.storage import Folder, digest

CONDITION_SIZE = 5
SLOTS = 8
SAMPLES = 120
HERE = [(backend, precision) for _, backend, precision in BACKENDS if backend not in ON_GPU]


@pytest.fixture(scope="module")
def model(make_wavenet: Any) -> WaveNet:
    return make_wavenet()


def stream(index: int = 0, seed: int = 3, attempt: int = 0) -> Stream:
    condition = np.random.default_rng([9, index]).random(CONDITION_SIZE).astype(np.float32)
    return Stream(condition, seed, index, attempt)


def sample(model: WaveNet, streams: list[Stream], **changes: Any) -> list[Generated]:
    return generate(model, streams, **{"n_samples": SAMPLES, "slots": SLOTS} | changes)


def assert_same(one: Generated, other: Generated) -> None:
    np.testing.assert_array_equal(one.codes, other.codes)
    assert one.bits_per_sample == other.bits_per_sample


@pytest.mark.parametrize(("backend", "precision"), HERE)
@pytest.mark.parametrize("index", [4, 12])
def test_a_clip_is_the_same_at_any_occupancy(model: WaveNet, backend: str, precision: str, index: int) -> None:
    how = {"backend": backend, "precision": precision}
    (alone,) = sample(model, [stream(index)], **how)
    for others in ([0, 1, 2, 3, 5, 6], [0, 1, 2, 3, 5, 6, 7]):
        assert_same(sample(model, [stream(at) for at in (index, *others)], **how)[0], alone)


@pytest.mark.parametrize(("backend", "precision"), HERE)
def test_shuffled_streams_stay_the_same(model: WaveNet, backend: str, precision: str) -> None:
    how, order = {"backend": backend, "precision": precision}, [3, 0, 5, 7, 1, 4, 6, 2]
    straight = sample(model, [stream(index) for index in range(SLOTS)], **how)
    shuffled = sample(model, [stream(index) for index in order], **how)
    for place, index in enumerate(order):
        assert_same(shuffled[place], straight[index])


def test_a_bundle_generates_the_same_in_a_new_process(model: WaveNet, tmp_path: Path) -> None:
    conditions = Conditions((), {}, (), ())
    new = WaveNet(model.config, conditions.size)
    save_bundle(Folder(tmp_path / "bundle"), Bundle(new, 8000, conditions), "# card\n")
    program = (
        "import sys, numpy, torch\n"
        "from gmn.generation.engine import Stream, generate\n"
        "from gmn.models.bundle import load_bundle\n"
        "from gmn.storage import digest\n"
        "torch.set_num_threads(1)\n"
        "model = load_bundle(sys.argv[1]).model\n"
        "streams = [Stream(numpy.ones(model.condition_size, numpy.float32), 3, index) for index in (1, 4)]\n"
        "print(digest(*(clip.codes.tobytes() for clip in generate(model, streams, 120, 8))))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "bundle")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    streams = [Stream(np.ones(conditions.size, np.float32), 3, index) for index in (1, 4)]
    assert said == digest(*(clip.codes.tobytes() for clip in sample(new.eval(), streams)))


@pytest.mark.parametrize("other", [{"seed": 4}, {"index": 1}, {"attempt": 1}])
def test_another_name_gives_another_clip(model: WaveNet, other: dict[str, int]) -> None:
    condition = np.zeros(CONDITION_SIZE, np.float32)
    (one,) = sample(model, [Stream(condition, 3, 0)])
    (two,) = sample(model, [Stream(condition, **{"seed": 3, "index": 0, "attempt": 0} | other)])
    assert (one.codes != two.codes).mean() > 0.5


def test_the_condition_is_heard(model: WaveNet) -> None:
    one, two = (sample(model, [Stream(np.full(CONDITION_SIZE, x, np.float32), 3, 0)])[0] for x in (0, 1))
    assert not np.array_equal(one.codes, two.codes)


def test_without_guidance_towards_the_condition_it_is_not_heard(model: WaveNet) -> None:
    (left_out,) = sample(model, [stream(2)], sampling=Sampling(guidance=0))
    (none,) = sample(model, [Stream(np.zeros(CONDITION_SIZE, np.float32), 3, 2)])
    np.testing.assert_array_equal(left_out.codes, none.codes)
    assert left_out.bits_per_sample != none.bits_per_sample  # those of the conditional model


@pytest.mark.parametrize("prime", [[SILENCE], [10, 200, 30]])
@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_the_likeliest_continuation_is_that_of_the_full_forward(
    model: WaveNet, guidance: float, prime: list[int]
) -> None:
    asked, past = stream(1), np.array(prime, np.uint8)
    (clip,) = sample(model, [asked], sampling=Sampling(temperature=0, guidance=guidance), prime=past)
    given = torch.from_numpy(np.concatenate([past, clip.codes[:-1]]).astype(np.int64))[None]
    with torch.no_grad():
        own, none = (model(given, torch.from_numpy(c)[None])[0] for c in (asked.condition, 0 * asked.condition))
    likeliest = (none + guidance * (own - none)).argmax(-1)
    np.testing.assert_array_equal(clip.codes, likeliest[len(past) - 1 :].numpy())


@pytest.mark.parametrize(("backend", "precision"), HERE)
def test_bits_are_those_of_the_unguided_forward_at_temperature_one(
    model: WaveNet, backend: str, precision: str
) -> None:
    asked, past = [stream(0), stream(1)], np.array([7, 99], np.uint8)
    sampling = Sampling(temperature=0.6, top_k=50, guidance=1.5)
    clips = sample(model, asked, sampling=sampling, prime=past, backend=backend, precision=precision)
    for clip, its in zip(clips, asked, strict=True):
        codes = torch.from_numpy(clip.codes.astype(np.int64))
        given = torch.cat([torch.from_numpy(past.astype(np.int64)), codes[:-1]])
        with torch.no_grad():
            logits = model(given[None], torch.from_numpy(its.condition)[None])[0, 1:].double()
        expected = torch.nn.functional.cross_entropy(logits, codes).item() / math.log(2)
        assert clip.bits_per_sample == pytest.approx(expected, rel=1e-5 if precision == "float32" else 1e-2)


def test_a_longer_clip_begins_like_a_shorter_one(make_wavenet: Any) -> None:
    """Random numbers are drawn in runs, whose borders must not show."""
    model = make_wavenet(layers=2, stacks=1)
    short, long = (sample(model, [stream()], n_samples=n, slots=1)[0].codes for n in (700, 1500))
    np.testing.assert_array_equal(long[:700], short)


def test_progress_counts_every_sample_once(make_wavenet: Any) -> None:
    heard: list[int] = []
    model = make_wavenet(layers=2, stacks=1)
    sample(model, [stream(0), stream(1)], n_samples=1100, slots=3, progress=heard.append)
    assert heard == [2 * 1024, 2 * 76]


def test_a_model_that_computes_no_numbers_is_refused(make_wavenet: Any) -> None:
    broken = make_wavenet(layers=2, stacks=1)
    with torch.no_grad():
        broken.skip_bias[0] = torch.nan
    with pytest.raises(InputError, match="the model's logits are not finite in float32"):
        sample(broken, [stream()])


def test_a_backend_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    message = (
        "backend reference with precision bf16: not for a wavenet, "
        "which has: reference float32, folded float32, folded bf16, graph float32, graph fp16"
    )
    with pytest.raises(InputError, match=f"^{message}$"):
        find_backend("wavenet", "reference", "bf16")

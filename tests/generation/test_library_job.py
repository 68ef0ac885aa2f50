"""The generation job: what it asks for, what it writes, what it refuses, and a kill in the middle."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from gmn import runtime
from gmn.audio.decode import read_mono
from gmn.audio.mulaw import encode_pcm16
from gmn.audio.write import read_tags
from gmn.datasets.labels import GEMS
from gmn.datasets.library import CLIPS, LIBRARY, read_rows
from gmn.errors import InputError
from gmn.generation.engine import Stream, generate
from gmn.generation.library import generate_library, generate_part
from gmn.generation.settings import GenerateConfig, GenerateSettings, plan
from gmn.metrics.health import Status
from gmn.models.bundle import Bundle, LoadedBundle, load_bundle, save_bundle
from gmn.models.conditioning import Conditions
from gmn.models.wavenet import WaveNet, WaveNetConfig
from gmn.storage import Folder, digest
from jobs import generate as job

RATE = 8000


def make_config(bundles: Path, output: Path, **changes: Any) -> GenerateConfig:
    settings: dict[str, Any] = {"clips": 7, "seconds": 0.02, "slots": 3, "emotions": ("power", "sadness")}
    return GenerateConfig(model=str(bundles / "wavenet"), output=str(output), **settings | changes)


def rows_of(config: GenerateConfig) -> list[dict[str, Any]]:
    folder = Folder(config.output)
    return read_rows(folder, LIBRARY.read(folder)["clips"], CLIPS)


def files_of(folder: str | Path) -> dict[str, bytes]:
    """Return all that a library's root names, and the root."""
    parts = {path: path.read_bytes() for name in ("audio", "clips") for path in Path(folder, name).rglob("*.*")}
    return {str(path.relative_to(folder)): content for path, content in parts.items()} | {
        "library.json": Path(folder, "library.json").read_bytes()
    }


@pytest.fixture(scope="module")
def made(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> GenerateConfig:
    """Make a library of 7 clips in 3 parts, once; no test may change it."""
    config = make_config(bundles, tmp_path_factory.mktemp("made") / "library")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gmn.generation.library._run_parts", run_parts)
        generate_library(config)
    return config


def run_parts(config: GenerateConfig, bundle: LoadedBundle, grid: Any, prime: Any, parts: Any, progress: Any) -> None:
    for part in reversed(parts):
        generate_part(config, part, [grid[index] for index in part], prime)


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "connect", lambda: pytest.fail("Ray was asked for"))


def grid_of(clips: int, genres: int, emotions: int) -> list[tuple[str | None, str | None]]:
    conditions = Conditions(
        genres=tuple(f"g{i}" for i in range(genres)),
        emotions=dict.fromkeys(GEMS[:emotions], (0.5,) * 9),
        rate_mean=(0.5,) * 9,
        rate_std=(1.0,) * 9,
    )
    model = WaveNet(WaveNetConfig(stacks=1, layers=1, residual_channels=1, skip_channels=1), conditions.size)
    return plan(GenerateConfig(model="", output="", clips=clips), LoadedBundle(model, RATE, conditions))


@given(st.integers(1, 150), st.integers(0, 7), st.integers(0, 9))
def test_the_grid_covers_both_lists_evenly(clips: int, genres: int, emotions: int) -> None:
    grid = grid_of(clips, genres, emotions)
    assert len(grid) == clips
    for axis, length in enumerate((genres, emotions)):
        often = Counter(pair[axis] for pair in grid)
        assert len(often) == min(clips, length or 1)
        assert max(often.values()) - min(often.values()) <= 1
    pairs = Counter(grid)
    n_pairs = (genres or 1) * (emotions or 1)
    assert len(pairs) == min(clips, n_pairs)
    assert max(pairs.values()) == -(-clips // n_pairs)


def test_a_model_without_conditions_is_asked_for_nothing() -> None:
    assert grid_of(2, 0, 0) == [(None, None), (None, None)]


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"genres": ("polka",)}, "genre 'polka' is unknown to this model, which knows: chorale, rock"),
        ({"emotions": ("joy",)}, "emotion 'joy' is unknown to this model, which knows: amazement, solemnity"),
        ({"emotions": ("0.5:0.5",)}, r"emotion \[0.5, 0.5\]: needs 9 rates from 0 to 1"),
        ({"emotions": ("0:0:0:0:0:0:0:0:2",)}, r"emotion .*: needs 9 rates from 0 to 1"),
        ({"seconds": 1e-5}, "seconds: 1e-05 is less than one sample at 8000 Hz"),
        ({"precision": "fp16"}, "backend folded with precision fp16: not for a wavenet, which has: reference float32"),
        ({"prime": "nowhere.wav"}, r"prime nowhere\.wav: no such file"),
    ],
)
def test_what_the_model_cannot_do_is_refused(
    bundles: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        generate_library(make_config(bundles, tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_ray")
def test_a_classifier_cannot_generate(bundles: Path, tmp_path: Path) -> None:
    config = make_config(bundles, tmp_path / "out").model_copy(update={"model": str(bundles / "resnet-genre")})
    with pytest.raises(InputError, match=r"resnet-genre: holds a classifier \(resnet\), but a generator is needed"):
        generate_library(config)


@pytest.mark.usefixtures("no_ray")
def test_more_than_the_memory_holds_is_refused_with_the_figure(
    bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "available_memory", lambda: 2 << 30)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    config = make_config(bundles, tmp_path / "out", slots=512, clips=1024, seconds=600, guidance=2.0)
    # Each process: a state of 15 past inputs of 6 channels, twice while primed, of 1,024 rows; two copies of the codes.
    need = 2 * (2 * 4 * 15 * 6 * 1024 + 2 * 512 * 600 * RATE) / (1 << 30)
    message = f"slots: 512 streams of 600 s need {need:.1f} GiB in 2 processes, and 2.0 GiB are free: ask for fewer"
    with pytest.raises(InputError, match=message):
        generate_library(config)
    assert not (tmp_path / "out").exists()
    plan(config.model_copy(update={"clips": 100, "slots": 100}), load_bundle(config.model))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": -1},
        {"seed": 2**31},
        {"temperature": -0.1},
        {"clips": 0},
        {"top_k": 0},
        {"top_p": 0},
        {"top_p": 1.1},
        {"guidance": -1},
        {"prime_seconds": 0},
        {"slots": 0},
    ],
)
def test_a_setting_out_of_range_is_refused(changes: dict[str, Any]) -> None:
    """A seed of 2 ** 32 once gave seed 0's clips, each shifted by one; one of 2 ** 63 broke in the worker."""
    with pytest.raises(ValueError, match=next(iter(changes))):
        GenerateSettings(**changes)


def test_a_row_says_what_was_asked_and_what_came(made: GenerateConfig, bundles: Path) -> None:
    rows = rows_of(made)
    assert [row["index"] for row in rows] == list(range(7))
    assert len({row["clip_id"] for row in rows}) == 7
    first = rows[0]
    assert (first["genre"], first["emotion"], first["seed"], first["attempt"]) == ("chorale", "power", 0, 0)
    assert (first["backend"], first["precision"], first["slots"], first["prime"]) == ("folded", "float32", 3, None)
    assert (first["sample_rate"], first["n_samples"], first["temperature"]) == (RATE, 160, 1.0)
    assert first["model"] == load_bundle(str(bundles / "wavenet")).digest
    assert {row["health"] for row in rows} <= {status.value for status in Status}
    for row in rows:
        assert row["digest"] == digest(Folder(made.output).read_bytes(row["path"]))


def test_the_root_counts_what_the_rows_hold(made: GenerateConfig) -> None:
    root, rows = LIBRARY.read(Folder(made.output)), rows_of(made)
    assert root["clips"] == [f"clips/part-{start:08d}.parquet" for start in (0, 3, 6)]
    assert root["counts"]["clips"] == 7
    assert root["counts"]["health"] == dict(Counter(row["health"] for row in rows))
    bits = np.mean([row["bits_per_sample"] for row in rows])
    assert root["counts"]["bits_per_sample"] == pytest.approx(bits, abs=1e-4)


def test_a_file_decodes_to_the_codes_that_were_drawn(made: GenerateConfig) -> None:
    bundle = load_bundle(made.model)
    assert isinstance(bundle.model, WaveNet)
    torch.set_num_threads(1)
    for row in rows_of(made)[4:]:  # the last one stands alone in its part
        stream = Stream(bundle.conditions.vector(row["genre"], row["emotion"]), row["seed"], row["index"])
        alone = generate(bundle.model, [stream], row["n_samples"], row["slots"])[0]
        pcm, rate = soundfile.read(Path(made.output, row["path"]), dtype="int16")
        assert rate == RATE
        np.testing.assert_array_equal(encode_pcm16(pcm), alone.codes)


def test_a_files_tags_hold_its_provenance(made: GenerateConfig) -> None:
    for row in rows_of(made):
        tags = read_tags(Path(made.output, row["path"]))
        assert tags["title"] == f"{row['genre']}, {row['emotion']}"
        told = json.loads(tags["gmn"])
        assert {"model", "seed", "index", "attempt", "clip_id", "slots", "temperature"} < set(told)
        assert told == {key: row[key] for key in told}


@pytest.mark.usefixtures("ray_here")
def test_a_killed_library_is_completed_byte_by_byte(made: GenerateConfig, tmp_path: Path) -> None:
    whole = files_of(made.output)
    shutil.copytree(made.output, tmp_path / "library")
    (tmp_path / "library" / "library.json").unlink()
    (tmp_path / "library" / "clips" / "part-00000003.parquet").unlink()
    kept = tmp_path / "library" / "clips" / "part-00000000.parquet"
    written = kept.stat().st_mtime_ns
    heard: list[tuple[int, int]] = []
    config = made.model_copy(update={"output": str(tmp_path / "library")})
    generate_library(config, lambda *said: heard.append(said))
    assert files_of(tmp_path / "library") == whole
    assert kept.stat().st_mtime_ns == written
    assert heard == [(4 * 160, 7 * 160), (7 * 160, 7 * 160)]


@pytest.mark.usefixtures("no_ray")
def test_a_whole_library_is_left_alone(made: GenerateConfig) -> None:
    before = files_of(made.output)
    assert generate_library(made).clips == 7
    assert files_of(made.output) == before


@pytest.mark.usefixtures("no_ray")
def test_another_request_needs_another_output(made: GenerateConfig) -> None:
    with pytest.raises(InputError, match=r"was made by another request \(clips 7 -> 8\)"):
        generate_library(made.model_copy(update={"clips": 8}))


@pytest.mark.usefixtures("ray_here")
def test_a_part_that_lost_clips_is_found_out(made: GenerateConfig, tmp_path: Path) -> None:
    shutil.copytree(made.output, tmp_path / "library")
    (tmp_path / "library" / "library.json").unlink()
    clips = Folder(tmp_path / "library" / "clips")
    clips.write_table("part-00000003.parquet", clips.read_table("part-00000000.parquet"))
    with pytest.raises(InputError, match="do not hold 7 different clips"):
        generate_library(made.model_copy(update={"output": str(tmp_path / "library")}))


@pytest.mark.usefixtures("ray_here")
def test_a_piece_goes_on_in_every_genre_and_emotion(bundles: Path, corpus: Path, tmp_path: Path) -> None:
    piece = sorted(corpus.rglob("*.wav"))[0]
    asked = {"clips": 4, "slots": 4, "genres": ("chorale", "rock"), "top_k": 40, "top_p": 0.9, "guidance": 1.5}
    config = make_config(bundles, tmp_path / "library", prime=str(piece), prime_seconds=0.5, **asked)
    summary = generate_library(config)
    assert summary.prime == f"0.5 s of {piece}, of which the model hears 0.002 s"
    rows = rows_of(config)
    assert Counter((row["genre"], row["emotion"]) for row in rows) == Counter(
        (genre, emotion) for genre in ("chorale", "rock") for emotion in ("power", "sadness")
    )
    codes = encode_pcm16(read_mono(piece, RATE).pcm[: RATE // 2])
    assert {row["prime"] for row in rows} == {digest(codes.tobytes())}
    assert [(row["top_k"], row["guidance"]) for row in rows] == [(40, 1.5)] * 4
    bundle = load_bundle(config.model)
    assert isinstance(bundle.model, WaveNet)
    for row in rows:
        stream = Stream(bundle.conditions.vector(row["genre"], row["emotion"]), row["seed"], row["index"])
        (alone,) = generate(bundle.model, [stream], row["n_samples"], 4, config.sampling, prime=codes)
        pcm, _ = soundfile.read(Path(config.output, row["path"]), dtype="int16")
        np.testing.assert_array_equal(encode_pcm16(pcm), alone.codes)  # the clip alone: the prime is not in it
    # The same music from another place is the same request; other music is not.
    moved = tmp_path / "moved.wav"
    shutil.copy(piece, moved)
    assert generate_library(config.model_copy(update={"prime": str(moved)})) == summary
    with pytest.raises(InputError, match="was made by another request"):
        generate_library(config.model_copy(update={"prime_seconds": 0.25}))


@pytest.mark.usefixtures("ray_here")
def test_a_library_without_any_condition(bundles: Path, tmp_path: Path) -> None:
    conditions = Conditions.fit((), [(None, None)])
    model = WaveNet(WaveNetConfig(stacks=1, layers=2, residual_channels=2, skip_channels=2), conditions.size)
    save_bundle(Folder(tmp_path / "wavenet"), Bundle(model, RATE, conditions), "# card\n")
    config = make_config(tmp_path, tmp_path / "library", emotions=None, clips=2)
    generate_library(config)
    assert [(row["genre"], row["emotion"]) for row in rows_of(config)] == [(None, None)] * 2
    assert read_tags(Path(config.output, rows_of(config)[0]["path"]))["title"] == "any genre, any emotion"


@pytest.mark.ray
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("ray")
def test_the_job_gives_the_same_library(
    made: GenerateConfig,
    bundles: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By relative paths, as typed: a worker may run in another directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").symlink_to(bundles / "wavenet")
    given = ["model=model", "output=library", "clips=7", "seconds=0.02", "slots=3", "emotions=power,sadness"]
    assert job.main(given) == 0
    assert "clips     7 of 0.02 s" in capsys.readouterr().out
    mine, theirs = files_of("library"), files_of(made.output)
    assert {**mine, "library.json": b""} == {**theirs, "library.json": b""}

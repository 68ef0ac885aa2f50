"""Clip files: samples, tags, determinism."""

from pathlib import Path

import numpy as np
import pytest

from gmn.audio.decode import read_mono, to_pcm16
from gmn.audio.write import encode_clip, read_tags
from gmn.errors import InputError

X = np.random.default_rng(0).uniform(-1.2, 1.2, 5000).astype(np.float32)
TAGS = {"title": "Näher, 近い", "seed": "7", "model": "ab" * 32, "genre": "pop\n\"rock\" = {'x'}"}


def write(path: Path, tags: dict[str, str], format: str = "FLAC") -> Path:
    path.write_bytes(encode_clip(X, 16_000, tags, format))
    return path


@pytest.mark.parametrize("format", ["FLAC", "WAV"])
def test_samples_and_tags_come_back(format: str, tmp_path: Path) -> None:
    path = write(tmp_path / "clip", TAGS, format)
    decoded = read_mono(path, 16_000)
    assert np.array_equal(decoded.pcm, to_pcm16(X))
    assert decoded.codec == f"{format}/PCM_16"
    assert read_tags(path) == TAGS


def test_long_provenance_fits_or_is_refused(tmp_path: Path) -> None:
    tags = {f"key{i}": "v" * 50 for i in range(100)}
    assert read_tags(write(tmp_path / "x.flac", tags)) == tags
    with pytest.raises(InputError, match="WAV holds 2045"):
        encode_clip(X, 16_000, tags, "WAV")
    just = {"key": "v" * (2045 - len('{"key": ""}'))}
    assert read_tags(write(tmp_path / "x.wav", just, "WAV")) == just


def test_the_same_clip_gives_the_same_bytes() -> None:
    first = encode_clip(X, 16_000, TAGS)
    assert encode_clip(X, 16_000, dict(reversed(TAGS.items()))) == first
    assert encode_clip(X, 16_000, {**TAGS, "seed": "8"}) != first


@pytest.mark.parametrize("bad", [np.zeros(0, np.float32), np.zeros((2, 9), np.float32), np.array([np.nan], np.float32)])
def test_what_is_no_clip_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="a clip is"):
        encode_clip(bad, 16_000, {})


def test_files_without_tags(tmp_path: Path) -> None:
    (tmp_path / "words.flac").write_text("words")
    for name in ("words.flac", "missing.flac"):
        with pytest.raises(InputError, match="no tags"):
            read_tags(tmp_path / name)

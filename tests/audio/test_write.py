"""Clip files: samples, tags, determinism, and nothing half-written."""

from pathlib import Path

import numpy as np
import pytest

from gmn.audio.decode import read_mono, to_pcm16
from gmn.audio.write import read_tags, write_clip
from gmn.errors import InputError

X = np.random.default_rng(0).uniform(-1.2, 1.2, 5000).astype(np.float32)
TAGS = {"title": "Näher, 近い", "seed": "7", "model": "ab" * 32, "genre": "pop\n\"rock\" = {'x'}"}


@pytest.mark.parametrize("suffix", [".flac", ".wav", ".FLAC"])
def test_samples_and_tags_come_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip{suffix}"
    write_clip(path, X, 16_000, TAGS)
    decoded = read_mono(path, 16_000)
    assert np.array_equal(decoded.pcm, to_pcm16(X))
    assert decoded.codec == f"{suffix[1:].upper()}/PCM_16"
    assert read_tags(path) == TAGS
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_long_provenance_fits_or_is_refused(tmp_path: Path) -> None:
    tags = {f"key{i}": "v" * 50 for i in range(100)}
    write_clip(tmp_path / "x.flac", X, 16_000, tags)
    assert read_tags(tmp_path / "x.flac") == tags
    with pytest.raises(InputError, match="WAV holds 2045"):
        write_clip(tmp_path / "x.wav", X, 16_000, tags)
    just = {"key": "v" * (2045 - len('{"key": ""}'))}
    write_clip(tmp_path / "x.wav", X, 16_000, just)
    assert read_tags(tmp_path / "x.wav") == just


def test_the_same_clip_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.flac", "b.flac"):
        write_clip(tmp_path / name, X, 16_000, dict(reversed(TAGS.items())) if name == "b.flac" else TAGS)
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()
    write_clip(tmp_path / "b.flac", X, 16_000, {**TAGS, "seed": "8"})
    assert (tmp_path / "a.flac").read_bytes() != (tmp_path / "b.flac").read_bytes()


def test_a_failed_move_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.flac"
    path.write_bytes(b"old")

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_clip(path, X, 16_000, {})
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("clip.flac", b"old")]


@pytest.mark.parametrize("bad", [np.zeros(0, np.float32), np.zeros((2, 9), np.float32), np.array([np.nan], np.float32)])
def test_what_is_no_clip_is_refused(bad: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a clip is"):
        write_clip(tmp_path / "clip.flac", bad, 16_000, {})
    assert not list(tmp_path.iterdir())


def test_other_suffixes_and_files_without_tags(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.flac or \.wav"):
        write_clip(tmp_path / "clip.mp3", X, 16_000, {})
    (tmp_path / "words.flac").write_text("words")
    for name in ("words.flac", "missing.flac"):
        with pytest.raises(InputError, match="no tags"):
            read_tags(tmp_path / name)

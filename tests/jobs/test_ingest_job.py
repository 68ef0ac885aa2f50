"""The ingest job through its real main: rejections under `strict`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gmn.datasets.dataset import Dataset
from jobs import ingest as job

RATE = 8000


def sing(path: Path, seed: int, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * RATE))
    soundfile.write(path, noise, RATE, subtype="PCM_16")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for seed in range(6):
        sing(tmp_path / "audio" / "pop" / f"{seed}.wav", seed)
    return tmp_path / "audio"


def test_strict_ends_with_exit_code_3_once_the_dataset_is_there_and_told(
    source: Path, ingest_here: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary was once never shown, nor its page written."""
    (source / "pop" / "bad.wav").write_bytes(b"no sound")
    monkeypatch.setattr(job, "ingest", lambda config, bar: ingest_here(config))
    given = [f"source={source}", f"output={source.parent}/dataset", "sample_rate=8000", "strict=true"]
    for _ in range(2):
        ended = call(job.main, *given)
        assert ended.code == 3
        assert ended.err.splitlines()[-1] == "jobs.ingest: strict: 1 of 7 files rejected (not_audio 1)"
        assert "files     7, rejected: not_audio 1" in ended.out
        assert len(Dataset(f"{source.parent}/dataset").tracks) == 6
        assert (source.parent / "dataset" / "summary.html").is_file()
    (source / "pop" / "bad.wav").unlink()
    ended = call(job.main, *given, f"output={source.parent}/other")
    assert (ended.code, ended.err) == (0, "")

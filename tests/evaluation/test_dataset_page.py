"""The summary of a dataset: every problem is told, no file's name becomes markup, nothing comes from a network."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from gmn.datasets.dataset import Dataset
from gmn.datasets.settings import IngestConfig
from gmn.evaluation import dataset_page
from gmn.evaluation.audit import AuditConfig, audit, to_lines
from gmn.evaluation.dataset_page import write_summary

RATE = 8000


def summary_of(folder: Path, ingest_here: Any) -> str:
    for i in range(4):
        noise = np.random.default_rng(i).uniform(-0.5, 0.5, RATE) if i else np.zeros(RATE)
        path = folder / "audio" / ("<i>pop", "rock")[i % 2] / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise, RATE)
    (folder / "audio" / "rock" / "<img src=x onerror=alert(1)>.wav").write_bytes(b"no sound")
    (folder / "audio" / "rock" / "empty.wav").write_bytes(b"")
    config = IngestConfig(source=str(folder / "audio"), output=str(folder / "d"), sample_rate=RATE)
    ingest_here(config)
    page = write_summary(Dataset(config.output))
    assert page == folder / "d" / "summary.html"
    return page.read_text()


def test_it_tells_the_numbers_and_the_rejected_files(tmp_path: Path, ingest_here: Any) -> None:
    page = summary_of(tmp_path, ingest_here)
    for words in ("not_audio", "rock/empty.wav", "Durations in s", "Loudness, RMS in dBFS", "WAV/PCM_16", "of 6 files"):
        assert words in page


def test_names_are_escaped_and_nothing_is_loaded_from_a_network(tmp_path: Path, ingest_here: Any) -> None:
    page = summary_of(tmp_path, ingest_here)
    assert "<img" not in page
    assert "<i>pop" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.wav" in page
    assert re.findall(r"https?:|url\(|@import|[\"']//", page) == []


def test_a_recording_under_several_genres_is_one_line_with_them_and_its_files(tmp_path: Path, ingest_here: Any) -> None:
    """Three files were once three lines, in pairs."""
    x = np.random.default_rng(0).uniform(-0.5, 0.5, 6 * RATE)
    for i, (genre, gain) in enumerate((("pop", 1), ("rock", 0.5), ("jazz", 0.25), ("pop", 0.8))):
        (tmp_path / "audio" / genre).mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "audio" / genre / f"{i}.wav", gain * x, RATE)
    config = IngestConfig(source=str(tmp_path / "audio"), output=str(tmp_path / "d"), sample_rate=RATE)
    paths = ["jazz/2.wav", "pop/0.wav", "pop/3.wav", "rock/1.wav"]
    said = f"conflict  one recording, several genres: {', '.join(paths)}"
    assert [line for line in ingest_here(config).lines() if line.startswith("conflict")] == [said]
    assert [line for line in to_lines(audit(AuditConfig(dataset=config.output))) if line.startswith("conflict")] == [
        said
    ]
    page = write_summary(Dataset(config.output))
    assert page is not None
    table = page.read_text().partition("Conflicting labels")[2]
    assert re.findall(r"<td[^>]*>(.*?)</td>", table)[:2] == ["jazz, pop, rock", ", ".join(paths)]


def test_a_long_list_of_rejected_files_is_cut_and_says_so(tmp_path: Path, ingest_here: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(dataset_page, "LISTED", 1)
    assert "The first 1 of 2." in summary_of(tmp_path, ingest_here)

"""The audit: labels, copies, and the accuracy that a leaking split would have claimed beside that of a clean one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gmn.datasets.labels import GEMS, LabelsConfig
from gmn.datasets.settings import IngestConfig
from gmn.evaluation.audit import AuditConfig, audit, to_json, to_lines

RATE = 8000


@pytest.fixture(scope="module")
def hums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve steady hums, each of its own pitch and noise, whose genres tell nothing; and their labels."""
    folder = tmp_path_factory.mktemp("hums")
    draw = np.random.default_rng(0)
    rows = [",".join(["path", "genre", "n_annotators", *GEMS])]
    for i in range(12):
        t = np.arange(4 * RATE) / RATE
        hum = 0.3 * np.sin(2 * np.pi * 90 * 1.25**i * t) + draw.uniform(-0.02, 0.02, len(t))
        (folder / "audio").mkdir(exist_ok=True)
        soundfile.write(folder / "audio" / f"{i}.wav", hum, RATE, subtype="PCM_16")
        rates = ["" if i == 0 else str(round(float(rate), 2)) for rate in draw.uniform(0, 1, 9)]
        rows.append(",".join([f"{i}.wav", ("rock", "pop")[i % 2], "20", *rates]))
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def ingested(hums: Path, output: Path, ingest_here: Any, labels: LabelsConfig) -> AuditConfig:
    source = str(hums / "audio")
    ingest_here(IngestConfig(source=source, output=str(output), sample_rate=RATE, segment_seconds=0.5, labels=labels))
    return AuditConfig(dataset=str(output))


def test_a_random_split_of_segments_claims_what_a_split_by_group_does_not_show(
    hums: Path, tmp_path: Path, ingest_here: Any
) -> None:
    labels = LabelsConfig(kind="table", path=str(hums / "labels.csv"))
    found = audit(ingested(hums, tmp_path / "d", ingest_here, labels))
    assert found.leak is not None
    assert (found.leak.segments, found.leak.majority) == (12 * 8, 0.5)
    assert found.leak.random > 0.8  # a segment's neighbours are of its own track
    low, high = found.leak.grouped_interval
    assert low <= found.leak.grouped <= high
    assert found.leak.grouped < 0.75
    lines = to_lines(found)
    assert lines[0] == "labels    12 tracks; genres: pop 6, rock 6; with emotions: 11"
    assert lines[1] == "copies    0 tracks hold a recording that another holds as well; 12 groups"
    assert f"{found.leak.random:.3f} by a random split" in lines[-2]
    assert f"{found.leak.grouped:.3f} ({low:.2f} to {high:.2f}) by a split of whole groups" in lines[-1]
    assert set(found.ceilings) <= set(GEMS)
    assert all(0 <= r <= 1 for r in found.ceilings.values())
    assert json.loads(json.dumps(to_json(found)))["leak"]["random"] == found.leak.random
    assert audit(AuditConfig(dataset=str(tmp_path / "d"))) == found


def test_what_cannot_be_measured_is_told(hums: Path, tmp_path: Path, ingest_here: Any) -> None:
    found = audit(ingested(hums, tmp_path / "d", ingest_here, LabelsConfig(kind="none")))
    assert (found.leak, found.ceilings, found.rated) == (None, {}, 0)
    assert to_lines(found)[0] == "labels    12 tracks; genres: none; with emotions: 0"
    assert to_lines(found)[-1] == "leak      not measured: that takes two genres and 5 groups of tracks with one"

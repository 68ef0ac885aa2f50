"""What `make gtzan` runs, job by job with small settings, on a small tree with GTZAN's names."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gmn.datasets.gtzan import fault_filtered
from jobs import audit, compare, ingest, train

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

GENRES = ("blues", "classical", "metal")
FIT = ["fit.steps=30", "fit.evaluate_every=30", "fit.batch_size=8", "fit.ema_decay=0.8", "workers.count=1"]
SMALL = {"knn": ["model.neighbours=3"], "cnn": ["model.widths=8,16", *FIT], "resnet": ["model.widths=8,16", *FIT]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four tracks of 3 s of each genre and list; each genre has a pitch of its own, under noise."""
    rng, t = np.random.default_rng(0), np.arange(3 * 8000) / 8000
    for names in fault_filtered().values():
        for pitch, genre in enumerate(GENRES):
            for name in [name for name in names if name.startswith(genre)][:4]:
                tone = 0.3 * np.sin(2 * np.pi * 200 * 2**pitch * t) + rng.normal(0, 0.1, len(t))
                (tmp_path / "audio" / genre).mkdir(parents=True, exist_ok=True)
                soundfile.write(tmp_path / "audio" / genre / f"{name}.wav", tone, 8000)
    return tmp_path / "audio"


@pytest.mark.usefixtures("ray")
def test_three_classifiers_are_trained_and_compared(call: Any, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "gtzan"
    given = ["--config", "configs/ingest/gtzan.yaml", f"source={source}", f"output={out}/dataset", "sample_rate=8000"]
    ended = call(ingest.main, *given)
    assert ended.code == 0, ended.err
    assert call(audit.main, f"dataset={out}/dataset").code == 0
    for kind, small in SMALL.items():
        given = ["--config", f"configs/train/{kind}.yaml", f"dataset={out}/dataset", f"output={out}/{kind}", *small]
        ended = call(train.main, *given)
        assert ended.code == 0, ended.err
        assert "genre accuracy" in ended.out
    models = ",".join(f"{out}/{kind}" for kind in SMALL)
    ended = call(compare.main, f"models={models}", f"dataset={out}/dataset", f"output={out}/report")
    assert ended.code == 0, ended.err
    numbers = json.loads((out / "report" / "metrics.json").read_text())
    accuracy = {model["name"]: model["judged"]["test"]["genre"]["accuracy"] for model in numbers["models"]}
    assert list(accuracy) == ["1 knn", "2 cnn", "3 resnet"]
    assert accuracy["1 knn"] > 0.9
    assert [pair["tracks"] for pair in numbers["pairs"]] == [12, 12, 12]
    assert (out / "report" / "index.html").is_file()

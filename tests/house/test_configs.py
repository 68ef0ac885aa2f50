"""Every configuration that is shipped is one that its job takes."""

from pathlib import Path

import pytest

from gmn.config import build
from gmn.datasets.settings import IngestConfig
from gmn.training.job import TRAINING
from jobs.pipeline import PipelineConfig

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_it_is_taken(path: Path) -> None:
    if path.parent.name == "train":
        assert build(TRAINING, path, ["dataset=d", "output=o"]).output == "o"
    elif path.parent.name == "ingest":
        assert build(IngestConfig, path, ["source=s", "output=o"]).output == "o"
    else:
        assert path.parent.name == "pipeline"
        assert build(PipelineConfig, path, ["output=o"]).output == "o"

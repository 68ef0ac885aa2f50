"""Today's readers read what version 1 of each format wrote."""

import hashlib
import importlib.util
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gmn.datasets.dataset import Dataset
from gmn.datasets.labels import GEMS
from gmn.datasets.schemas import DATASET, MANIFEST, SEGMENTS, SPLIT
from gmn.models.bundle import BUNDLE, load_bundle

HERE = Path(__file__).parent
V1 = HERE / "v1"
BUNDLES = ("wavenet", "resnet-genre", "resnet-emotion")


def test_the_dataset_is_read() -> None:
    dataset = Dataset(str(V1 / "dataset"))
    assert (dataset.sample_rate, dataset.genres) == (4000, ("pop", "rock"))
    assert dataset.digest == "68c4cdf0550a92a2db74bd0487945c931599ca8ab91b878b0057de62a8718d8d"
    assert [(track.path, track.genre, track.n_annotators) for track in dataset.tracks[:2]] == [
        ("pop/0.wav", "pop", 10),
        ("pop/2.wav", "pop", 12),
    ]
    assert dataset.tracks[0].emotion == pytest.approx([(j + 1) / 60 for j in range(9)], abs=1e-3)
    assert Counter(row["split"] for row in dataset.split_rows()) == {"train": 2, "validation": 2, "test": 2}
    (rejected,) = (row for row in dataset.manifest().to_pylist() if row["status"] == "rejected")
    assert (rejected["path"], rejected["reason"]) == ("pop/bad.wav", "not_audio")


def test_its_samples_are_those_that_went_in() -> None:
    dataset = Dataset(str(V1 / "dataset"))
    track = dataset.tracks[0]
    reader = dataset.segments(tracks=[track.track_id])
    assert [(s.index, s.n_samples) for s in reader.segments] == [(0, 1200), (1, 800)]
    tone = 0.5 * np.sin(2 * np.pi * 110 * np.arange(2000) / 4000)
    np.testing.assert_allclose(np.concatenate([reader.pcm(0), reader.pcm(1)]) / 32768, tone, atol=2 / 32768)


def test_its_columns_are_still_written() -> None:
    """A column that goes, or changes its type, breaks the readers that others wrote: that is a new major version."""
    for folder, schema in (("manifest", MANIFEST), ("segments", SEGMENTS), ("splits", SPLIT)):
        (file,) = (V1 / "dataset" / folder).iterdir()
        for field in pq.read_schema(file):
            assert schema.field(field.name) == field


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_computes_what_it_computed(name: str) -> None:
    specification = importlib.util.spec_from_file_location("golden_make", HERE / "make.py")
    assert specification is not None
    assert specification.loader is not None
    make = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(make)
    expected = json.loads((V1 / "expected.json").read_text())[name]
    np.testing.assert_allclose(make.logits(V1 / name), expected, rtol=1e-4, atol=1e-5)


def test_a_bundle_tells_what_it_is() -> None:
    assert load_bundle(str(V1 / "wavenet"), "generator").head is None
    assert load_bundle(str(V1 / "resnet-genre"), "classifier").labels == ("pop", "rock")
    assert load_bundle(str(V1 / "resnet-emotion"), "classifier").labels == GEMS


def test_the_golden_files_are_of_todays_major_version() -> None:
    """Where a format moves on, its readers of version 1 need golden files of the new version as well."""
    assert (DATASET.major, DATASET.minor) == (1, 0)
    assert (BUNDLE.major, BUNDLE.minor) == (1, 0)


def test_the_golden_files_have_not_been_made_again() -> None:
    files = sorted(path for path in V1.rglob("*") if path.is_file() and path.suffix in (".parquet", ".safetensors"))
    sha = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    assert sha == "b5b5f560fc6474e7224830e6d23adeb4acafd9d64333879d87af36aadd4aa11f"

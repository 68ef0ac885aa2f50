"""Today's readers read what version 1 of each format wrote."""

import hashlib
import importlib.util
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gmn.audio.decode import read_mono
from gmn.audio.write import read_tags
from gmn.datasets.dataset import Dataset
from gmn.datasets.labels import GEMS
from gmn.datasets.library import CLIPS, LABEL_ROWS, LABELS, LIBRARY, read_rows
from gmn.datasets.schemas import DATASET, MANIFEST, SEGMENTS, SPLIT
from gmn.evaluation.evaluate import REPORT, EvaluateSummary
from gmn.models.bundle import BUNDLE, load_bundle
from gmn.models.conditioning import Conditions
from gmn.storage import Folder, digest

HERE = Path(__file__).parent
V1 = HERE / "v1"
KINDS = (".parquet", ".safetensors", ".flac")
V1_1 = HERE / "v1.1"
V1_2 = HERE / "v1.2"
BUNDLES = (V1 / "wavenet", V1 / "resnet-genre", V1 / "resnet-emotion", V1_1 / "lstm", V1_2 / "cnn")


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
    schemas = {
        "dataset/manifest": MANIFEST,
        "dataset/segments": SEGMENTS,
        "dataset/splits": SPLIT,
        "library/clips": CLIPS,
        "library/labels": LABEL_ROWS,
    }
    for folder, schema in schemas.items():
        file = next((V1 / folder).rglob("*.parquet"))
        for field in pq.read_schema(file):
            assert schema.field(field.name) == field


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
def test_a_bundle_computes_what_it_computed(bundle: Path) -> None:
    specification = importlib.util.spec_from_file_location("golden_make", HERE / "make.py")
    assert specification is not None
    assert specification.loader is not None
    make = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(make)
    expected = json.loads((bundle.parent / "expected.json").read_text())[bundle.name]
    np.testing.assert_allclose(make.logits(bundle), expected, rtol=1e-4, atol=1e-5)


def test_a_bundle_tells_what_it_is() -> None:
    assert load_bundle(str(V1 / "wavenet"), "generator").heads == {}
    assert load_bundle(str(V1_1 / "lstm"), "generator").model.kind == "lstm"
    assert load_bundle(str(V1 / "resnet-genre"), "classifier").heads == {"genre": ("pop", "rock")}
    assert load_bundle(str(V1 / "resnet-emotion"), "classifier").heads == {"emotion": GEMS}
    assert load_bundle(str(V1_2 / "cnn"), "classifier").heads == {"genre": ("pop", "rock"), "emotion": GEMS}


def test_the_library_is_read() -> None:
    root = LIBRARY.read(Folder(V1 / "library"))
    rows = read_rows(Folder(V1 / "library"), root["clips"], CLIPS)
    assert [(row["clip_id"], row["genre"], row["emotion"], row["index"]) for row in rows] == [
        ("087508d64aa55503", "pop", "power", 0),
        ("e74b753e83cea600", "rock", "power", 1),
        ("685728010e3c3e8b", "pop", "power", 2),
    ]
    assert root["counts"]["clips"] == 3
    assert {(row["top_k"], row["top_p"], row["guidance"], row["prime"]) for row in rows} == {(None,) * 4}
    assert Conditions.from_json(root["model"]["conditions"]).genres == ("pop", "rock")
    for row in rows:
        assert digest(Folder(V1 / "library").read_bytes(row["path"])) == row["digest"]
        assert read_mono(V1 / "library" / row["path"], 2000).pcm.shape == (100,)
        assert json.loads(read_tags(V1 / "library" / row["path"])["gmn"])["clip_id"] == row["clip_id"]


def test_a_library_of_version_1_1_is_read() -> None:
    root = LIBRARY.read(Folder(V1_1 / "library"))
    rows = read_rows(Folder(V1_1 / "library"), root["clips"], CLIPS)
    asked = [(row["clip_id"], row["emotion"], row["top_k"], row["guidance"]) for row in rows]
    assert asked == [("6366290840e9cdb7", "power", 100, 1.5), ("dd0a7927f1b8f230", ":".join(["0.5"] * 9), 100, 1.5)]
    assert [row["top_p"] for row in rows] == pytest.approx([0.9, 0.9])
    assert {row["prime"] for row in rows} == {"6512a91b56bb6796c535dd7f47d80ade871a512eb473df7a4721abfb09038a0c"}
    for row in rows:
        assert digest(Folder(V1_1 / "library").read_bytes(row["path"])) == row["digest"]


def test_the_labels_are_read() -> None:
    folder = Folder(V1 / "library" / "labels")
    root = LABELS.read(folder)
    assert [(model["head"], len(model["labels"])) for model in root["models"]] == [("genre", 2), ("emotion", 9)]
    rows = read_rows(folder, root["parts"], LABEL_ROWS)
    assert Counter((row["head"], row["label"], row["status"]) for row in rows) == {
        ("genre", "pop", "ok"): 3,
        ("emotion", "sadness", "ok"): 3,
    }
    assert rows[0]["probabilities"] == pytest.approx([0.53382, 0.46618], abs=1e-5)


def test_the_golden_files_are_of_todays_major_version() -> None:
    """Where a format moves on, its readers of version 1 need golden files of the new version as well."""
    assert (DATASET.major, DATASET.minor) == (1, 1)  # 1.1 adds to the root, and mtime_ns to the manifest
    assert (BUNDLE.major, BUNDLE.minor) == (1, 2)
    assert (LIBRARY.major, LIBRARY.minor) == (1, 1)
    assert (LABELS.major, LABELS.minor) == (1, 0)


def test_the_golden_files_have_not_been_made_again() -> None:
    for version, sha in (
        (V1, "7e1aa5e4b0c19184b780d75810d824671376ee4453b1a26f07ef24ff31926bea"),
        (V1_1, "2e71f688ae78002660a845e17ed419a89dc33858752a5ffad98b98b24f95fc24"),
    ):
        files = sorted(path for path in version.rglob("*") if path.is_file() and path.suffix in KINDS)
        assert hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest() == sha


def test_a_report_is_read() -> None:
    summary = EvaluateSummary(**REPORT.read(Folder(V1 / "report"))["summary"])
    assert (summary.clips, summary.healthy, summary.verdict) == (24, 24, "texture")
    assert (summary.genre_obedience, summary.emotion_obedience) == (0.25, 0.125)

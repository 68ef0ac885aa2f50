"""Copies of one recording, in whatever form, end in one group and one split."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gmn.corpus.write import write_corpus
from gmn.datasets.dataset import Dataset
from gmn.datasets.labels import LabelsConfig
from gmn.datasets.settings import IngestConfig
from gmn.datasets.splits import SplitConfig
from gmn.evaluation.dataset_page import write_summary

RATE = 16000


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight tracks of 8 s, two a genre, and of four of them a copy in another form."""
    folder = write_corpus(tmp_path_factory.mktemp("copies") / "audio", tracks=8, seconds=8.0, sample_rate=RATE)
    originals = sorted(path for path in folder.glob("*/*"))
    waveforms = [soundfile.read(path)[0] for path in originals]
    (folder / "zcopies").mkdir()
    soundfile.write(folder / "zcopies" / "0.ogg", waveforms[0], RATE)
    soundfile.write(folder / "zcopies" / "1.mp3", waveforms[1], RATE)
    louder = np.clip(waveforms[2] * 0.5 / np.abs(waveforms[2]).max(), -1, 1)
    soundfile.write(folder / "zcopies" / "2.flac", louder, RATE)
    soundfile.write(folder / "zcopies" / "3.wav", waveforms[3][int(1.234 * RATE) :], RATE)
    return folder


@pytest.mark.parametrize("rule", ["artist", "track", "folder"])
def test_copies_share_group_and_split_and_their_genres_are_compared(
    music: Path, tmp_path: Path, ingest_here: Any, rule: str
) -> None:
    split = SplitConfig(group=rule, seed=1)
    config = IngestConfig(source=str(music), output=str(tmp_path / "d"), sample_rate=RATE, split=split)
    summary = ingest_here(config)
    dataset = Dataset(config.output)
    originals = sorted(track.path for track in dataset.tracks if not track.path.startswith("zcopies"))
    pairs = [[originals[int(copy.name[0])], f"zcopies/{copy.name}"] for copy in sorted((music / "zcopies").iterdir())]
    path_of = {track.track_id: track.path for track in dataset.tracks}
    stands = {path_of[row["track_id"]]: (row["group"], row["split"]) for row in dataset.split_rows()}
    assert all(stands[original] == stands[copy] for original, copy in pairs)
    assert summary.copies == 8
    assert summary.conflicts == sorted(pairs)
    assert f"conflict  one recording, several genres: {', '.join(sorted(pairs)[0])}" in summary.lines()
    if rule != "folder":
        assert summary.groups == 8
    page = write_summary(dataset)
    assert page is not None
    assert "Conflicting labels" in page.read_text()


def test_copies_that_agree_are_no_conflict(music: Path, tmp_path: Path, ingest_here: Any) -> None:
    labels = LabelsConfig(kind="none")
    config = IngestConfig(source=str(music), output=str(tmp_path / "d"), sample_rate=RATE, labels=labels)
    summary = ingest_here(config)
    assert (summary.copies, summary.conflicts) == (8, [])


def test_copies_share_a_fold_and_still_do_once_the_dataset_has_grown(
    music: Path, tmp_path: Path, ingest_here: Any
) -> None:
    """Among old tracks no copies were looked for: in an update's folds they stood apart."""
    split = SplitConfig(folds=3)
    config = IngestConfig(source=str(music), output=str(tmp_path / "d"), sample_rate=RATE, split=split)
    source = tmp_path / "audio"
    source.symlink_to(music)
    config = config.model_copy(update={"source": str(source)})
    before = ingest_here(config)
    source.unlink()
    source.mkdir()
    for folder in music.iterdir():
        (source / folder.name).symlink_to(folder)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE)
    soundfile.write(source / "new.wav", noise, RATE)
    after = ingest_here(config.model_copy(update={"update": True}))
    assert (after.files, after.tracks) == (before.files + 1, before.tracks + 1)
    assert (after.copies, after.conflicts) == (before.copies, before.conflicts)
    dataset = Dataset(config.output)
    tested: list[str] = []
    for fold in range(3):
        roles: dict[str, set[str]] = {}
        for role in ("train", "validation", "test"):
            tracks = {s.track.track_id for s in dataset.segments(role, name=f"fold-{fold}").segments}
            tested += tracks if role == "test" else ()
            for track in dataset.tracks:
                if track.track_id in tracks:
                    roles.setdefault(track.group, set()).add(role)
        assert all(len(role) == 1 for role in roles.values())
    assert sorted(tested) == sorted(track.track_id for track in dataset.tracks)

"""Reading a dataset."""

from pathlib import Path

import numpy as np
import pytest

from gmn.audio.decode import read_mono
from gmn.datasets.dataset import Dataset
from gmn.datasets.settings import IngestConfig
from gmn.errors import InputError

RATE = 8000


def test_any_segment_at_random_equals_decoding_the_file(dataset: Dataset, corpus: Path) -> None:
    reader = dataset.segments()
    assert len(reader) == 48
    for item in np.random.default_rng(0).permutation(len(reader)):
        segment = reader.segments[item]
        start = segment.index * 2 * RATE
        whole = read_mono(corpus / segment.track.path, RATE).pcm
        pcm = reader.pcm(int(item))
        assert pcm.dtype == np.int16
        np.testing.assert_array_equal(pcm, whole[start : start + 2 * RATE])
        assert segment.n_samples == len(pcm)


def test_a_tracks_segments_follow_each_other_and_the_last_is_shorter(dataset: Dataset) -> None:
    segments = dataset.segments().segments
    assert [(s.index, s.n_samples) for s in segments if s.track == segments[0].track] == [(0, 16000), (1, 8000)]


def test_row_groups_are_small(dataset: Dataset) -> None:
    """A training window reads one row group."""
    metadata = dataset.folder.open_parquet(dataset.root["segments"][0]).metadata
    sizes = [metadata.row_group(i).total_byte_size / (1 << 20) for i in range(metadata.num_row_groups)]
    assert len(sizes) == 2
    assert 1 <= sizes[0] < 1.2


def test_many_row_groups_are_read_alike(
    dataset: Dataset,
    corpus: Path,
    tmp_path: Path,
    ingest_here,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    monkeypatch.setattr("gmn.datasets.stage.ROW_GROUP_BYTES", 3 * 2 * RATE * 2)
    config = IngestConfig(source=str(corpus), output=str(tmp_path / "d"), sample_rate=RATE, segment_seconds=2.0)
    ingest_here(config)
    other = Dataset(config.output)
    assert other.folder.open_parquet(other.root["segments"][0]).metadata.num_row_groups > 5
    expected, found = dataset.segments(), other.segments()
    for item in range(len(expected)):
        np.testing.assert_array_equal(found.pcm(item), expected.pcm(item))


def test_tracks_are_sorted_and_labelled(dataset: Dataset) -> None:
    paths = [track.path for track in dataset.tracks]
    assert paths == sorted(paths)
    assert all(track.genre == track.path.split("/")[0] for track in dataset.tracks)
    assert all(track.emotion is not None and len(track.emotion) == 9 for track in dataset.tracks)
    assert set(dataset.genres) == {track.genre for track in dataset.tracks}


def test_splits_part_the_tracks(dataset: Dataset) -> None:
    of_split = {
        split: {s.track.track_id for s in dataset.segments(split).segments} for split in ("train", "validation", "test")
    }
    assert {split: len(tracks) for split, tracks in of_split.items()} == {"train": 16, "validation": 4, "test": 4}
    assert len(set.union(*of_split.values())) == 24


def test_segments_of_some_tracks(dataset: Dataset) -> None:
    chosen = {track.track_id for track in dataset.tracks[:2]}
    assert {segment.track.track_id for segment in dataset.segments(tracks=chosen).segments} == chosen


def test_no_segments_is_an_error(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="no test segments; it needs at least 3 tracks a genre"):
        dataset.segments("test", tracks=[])


def test_a_folder_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a dataset \(no dataset.json in it\)"):
        Dataset(str(tmp_path))

"""Reading a dataset: its tracks, their split, and any segment's samples at random."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from gmn.datasets.schemas import DATASET, MANIFEST, SPLITS
from gmn.errors import InputError
from gmn.storage import Folder


@dataclass(frozen=True)
class Track:
    """An accepted source recording."""

    track_id: str
    path: str
    genre: str | None
    emotion: tuple[float, ...] | None
    n_annotators: int | None
    group: str


@dataclass(frozen=True)
class Segment:
    """Where one segment lies: `part` and `row` in its dataset's segment files."""

    track: Track
    index: int
    n_samples: int
    part: int
    row: int


class Dataset:
    """A committed dataset.

    Raises InputError where the folder is not one.
    """

    def __init__(self, uri: str) -> None:
        self.folder = Folder(uri)
        self.root: dict[str, Any] = DATASET.read(self.folder)
        self.sample_rate = int(self.root["sample_rate"])
        self.genres: tuple[str, ...] = tuple(self.root["labels"]["genre"])
        self.digest: str = self.root["digest"]

    @property
    def heads(self) -> tuple[Literal["genre", "emotion"], ...]:
        """What a classifier can learn here: genre where there are two or more, emotion where a track has rates."""
        genre: tuple[Literal["genre"], ...] = ("genre",) if len(self.genres) > 1 else ()
        return (*genre, "emotion") if self.root["labels"]["emotion"] else genre

    def manifest(self, columns: list[str] | None = None) -> pa.Table:
        """Read the manifest, or some of its columns: a row for every file that was seen, rejected ones included."""
        return pa.concat_tables([self.folder.read_table(name, columns, MANIFEST) for name in self.root["manifest"]])

    @cached_property
    def tracks(self) -> list[Track]:
        """The accepted tracks that stand in a split, sorted by path."""
        group_of = {row["track_id"]: row["group"] for row in self.split_rows()}
        tracks = [
            Track(
                track_id=row["track_id"],
                path=row["path"],
                genre=row["genre"],
                emotion=tuple(row["emotion"]) if row["emotion"] is not None else None,
                n_annotators=row["n_annotators"],
                group=group_of[row["track_id"]],
            )
            for row in self.manifest(["track_id", "path", "genre", "emotion", "n_annotators"]).to_pylist()
            if row["track_id"] in group_of
        ]
        return sorted(tracks, key=lambda track: track.path)

    def split_rows(self, name: str = "default") -> list[dict[str, Any]]:
        """Return the rows of a split table: a track's split, and which of its segments it means.

        Raises InputError for a name that the dataset does not have.
        """
        names: dict[str, str] = self.root["splits"]
        if name not in names:
            raise InputError(f"dataset {self.folder}: no split {name!r}; it has {', '.join(names)}")
        rows: list[dict[str, Any]] = self.folder.read_table(names[name]).to_pylist()
        return rows

    def segments(
        self, split: str | None = None, tracks: Collection[str] | None = None, name: str = "default"
    ) -> "SegmentReader":
        """Return the segments of one split of a split table, of all or of some tracks by id.

        Raises InputError where there are none.
        """
        assert split is None or split in SPLITS
        wanted: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for row in self.split_rows(name):
            if (split is None or row["split"] == split) and (tracks is None or row["track_id"] in tracks):
                end = float("inf") if row["end_segment"] is None else row["end_segment"]
                wanted[row["track_id"]].append((row["first_segment"], end))
        by_id = {track.track_id: track for track in self.tracks}
        found: dict[str, list[Segment]] = {}
        for part, file in enumerate(self.root["segments"]):
            table = self.folder.read_table(file, ["track_id", "segment_index", "n_valid_samples"])
            here: dict[str, list[Segment]] = defaultdict(list)
            for at, (track_id, index, n_samples) in enumerate(zip(*table.to_pydict().values(), strict=True)):
                if any(first <= index < end for first, end in wanted.get(track_id, ())):
                    here[track_id].append(Segment(by_id[track_id], index, n_samples, part, at))
            found |= here  # a file that changed and changed back was cut twice: the later part counts
        if not found:
            raise InputError(f"dataset {self.folder}: no {split or ''} segments; it needs at least 3 tracks a genre")
        segments = [segment for of_track in found.values() for segment in of_track]
        return SegmentReader(self, sorted(segments, key=lambda segment: (segment.track.path, segment.index)))


class SegmentReader:
    """Some segments of a dataset, read at random from their memory-mapped parts."""

    def __init__(self, dataset: Dataset, segments: list[Segment]) -> None:
        self._dataset = dataset
        self._files: dict[int, tuple[pq.ParquetFile, npt.NDArray[np.int64]]] = {}
        self.segments = segments

    def __len__(self) -> int:
        return len(self.segments)

    def pcm(self, item: int) -> npt.NDArray[np.int16]:
        """Read one segment's samples, int16 [T]."""
        segment = self.segments[item]
        file, starts = self._open(segment.part)
        group = int(np.searchsorted(starts, segment.row, side="right")) - 1
        column = file.read_row_group(group, columns=["pcm"])["pcm"]
        return np.frombuffer(column[segment.row - int(starts[group])].as_buffer(), "<i2")

    def _open(self, part: int) -> tuple[pq.ParquetFile, npt.NDArray[np.int64]]:
        if part not in self._files:
            file = self._dataset.folder.open_parquet(self._dataset.root["segments"][part])
            rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            self._files[part] = (file, np.cumsum([0, *rows[:-1]]))
        return self._files[part]

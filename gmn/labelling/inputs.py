"""What can be labelled: an audio file, a folder of them, a library's clips, a dataset's tracks.

    driver: Source(uri).chunks() -> rows of INPUTS, in chunks of some seconds' work
    worker: read_inputs(address, rows, rates) -> the sound of each, or why there is none, one by one

Neither holds more than a chunk of rows, and the sound of one input; but a dataset's tracks are all listed at once.
"""

import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from gmn.audio.decode import SUFFIXES, read_mono
from gmn.audio.mono import MAX_SECONDS, MonoPcm
from gmn.audio.rejection import DecodeError, Rejection
from gmn.datasets.dataset import Dataset
from gmn.datasets.library import CLIPS, LIBRARY
from gmn.datasets.path_text import path_text
from gmn.datasets.schemas import DATASET
from gmn.datasets.walk import AudioSource
from gmn.errors import InputError
from gmn.storage import Folder

INPUTS = pa.schema(
    [
        ("input", pa.string()),  # its name in the result
        ("path", pa.string()),  # of its file, or of the segments that hold it, relative to the source
        ("track_id", pa.string()),  # of a dataset's track; null for a file
        ("reason", pa.string()),  # why its file cannot even be opened; null where nothing is known yet
    ]
)

INPUT_COST = 0.003
SECOND_COST = 0.002
"""CPU-seconds to label an input, and each second of it."""
SECOND_BYTES = {"mp3": 16_000, "ogg": 16_000, "opus": 12_000, "flac": 60_000}
"""Bytes that a second takes, by suffix; other formats take 90 kB."""
CHUNK_COST = 3.0

Row = dict[str, Any]
Waveforms = Mapping[int, Tensor]
"""Sample rate (Hz) -> the waveform at it, int16 [T]."""


class Source:
    """A place with inputs.

    Raises InputError where there is nothing to label.
    """

    def __init__(self, uri: str) -> None:
        folder, file = Folder(uri), Path(uri)
        self.uri = uri
        self.is_file = self.is_library = self.is_dataset = False
        self.address = folder.address
        """Names the folder that the rows' paths start from, in every process."""
        if LIBRARY.whole(folder):
            self.is_library = True
        elif DATASET.whole(folder):
            self.is_dataset = True
        elif file.is_file():
            if file.suffix.lower() not in SUFFIXES:
                raise InputError(f"source {uri}: not an audio file by its name (looked for {' '.join(SUFFIXES)})")
            self.is_file = True
            self.address = str(file.absolute().parent)
        elif next(AudioSource(uri).walk(), None) is None:
            raise InputError(f"source {uri}: no audio in it (looked for {' '.join(SUFFIXES)})")

    def chunks(self) -> Iterator[list[Row]]:
        """List the inputs; a dataset's by the files that hold its segments."""
        if self.is_dataset:
            yield from _tracks(Dataset(self.uri))
            return
        chunk: list[Row] = []
        cost = 0.0
        for row, seconds in self._files():
            chunk.append(row)
            cost += INPUT_COST + SECOND_COST * seconds
            if cost >= CHUNK_COST:
                yield chunk
                chunk, cost = [], 0.0
        if chunk:
            yield chunk

    def _files(self) -> Iterator[tuple[Row, float]]:
        """List the files, each with about how many seconds it holds."""
        if self.is_file:
            name = Path(self.uri).name
            yield _row(name, path_text(os.fsencode(name))), 0.0
        elif self.is_library:
            folder = Folder(self.uri)
            for part in LIBRARY.read(folder)["clips"]:
                columns = ["clip_id", "path", "n_samples", "sample_rate"]
                for clip in folder.read_table(part, columns, CLIPS).to_pylist():
                    yield _row(clip["clip_id"], clip["path"]), clip["n_samples"] / clip["sample_rate"]
        else:
            for found in AudioSource(self.uri).walk():
                second = SECOND_BYTES.get(found.path.rpartition(".")[2].lower(), 90_000)
                yield _row(found.path, found.path, reason=found.reason), min(found.bytes / second, MAX_SECONDS)


def read_inputs(
    address: str, rows: Sequence[Row], rates: Collection[int]
) -> Iterator[tuple[Row, Waveforms | DecodeError]]:
    """Read the inputs of a chunk, each at all the sample rates (Hz), or why it cannot be used.

    The longest file is of 6 hours, as everywhere in gmn; two bytes a sample are held, of one input at a time.
    """
    return _read_files(address, rows, rates) if rows[0]["track_id"] is None else _read_tracks(address, rows, rates)


def _read_files(
    address: str, rows: Sequence[Row], rates: Collection[int]
) -> Iterator[tuple[Row, Waveforms | DecodeError]]:
    source = AudioSource(address)
    for row in rows:
        waveforms = {}
        try:
            if row["reason"] is not None:
                raise DecodeError(Rejection(row["reason"]), "found so when the folder was listed")
            for rate in rates:
                with source.open(row["path"]) as stream:
                    waveforms[rate] = torch.from_numpy(read_mono(stream, rate).pcm)
        except DecodeError as error:
            yield row, error
        except OSError as error:
            yield row, DecodeError(Rejection.UNREADABLE, error.strerror or str(error))
        else:
            yield row, waveforms


def _read_tracks(address: str, rows: Sequence[Row], rates: Collection[int]) -> Iterator[tuple[Row, Waveforms]]:
    """Read a dataset's tracks from the file that holds their segments, one behind the other."""
    folder = Folder(address)
    native = int(DATASET.read(folder)["sample_rate"])
    by_id = {row["track_id"]: row for row in rows}
    file = folder.open_parquet(rows[0]["path"])
    groups = (file.read_row_group(group, ["track_id", "pcm"]).to_pylist() for group in range(file.num_row_groups))
    segments = itertools.chain.from_iterable(groups)
    for track_id, of_track in itertools.groupby(segments, key=lambda segment: segment["track_id"]):
        if track_id in by_id:
            pcm = torch.frombuffer(bytearray().join(segment["pcm"] for segment in of_track), dtype=torch.int16)
            yield by_id[track_id], {rate: pcm if rate == native else _resampled(pcm, native, rate) for rate in rates}


def _resampled(pcm: Tensor, native: int, rate: int) -> Tensor:
    mono = MonoPcm(native, 1, rate, len(pcm))
    for block in pcm.split(1 << 20):
        mono.add((block.float() / 32768)[:, None].numpy())
    return torch.from_numpy(mono.finish())


def _tracks(dataset: Dataset) -> Iterator[list[Row]]:
    """List a dataset's tracks by the file that holds a track's segments; of two such, the later one counts."""
    part_of: dict[str, str] = {}
    for part in dataset.root["segments"]:
        ids = dataset.folder.read_table(part, ["track_id"])["track_id"].unique().to_pylist()
        part_of |= dict.fromkeys(ids, part)
    by_part: dict[str, list[Row]] = {}
    for track in dataset.tracks:
        part = part_of[track.track_id]
        by_part.setdefault(part, []).append(_row(track.path, part, track.track_id))
    yield from by_part.values()


def _row(name: str, path: str, track_id: str | None = None, reason: str | None = None) -> Row:
    return {"input": name, "path": path, "track_id": track_id, "reason": reason}

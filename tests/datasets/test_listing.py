"""The listing: files in chunks of about a second's work, streamed."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from gmn.audio.rejection import Rejection
from gmn.datasets import listing
from gmn.datasets.labels import Labeller, LabelsConfig
from gmn.datasets.listing import Chunk, Known, read_chunk, write_listing
from gmn.datasets.walk import Found
from gmn.storage import Folder


def list_files(output: Folder, files: list[Found], known: dict[str, Known] | None = None) -> list[Chunk]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "walk", lambda source: iter(files))
        return list(write_listing("", output, Labeller(LabelsConfig()), ["key"], {} if known is None else known))


def paths(output: Folder, chunks: list[Chunk]) -> list[list[str]]:
    return [[row["path"] for row in read_chunk(output, chunk)] for chunk in chunks]


@pytest.fixture
def output(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_chunk_is_about_a_second_and_a_half_of_work(output: Folder) -> None:
    songs = [Found(f"pop/{i:02d}.MP3", 5_000_000) for i in range(13)]  # 0.28 s each
    assert [len(chunk) for chunk in paths(output, list_files(output, songs))] == [6, 6, 1]
    blips = [Found(f"pop/{i:05d}.wav", 0) for i in range(7000)]  # half a millisecond each
    sizes = [chunk.files for chunk in list_files(output, blips)]
    assert sizes[0] == pytest.approx(3000, abs=1)
    assert sum(sizes) == 7000


def test_a_chunk_is_bounded_in_bytes(output: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "CHUNK_BYTES", 100)
    chunks = list_files(output, [Found(f"{i}.wav", size) for i, size in enumerate([500, 1, 99, 1])])
    assert paths(output, chunks) == [["0.wav"], ["1.wav", "2.wav"], ["3.wav"]]


def test_a_chunk_is_a_row_group_and_parts_hold_so_many(output: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "CHUNK_BYTES", 1)
    monkeypatch.setattr(listing, "CHUNKS_A_PART", 2)
    chunks = list_files(output, [Found(f"{i}.wav", 1) for i in range(3)])
    places = [("listing/part-00000.parquet", 0), ("listing/part-00000.parquet", 1), ("listing/part-00001.parquet", 0)]
    assert [(chunk.listing, chunk.row_group) for chunk in chunks] == places
    assert paths(output, chunks) == [["0.wav"], ["1.wav"], ["2.wav"]]


def test_a_rerun_names_its_parts_alike_and_other_files_or_settings_otherwise(output: Folder) -> None:
    files = [Found("pop/a.wav", 5), Found("pop/b.wav", 6)]
    (first,) = list_files(output, files)
    assert list_files(output, files) == [first]
    for changed in (Found("pop/b.wav", 7), Found("pop/b.wav", 6, mtime_ns=1)):
        (other,) = list_files(output, [files[0], changed])
        assert other.stem != first.stem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "walk", lambda source: iter(files))
        (again,) = write_listing("", output, Labeller(LabelsConfig()), ["other key"], {})
    assert again.stem != first.stem


def test_known_files_are_left_out_and_taken_from_what_is_known(output: Folder) -> None:
    """What stays in it is what the source no longer has as it was."""
    known = {
        "same.wav": Known("m", 5, 1, True),
        "size.wav": Known("m", 6, 1, True),
        "time.wav": Known("m", 5, 1, True),
        "before-1.1.wav": Known("m", 5, None, True),
        "unreadable.wav": Known("m", 5, 1, False),
        "dangling.wav": Known("m", 0, None, False),
        "unreachable.wav": Known("m", 5, 1, True),
        "gone.wav": Known("m", 7, 1, True),
    }
    found = [
        *(Found("same.wav", 5, 1), Found("size.wav", 60, 1), Found("time.wav", 5, 2), Found("before-1.1.wav", 5, 1)),
        *(Found("unreadable.wav", 5, 1), Found("dangling.wav", reason=Rejection.DANGLING_LINK)),
        *(Found("unreachable.wav", reason=Rejection.DANGLING_LINK), Found("new.wav", 1, 1)),
    ]
    (chunk,) = list_files(output, found, known)
    listed = {row["path"]: row["known"] for row in read_chunk(output, chunk)}
    again = ("size.wav", "time.wav", "before-1.1.wav", "unreadable.wav")
    assert listed == dict.fromkeys(again, "m") | {"new.wav": None}
    assert set(known) == {*again, "unreachable.wav", "gone.wav"}


def test_the_driver_does_not_hold_the_files(output: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """30,000 paths take about 8 MiB as rows; the chunks, a thousandth of it."""
    monkeypatch.setattr(listing, "CHUNK_COST", 1000 * listing.FILE_COST)
    monkeypatch.setattr(listing, "CHUNKS_A_PART", 2)

    def files() -> Iterator[Found]:
        return (Found(f"a-folder-with-a-long-name/{i:060d}.wav", 1) for i in range(30_000))

    monkeypatch.setattr(listing, "walk", lambda source: files())
    tracemalloc.start()
    try:
        n_files = sum(c.files for c in write_listing("", output, Labeller(LabelsConfig()), None, {}))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n_files == 30_000
    assert peak < 4 << 20

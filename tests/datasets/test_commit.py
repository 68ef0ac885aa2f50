"""The commit, for any manifest: counts add up, no group stands in two splits, the order of listing plays no part."""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from gmn.audio.fingerprint import to_bytes
from gmn.datasets.commit import commit
from gmn.datasets.dataset import Dataset
from gmn.datasets.schemas import MANIFEST, SEGMENTS
from gmn.datasets.settings import IngestConfig
from gmn.datasets.splits import SplitConfig
from gmn.datasets.summary import IngestSummary
from gmn.storage import Folder, digest

Row = dict[str, Any]

SILENT = to_bytes(np.zeros((0, 2), np.uint32))
FILE = st.tuples(
    st.sampled_from("ABCDEFGHIJ"),  # content: files of one letter are copies
    st.sampled_from(["rock", "pop", None]),
    st.sampled_from(["queen", "bach", None]),
    st.booleans(),  # whether it can be read
)
FILES = st.lists(FILE, min_size=1, max_size=12).filter(lambda files: any(readable for *_, readable in files))


def row_of(path: str, file: tuple[str, str | None, str | None, bool]) -> Row:
    content, genre, artist, readable = file
    row: Row = {"path": path, "bytes": 1, "genre": genre, "digest": digest(content.encode())}
    row["track_id"] = digest(path.encode(), content.encode())[:16]
    if not readable:
        return row | {"status": "rejected", "reason": "not_audio", "detail": "none"}
    return row | {"status": "ok", "n_samples": 40 * ord(content), "fingerprint": SILENT, "artist": artist}


def write(output: Folder, stem: str, rows: Sequence[Row]) -> str:
    output.write_table(f"manifest/{stem}.parquet", pa.Table.from_pylist(list(rows), MANIFEST))
    output.write_table(f"segments/{stem}.parquet", pa.Table.from_pylist([], SEGMENTS))
    return stem


def config_of(output: str, seed: int) -> IngestConfig:
    return IngestConfig(source="s", output=output, sample_rate=4000, segment_seconds=0.1, split=SplitConfig(seed=seed))


def check(output: str, summary: IngestSummary, paths: Collection[str]) -> dict[str, tuple[str, str]]:
    """Check what holds for every dataset; returns each path's group and split."""
    dataset = Dataset(output)
    rows = dataset.manifest().to_pylist()
    assert sorted(row["path"] for row in rows) == sorted(paths)  # one row a file
    by_status = Counter(row["status"] for row in rows)
    assert summary.files == len(rows)
    assert summary.tracks == by_status["ok"] == len(dataset.tracks) or summary.within_recording
    assert sum(summary.rejected.values()) == by_status["rejected"]
    assert summary.rejected == dict(Counter(row["reason"] for row in rows if row["status"] != "ok"))
    assert sum(summary.genres.values()) == sum(row["status"] == "ok" and row["genre"] is not None for row in rows)
    assert sum(summary.splits.values()) == len(dataset.split_rows())
    splits_of = defaultdict(set)
    for row in dataset.split_rows():
        splits_of[row["group"]].add(row["split"])
    assert summary.within_recording or all(len(splits) == 1 for splits in splits_of.values())
    path_of = {row["track_id"]: row["path"] for row in rows}
    return {path_of[row["track_id"]]: (row["group"], row["split"]) for row in dataset.split_rows()}


@settings(max_examples=40)
@given(FILES, st.integers(0, 9), st.randoms(use_true_random=False))
def test_counts_add_up_and_the_order_of_listing_plays_no_part(files, seed, random) -> None:  # type: ignore[no-untyped-def]
    rows = [row_of(f"{i}.wav", file) for i, file in enumerate(files)]
    found = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as output:
            cut = random.randint(0, len(rows) - 1)
            stems = [
                write(Folder(output), f"part-{i}", part) for i, part in enumerate((rows[:cut], rows[cut:])) if part
            ]
            summary = commit(Folder(output), stems, config_of(output, seed), (), ())
            stands = check(output, summary, [row["path"] for row in rows])
            found.append((Dataset(output).digest, stands, summary.conflicts, summary.splits, summary.copies))
        random.shuffle(rows)
    assert found[0] == found[1]


@settings(max_examples=40)
@given(FILES, FILES, st.lists(st.sampled_from(["same", "other", "gone"]), min_size=12, max_size=12), st.integers(0, 9))
def test_a_dataset_grows_without_moving_what_is_as_it_was(files, later, fates, seed) -> None:  # type: ignore[no-untyped-def]
    first = {f"{i}.wav": file for i, file in enumerate(files)}
    changed = {
        path: file for (path, _), file, fate in zip(first.items(), later, fates, strict=False) if fate == "other"
    }
    new = changed | {f"new-{i}.wav": file for i, file in enumerate(later)}
    gone = {path for path, fate in zip(first, fates, strict=False) if fate == "gone"}
    with tempfile.TemporaryDirectory() as output:
        folder, config = Folder(output), config_of(output, seed)
        stem = write(folder, "part-0", [row_of(path, file) for path, file in first.items()])
        summary = commit(folder, [stem], config, (), ())
        before = check(output, summary, first)
        if summary.within_recording:
            return
        stem = write(folder, "part-1", [row_of(path, file) for path, file in new.items()])
        summary = commit(folder, [stem], config, gone | changed.keys(), ())
        kept = {path for path, (*_, readable) in first.items() if readable or path not in gone}
        after = check(output, summary, kept | new.keys())
    assert summary.removed == sorted(path for path in gone if first[path][3])
    assert summary.changed == sorted(p for p, f in changed.items() if first[p][3] and f[0] != first[p][0])
    assert before.keys() - changed.keys() <= after.keys()
    for path in before.keys() & after.keys():
        assert after[path][1] == before[path][1]  # groups may have joined; what changed stays, or is rejected

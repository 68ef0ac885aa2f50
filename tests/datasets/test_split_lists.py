"""Splits by published lists, and the lists of GTZAN's fault-filtered split."""

from collections import Counter
from pathlib import Path

import pytest

from gmn.datasets import gtzan
from gmn.datasets.split_lists import SplitLists
from gmn.datasets.splits import SplitConfig
from gmn.errors import InputError


def write(folder: Path, *lists: str) -> tuple[str, ...]:
    files = [folder / f"{name}.txt" for name in ("train", "valid", "test")]
    for file, text in zip(files, lists, strict=True):
        file.write_text(text)
    return tuple(map(str, files))


def refusal(lists: tuple[str, ...]) -> str:
    with pytest.raises(InputError) as caught:
        SplitLists(lists)
    return str(caught.value)


@pytest.fixture
def lists(tmp_path: Path) -> SplitLists:
    return SplitLists(write(tmp_path, "rock/a.au\nrock/b.au\n", "\ufeffpop/a.au\r\n\r\n", "a\n"))


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("rock/a.au", "train"),
        ("rock/a.WAV", "train"),
        ("rock/a", "train"),
        ("deep/down/rock/b.mp3", "train"),
        ("pop/a.flac", "validation"),
        ("jazz/a.wav", "test"),
        ("a.wav", "test"),
        ("rock/c.wav", None),
        ("hardrock/b.wav", None),
        ("b.wav", None),
        ("rock/b.5", None),
    ],
)
def test_a_file_is_named_by_the_end_of_its_path_without_its_suffix(
    lists: SplitLists, path: str, split: str | None
) -> None:
    assert lists.split(path) == split


def test_names_without_a_track_are_told(lists: SplitLists) -> None:
    title = lists.title
    assert lists.gaps({"rock/a.wav": "ok", "rock/b.wav": "rejected", "pop/a.au": "rejected", "pop/a.wav": "ok"}) == [
        f"1 of the 4 tracks in {title} have no audio file (first: a)",
        f"1 of the 4 tracks in {title} are rejected (first: rock/b)",
    ]
    assert lists.gaps(dict.fromkeys(["rock/a.wav", "rock/b.wav", "pop/a.wav", "a.wav"], "ok")) == []


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    lists = write(tmp_path, "a", "b", "c")
    (tmp_path / "valid.txt").unlink()
    assert refusal(lists) == f"split.lists {tmp_path}/valid.txt: No such file or directory"


def test_a_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    lists = write(tmp_path, "a", "b", "c")
    (tmp_path / "test.txt").write_bytes(b"RIFF\xff\xff")
    assert refusal(lists) == f"split.lists {tmp_path}/test.txt: not a text file with a path a line"


def test_a_list_of_nothing_is_named(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, "a", " \n\n", "c")) == f"split.lists {tmp_path}/valid.txt: names no track"


def test_a_track_of_two_lists_is_named(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, "x/a.wav", "b", "c\nx/a.au"))
    assert message.endswith("'x/a.au' stands in two of the lists, train and test")


@pytest.mark.parametrize("lists", [("a",), ("a", "b"), ("gtzan", "b"), ()])
def test_lists_are_three_files_or_gtzan(lists: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="needs three files, for train, validation, test, or gtzan"):
        SplitConfig.model_validate({"lists": lists})


def test_the_fault_filtered_split_is_that_of_the_paper() -> None:
    """443, 197 and 290 excerpts: Kereliuk, Sturm, Larsen 2015."""
    lists = SplitLists(("gtzan",))
    assert Counter(lists.split_of.values()) == {"train": 443, "validation": 197, "test": 290}
    assert all(gtzan.genre(f"{name}.wav") for name in lists.split_of)
    assert lists.split("genres/jazz/jazz.00054.au") == "train"
    assert lists.split("blues/blues.00000.wav") == "validation"


def test_a_torchaudio_without_the_lists_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    SplitLists(("gtzan",))
    monkeypatch.delattr("torchaudio.datasets.gtzan.filtered_valid")
    assert refusal(("gtzan",)).startswith("split.lists=gtzan: the installed torchaudio has no lists of GTZAN")


@pytest.mark.parametrize(
    ("path", "genre"),
    [
        ("blues/blues.00029.wav", "blues"),
        ("genres/hiphop/hiphop.00099.au", "hiphop"),
        ("jazz.00054.WAV", "jazz"),
        ("blues/blues.029.wav", None),
        ("blues/29.wav", None),
        ("folk/folk.00001.wav", None),
        ("blues.00001/song.wav", None),
        ("blues/notblues.00001.wav", None),
    ],
)
def test_gtzans_names_state_the_genre(path: str, genre: str | None) -> None:
    assert gtzan.genre(path) == genre

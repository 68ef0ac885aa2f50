"""Finding audio files: order, litter, links, odd names, what cannot be opened, and the memory."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmn.audio.decode import SUFFIXES
from gmn.audio.rejection import Rejection
from gmn.datasets.path_text import path_bytes, path_text
from gmn.datasets.walk import AudioSource, walk
from gmn.errors import InputError


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def paths(root: Path | str) -> list[str]:
    return [found.path for found in walk(str(root)) if found.reason is None]


def problems(root: Path) -> dict[str, Rejection]:
    return {found.path: found.reason for found in walk(str(root)) if found.reason is not None}


def test_every_suffix_in_any_case_is_found_with_its_size(tmp_path: Path) -> None:
    put(tmp_path, *(f"x{suffix}" for suffix in SUFFIXES), *(f"Y{suffix.upper()}" for suffix in SUFFIXES), "Z.mP3")
    put(tmp_path, "cover.jpg", "notes.txt", "mp3", "x.mp3.part")
    found = list(walk(str(tmp_path)))
    assert len(found) == 17
    assert found[0].path == "Y.AIF"
    for one in found:
        info = (tmp_path / one.path).stat()
        assert (one.bytes, one.mtime_ns, one.reason) == (info.st_size, info.st_mtime_ns, None)


def test_the_order_is_fixed(tmp_path: Path) -> None:
    put(tmp_path, "b/2.wav", "a/b/1.wav", "z.wav", "a/z.wav", "c.wav", "a/B/1.wav", "a.b/1.wav", "é.wav")
    assert paths(tmp_path) == [
        *("c.wav", "z.wav", "é.wav"),
        *("a/z.wav", "a/B/1.wav", "a/b/1.wav", "a.b/1.wav", "b/2.wav"),
    ]


def test_litter_is_ignored(tmp_path: Path) -> None:
    put(tmp_path, "x.wav", "._x.wav", ".DS_Store", ".git/y.wav", "a/.hidden.wav", "__MACOSX/._x.wav")
    assert [found.path for found in walk(str(tmp_path))] == ["x.wav"]


def test_link_loops_end_and_a_folder_is_walked_once(tmp_path: Path) -> None:
    put(tmp_path, "source/z/1.wav", "elsewhere/2.wav", "elsewhere/deep/3.wav")
    source = tmp_path / "source"
    (source / "a").symlink_to(source / "z")  # before it in the order: the real path wins all the same
    (source / "z" / "loop").symlink_to("..")
    (source / "out").symlink_to(tmp_path / "elsewhere")
    (source / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(source)
    (source / "inner").symlink_to(tmp_path / "elsewhere" / "deep")
    assert paths(source) == ["z/1.wav", "again/2.wav", "again/deep/3.wav"]
    assert problems(source) == {}


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    put(tmp_path, "source/1.wav", "store/blob")
    (tmp_path / "source" / "2.wav").symlink_to("../store/blob")
    (tmp_path / "source" / "3.txt").symlink_to("1.wav")
    assert paths(tmp_path / "source") == ["1.wav", "2.wav"]
    with AudioSource(str(tmp_path / "source")).open("2.wav") as file:
        assert file.read() == b"store/blob"


def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    put(tmp_path, "x.wav")
    (tmp_path / "gone.wav").symlink_to("nowhere.wav")
    (tmp_path / "rock").symlink_to("/no/such/disk")
    (tmp_path / "self.mp3").symlink_to("self.mp3")
    os.mkfifo(tmp_path / "pipe.wav")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to_pipe.wav").symlink_to("pipe.wav")
    (tmp_path / "album.mp3").mkdir()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s.wav"))
        assert problems(tmp_path) == {
            "gone.wav": Rejection.DANGLING_LINK,
            "rock": Rejection.DANGLING_LINK,
            "self.mp3": Rejection.DANGLING_LINK,
            "pipe.wav": Rejection.NOT_A_FILE,
            "to_pipe.wav": Rejection.NOT_A_FILE,
            "s.wav": Rejection.NOT_A_FILE,
        }
    assert paths(tmp_path) == ["x.wav"]
    with pytest.raises(OSError, match="not a regular file"):
        AudioSource(str(tmp_path)).open("pipe.wav")


def test_an_unlistable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a/1.wav", "shut/2.wav", "z/3.wav")
    (tmp_path / "shut").chmod(0)
    if os.geteuid() == 0:  # root may list anything
        opened = os.open

        def refuse(path: str | bytes, *args: int, **options: int) -> int:
            if path == b"shut":
                raise PermissionError(13, "Permission denied")
            return opened(path, *args, **options)

        monkeypatch.setattr(os, "open", refuse)
    assert problems(tmp_path) == {"shut": Rejection.UNLISTABLE}
    assert paths(tmp_path) == ["a/1.wav", "z/3.wav"]
    (tmp_path / "shut").chmod(0o700)


def test_sixty_levels_of_long_names(tmp_path: Path) -> None:
    """The path is longer than the 4096 bytes that the system takes at once."""
    name = "länger" * 20
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(60):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    with os.fdopen(os.open("x.wav", os.O_CREAT | os.O_WRONLY, dir_fd=here), "wb") as file:
        file.write(b"sound")
    os.close(here)
    assert paths(tmp_path) == [f"{name}/" * 60 + "x.wav"]
    with AudioSource(str(tmp_path)).open(f"{name}/" * 60 + "x.wav") as file:
        assert file.read() == b"sound"


ODD = [b"\xff\xfe.wav", b"new\nline.wav", b"back\\slash.wav", b"tab\t.mp3", b"\\xff.wav", "‮gnp.wav".encode()]


def test_odd_names_are_stated_as_text_and_lead_back(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9\n"
    os.mkdir(folder)  # noqa: PTH102
    for name in ODD:
        with open(folder + b"/" + name, "wb") as file:  # noqa: PTH123
            file.write(name)
    source = AudioSource(str(tmp_path))
    found = list(source.walk())
    assert len(found) == len(ODD)
    for one in found:
        assert one.path.isprintable()
        assert one.path.startswith("caf\\xe9\\x0a/")
        with source.open(one.path) as file:
            assert file.read() == path_bytes(one.path).rpartition(b"/")[2]


@given(st.binary())
def test_path_text_is_reversible(raw: bytes) -> None:
    text = path_text(raw)
    assert path_bytes(text) == raw
    assert "\n" not in text
    text.encode()


@given(st.text("abcäöü 日本語%&'\"?*[]#.-_", min_size=1))
def test_ordinary_names_are_stated_as_they_are(name: str) -> None:
    assert path_text(name.encode()) == name


def test_a_source_that_cannot_be_used(tmp_path: Path) -> None:
    put(tmp_path, "x.wav")
    for address, message in {
        str(tmp_path / "missing"): "no such folder",
        str(tmp_path / "x.wav"): "not a folder",
        str(tmp_path / "x.wav" / "deeper"): "cannot be opened",
        "nonsense://x/y": "cannot open this address",
        f"file://{tmp_path}/missing": "no such folder",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            walk(address)
        assert address in str(caught.value)


def test_a_file_uri_is_a_path(tmp_path: Path) -> None:
    put(tmp_path, "a b/é.wav")
    assert paths(f"file://{tmp_path}".replace(" ", "%20")) == ["a b/é.wav"]


MEASURE = """
import resource, sys
from gmn.datasets.walk import walk
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
sum(1 for found in walk(sys.argv[1]))
before = peak()
print(sum(1 for found in walk(sys.argv[2])), peak() - before)
"""


@pytest.mark.parametrize(
    ("folders", "files"),
    [
        (20, 1000),
        pytest.param(1000, 1000, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param(1, 1_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_the_listing_is_streamed(folders: int, files: int, tmp_path: Path) -> None:
    for name, n in (("small", 1), ("large", folders)):
        for folder in range(n):
            (tmp_path / name / str(folder)).mkdir(parents=True)
            here = os.open(tmp_path / name / str(folder), os.O_RDONLY)
            for file in range(files if name == "large" else 1000):
                os.mknod(f"track {file:07d}.mp3", dir_fd=here)
            os.close(here)
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "small"), str(tmp_path / "large")]
    count, growth_mib = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(count) == folders * files
    assert float(growth_mib) < (100 if files > 1000 else 2)

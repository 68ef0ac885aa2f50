"""Folders and the commit protocol."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from gmn.errors import InputError
from gmn.storage import Folder, Format, digest, digest_json

THING = Format("gmn.thing", "thing.json", 2, 1)
TABLE = pa.table({"a": [1, 2, 3]})

HOLD = """
import sys, time
from gmn.storage import Folder, Format
with Format("gmn.thing", "thing.json", 2, 1).claim(Folder(sys.argv[1]), {"a": 1}):
    print("held", flush=True)
    time.sleep(60)
"""


class BrokenError(Exception):
    """Stands for whatever breaks a writer."""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "out")


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Open a folder that is not local, on a file system without renames and locks, as an object store's is."""
    (tmp_path / "bucket" / "top").mkdir(parents=True)
    store = pafs.SubTreeFileSystem(str(tmp_path / "bucket"), pafs.LocalFileSystem())

    class Stores:
        @staticmethod
        def from_uri(uri: str) -> tuple[pafs.FileSystem, str]:
            return store, uri.partition("://")[2].partition("?")[0]

    arrow = SimpleNamespace(**vars(pafs) | {"FileSystem": Stores})
    monkeypatch.setattr("gmn.storage.pafs", arrow)
    return Folder("store://top")


def break_off(folder: Folder) -> None:
    with folder.writing("a.bin") as stream:
        stream.write(b"half")
        raise BrokenError


def refusal(folder: Folder) -> str:
    with pytest.raises(InputError) as caught:
        THING.read(folder)
    return str(caught.value)


def claim(folder: Folder, request: dict[str, Any] | None = None) -> bool:
    with THING.claim(folder, {"a": 1} if request is None else request) as whole:
        return whole


def unclaimable(folder: Folder, request: dict[str, Any] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        claim(folder, request)
    return str(caught.value)


def commit(folder: Folder, version: str = "2.1", **content: Any) -> None:
    folder.write_json("thing.json", {"format": "gmn.thing", "version": version, **content})


def test_digest_json_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_json({"a": 1, "b": {"c": 2, "d": 3}}) == digest_json({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest_json([1, 2]) != digest_json([2, 1])
    assert digest(b"ab", b"c") == digest(b"abc")


def test_what_is_written_is_read(folder: Folder) -> None:
    folder.write_bytes("deep/er/a.bin", b"abc")
    folder.write_json("b.json", {"ü": 1})
    folder.write_table("c.parquet", TABLE)
    assert folder.read_bytes("deep/er/a.bin") == b"abc"
    assert folder.read_json("b.json") == {"ü": 1}
    assert folder.read_table("c.parquet") == TABLE
    assert folder.open_parquet("c.parquet").read() == TABLE
    assert folder.names() == ["b.json", "c.parquet", "deep"]
    assert folder.names("c") == ["c.parquet"]
    assert (folder / "deep/er").names() == ["a.bin"]


def test_an_error_while_writing_leaves_nothing_visible(folder: Folder) -> None:
    with pytest.raises(BrokenError):
        break_off(folder)
    assert folder.names() == []


def test_an_error_while_writing_keeps_what_was_there(folder: Folder) -> None:
    folder.write_bytes("a.bin", b"old")
    with pytest.raises(BrokenError):
        break_off(folder)
    assert folder.read_bytes("a.bin") == b"old"


def test_a_bucket_is_written_and_read(bucket: Folder) -> None:
    assert bucket.local is None
    assert not claim(bucket)
    bucket.write_table("a.parquet", TABLE)
    assert bucket.read_table("a.parquet") == TABLE
    assert bucket.open_parquet("a.parquet").read() == TABLE
    commit(bucket)
    assert claim(bucket)


def test_an_error_while_writing_to_a_bucket_leaves_nothing_visible(bucket: Folder) -> None:
    """Closing the upload published the truncated part, which a rerun then took for done."""
    with pytest.raises(BrokenError):
        break_off(bucket)
    assert not bucket.exists("a.bin")


def test_a_uris_options_stay_behind_its_path(bucket: Folder) -> None:
    """A folder below s3://bucket?endpoint_override=... once had its name appended to the options."""
    below = Folder("store://top?endpoint_override=here") / "below"
    assert below.uri == "store://top/below?endpoint_override=here"
    assert below.path == "top/below"


def test_a_question_mark_in_a_local_name_is_no_option(tmp_path: Path) -> None:
    assert (Folder(tmp_path / "why?") / "below").path == f"{tmp_path}/why?/below"


def test_a_file_uri_is_the_local_folder(tmp_path: Path) -> None:
    folder = Folder(f"file://{tmp_path}/out")
    folder.write_table("a/b.parquet", TABLE)
    assert folder.local == tmp_path / "out"
    assert pq.read_table(tmp_path / "out" / "a" / "b.parquet") == TABLE
    assert (folder / "a").names() == ["b.parquet"]
    assert not claim(folder / "c")


def test_an_address_does_not_depend_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Folder("out").address == str(tmp_path / "out")
    assert str(Folder("out")) == "out"


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(InputError, match="bogus://x"):
        Folder("bogus://x")


def test_a_damaged_json_is_named(folder: Folder) -> None:
    for content in (b'{"a": ', b"\xff\xfe"):
        folder.write_bytes("a.json", content)
        with pytest.raises(InputError, match=r"out/a\.json: not a JSON file"):
            folder.read_json("a.json")


def test_read_gives_the_root(folder: Folder) -> None:
    THING.write(folder, {"n": 5})
    assert THING.read(folder) == {"format": "gmn.thing", "version": "2.1", "n": 5}


def test_read_refuses_a_missing_folder(folder: Folder) -> None:
    assert refusal(folder) == f"{folder}: no such folder"


def test_read_refuses_a_folder_of_something_else(folder: Folder) -> None:
    folder.write_bytes("thesis.txt", b"mine")
    assert refusal(folder) == f"{folder}: not a thing (no thing.json in it)"


def test_read_refuses_a_file(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    assert "not a thing" in refusal(folder)


def test_read_says_that_the_job_has_not_finished(folder: Folder) -> None:
    claim(folder)
    assert refusal(folder) == f"{folder}: not a thing (its job has not finished: run it again)"


@pytest.mark.parametrize("job", ["[]", '"x"', '{"format": "gmn.other"}'])
def test_read_takes_another_programs_job_file_for_what_it_is(folder: Folder, job: str) -> None:
    folder.write_bytes("job.json", job.encode())
    assert "no thing.json in it" in refusal(folder)


@pytest.mark.parametrize("root", [{"format": "gmn.other", "version": "2.1"}, {}, []])
def test_read_refuses_another_format(folder: Folder, root: object) -> None:
    folder.write_json("thing.json", root)
    assert refusal(folder) == f"{folder}/thing.json: not the root of a thing"


@pytest.mark.parametrize("version", ["2.2", "3.0", "10.0"])
def test_read_refuses_a_newer_version(folder: Folder, version: str) -> None:
    commit(folder, version)
    assert f"format {version}, written by a newer gmn; this one reads up to 2.1" in refusal(folder)


@pytest.mark.parametrize("version", ["2", "2.x", "", "2.1.0"])
def test_read_refuses_a_version_that_is_none(folder: Folder, version: str) -> None:
    commit(folder, version)
    assert f"version {version!r} is not of the form 1.0" in refusal(folder)


def test_read_accepts_an_older_minor_version(folder: Folder) -> None:
    commit(folder, "2.0", n=5)
    assert THING.read(folder)["n"] == 5


def test_read_names_a_damaged_root(folder: Folder) -> None:
    folder.write_bytes("thing.json", b'{"format": "gmn.th')
    assert "thing.json: not a JSON file (damaged?)" in refusal(folder)


def test_claim_of_a_new_folder_writes_the_request(folder: Folder) -> None:
    assert claim(folder, {"a": 1, "b": (1, 2)}) is False
    assert folder.read_json("job.json") == {"format": "gmn.thing", "request": {"a": 1, "b": [1, 2]}}


def test_claim_of_the_same_request_resumes_and_then_is_whole(folder: Folder) -> None:
    assert claim(folder, {"b": (1, 2)}) is False
    assert claim(folder, {"b": (1, 2)}) is False
    commit(folder)
    assert claim(folder, {"b": (1, 2)}) is True


def test_claim_after_a_kill_before_the_request_was_written(folder: Folder) -> None:
    folder.write_bytes("job.json", b"")
    assert claim(folder) is False
    assert folder.read_json("job.json")["request"] == {"a": 1}


def test_claim_of_another_request_names_what_changed(folder: Folder) -> None:
    claim(folder, {"fit": {"steps": 5, "rate": 1.0}, "gone": 1})
    message = unclaimable(folder, {"fit": {"steps": 6, "rate": 1.0}, "new": True})
    assert "was made by another request (fit.steps 5 -> 6, gone 1 -> None, new None -> True)" in message


def test_claim_leaves_a_foreign_folder_alone(folder: Folder) -> None:
    folder.write_bytes("thesis.txt", b"mine")
    assert "holds something else (it has 'thesis.txt' but no job.json)" in unclaimable(folder)
    assert folder.names() == ["thesis.txt"]


def test_claim_leaves_another_formats_folder_alone(folder: Folder) -> None:
    with Format("gmn.other", "other.json", 1, 0).claim(folder, {"a": 1}):
        pass
    assert "holds something else (a gmn.other)" in unclaimable(folder)


@pytest.mark.parametrize("job", ["[]", '"x"', "{}"])
def test_claim_leaves_another_programs_folder_alone(folder: Folder, job: str) -> None:
    """A job.json that holds a list once ended in a traceback."""
    folder.write_bytes("job.json", job.encode())
    assert "holds something else" in unclaimable(folder)
    assert folder.read_bytes("job.json") == job.encode()


def test_claim_refuses_a_second_writer(folder: Folder) -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD, folder.uri], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        assert unclaimable(folder) == f"output {folder}: another job is writing it"
    finally:
        first.kill()
        first.communicate()
    assert claim(folder) is False  # the lock went with the killed process


def test_claim_lets_go_after_an_error(folder: Folder) -> None:
    with pytest.raises(BrokenError), THING.claim(folder, {"a": 1}):
        raise BrokenError
    assert claim(folder) is False


def test_a_released_folder_is_free_for_another_request(folder: Folder) -> None:
    with THING.claim(folder, {"a": 1}):
        THING.release(folder)
    assert "no thing.json in it" in refusal(folder)
    assert claim(folder, {"a": 2}) is False
    assert folder.read_json("job.json")["request"] == {"a": 2}


@pytest.mark.parametrize("below", ["", "/below", "/be/low"])
def test_claim_refuses_what_cannot_be_written(tmp_path: Path, below: str) -> None:
    """An output that is itself a file once ended in a traceback."""
    (tmp_path / "file").write_text("mine")
    assert unclaimable(Folder(f"{tmp_path}/file{below}")).endswith("cannot be written: Not a directory")
    assert (tmp_path / "file").read_text() == "mine"


def test_claim_refuses_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    """It ended in a traceback."""
    (tmp_path / "link").symlink_to("none")
    assert unclaimable(Folder(tmp_path / "link")).endswith("no folder can be made there (a link that leads nowhere?)")


def test_parts_are_complete_as_soon_as_they_are_visible(folder: Folder) -> None:
    with folder.writing("part.json") as stream:
        stream.write(json.dumps([1] * 1000).encode())
        visible = [name for name in folder.names() if not name.startswith(".")]
        assert visible == []
    assert len(folder.read_json("part.json")) == 1000


def test_no_temporary_file_stays(folder: Folder) -> None:
    folder.write_bytes("a", b"")
    with contextlib.suppress(BrokenError), folder.writing("b"):
        raise BrokenError
    assert {path.name for path in Path(folder.path).iterdir()} == {"a"}

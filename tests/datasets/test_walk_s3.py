"""Finding audio files behind a real S3 API, served on loopback."""

import os
from collections.abc import Iterator

import pyarrow.fs as pafs
import pytest
from moto.server import ThreadedMotoServer

from gmn.datasets import walk as walk_module
from gmn.datasets.walk import AudioSource, Found, walk
from gmn.errors import InputError


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[pafs.S3FileSystem, str]]:
    """Serve an S3 API; returns a file system and what an address ends with."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        fs = pafs.S3FileSystem(
            endpoint_override=f"{host}:{port}", scheme="http", region="us-east-1", allow_bucket_creation=True
        )
        fs.create_dir("music")
        yield fs, f"?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    server.stop()


def upload(fs: pafs.S3FileSystem, key: str, content: bytes) -> None:
    with fs.open_output_stream(f"music/{key}") as stream:
        stream.write(content)


def test_s3(s3: tuple[pafs.S3FileSystem, str], monkeypatch: pytest.MonkeyPatch) -> None:
    fs, options = s3
    for key in (
        "in/b/2.WAV",
        "in/z.mp3",
        "in/b/é x.ogg",
        "in/._z.mp3",
        "in/notes.txt",
        "in/a/deep/1.flac",
        "out/4.wav",
    ):
        upload(fs, key, key.encode())
    source = AudioSource(f"s3://music/in{options}")
    found = list(source.walk())
    assert [one.path for one in found] == ["z.mp3", "a/deep/1.flac", "b/2.WAV", "b/é x.ogg"]
    assert found[0] == Found("z.mp3", 8, found[0].mtime_ns)
    assert found[0].mtime_ns
    for whole_bytes in (0, walk_module.WHOLE_BYTES):
        monkeypatch.setattr(walk_module, "WHOLE_BYTES", whole_bytes)
        with source.open("b/é x.ogg") as file:
            assert file.read(4) == b"in/b"
            assert file.seek(0, os.SEEK_END) == len("in/b/é x.ogg".encode())
    assert [one.path for one in walk(f"s3://music{options}")][-1] == "out/4.wav"
    with pytest.raises(OSError, match=r"not exist|not found"):
        source.open("gone.wav")


def test_s3_addresses_that_cannot_be_used(s3: tuple[pafs.S3FileSystem, str]) -> None:
    fs, options = s3
    upload(fs, "file.wav", b"x")
    for path, message in {
        "music/nothing": "no such folder",
        "nobody/x": "no such folder",
        "music/file.wav": "not a folder",
    }.items():
        with pytest.raises(InputError, match=message):
            walk(f"s3://{path}{options}")


def test_an_s3_endpoint_that_does_not_answer(s3: tuple[pafs.S3FileSystem, str]) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        walk("s3://music/in?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1")

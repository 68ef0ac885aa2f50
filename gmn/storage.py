"""Folders, local or behind any URI that `pyarrow.fs` opens, and the commit protocol, in one place for all formats.

    job.json     first   what was asked for; its lock is held by the one writer
    part files   then    immutable, complete as soon as their name is visible
    ROOT.json    last    names the parts that count; whatever it does not name is litter

A local part is written under a temporary name and renamed; an object store shows an upload only once it is whole. So a
kill at any moment leaves complete parts and at most one temporary file, and the same command goes on from there.
"""

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from gmn.errors import InputError

JOB_FILE = "job.json"


def digest(*parts: bytes) -> str:
    """Return the SHA-256 of some bytes as 64 hexadecimal digits."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()


def digest_json(value: object) -> str:
    """Return the digest of a JSON value, independent of the order of its keys."""
    return digest(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


class Folder:
    """A folder by path or URI; it need not exist.

    Raises InputError where the URI's scheme is unknown.
    """

    def __init__(self, uri: str | Path) -> None:
        self.uri = str(uri).rstrip("/") or "/"
        try:
            if "://" in self.uri:
                self._fs, self.path = pafs.FileSystem.from_uri(self.uri)
            else:
                self._fs, self.path = pafs.LocalFileSystem(), str(Path(self.uri).absolute())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(f"{self.uri}: cannot open this address: {error}") from None

    def __truediv__(self, name: str) -> "Folder":
        # A URI's options stand behind its path: s3://bucket/folder?endpoint_override=...
        path, mark, options = self.uri.partition("?") if "://" in self.uri else (self.uri, "", "")
        return Folder(f"{path}/{name}{mark}{options}")

    def __str__(self) -> str:
        return self.uri

    @property
    def address(self) -> str:
        """The folder's absolute path, or its URI: what names it in every process."""
        return self.path if self.local is not None else self.uri

    @property
    def local(self) -> Path | None:
        """The folder as a local path, or None where it lies in an object store."""
        return Path(self.path) if isinstance(self._fs, pafs.LocalFileSystem) else None

    def exists(self, name: str = "") -> bool:
        """Tell whether a file or folder of this name exists."""
        return self._fs.get_file_info(self._at(name)).type != pafs.FileType.NotFound

    def names(self, prefix: str = "") -> list[str]:
        """List the files and folders directly in this folder, sorted; empty where it does not exist."""
        found = self._fs.get_file_info(pafs.FileSelector(self.path, allow_not_found=True))
        return sorted(info.base_name for info in found if info.base_name.startswith(prefix))

    def read_bytes(self, name: str) -> bytes:
        """Read a whole file."""
        with self._fs.open_input_stream(self._at(name), compression=None) as stream:
            return bytes(stream.read())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file so that its name shows either nothing or all of it."""
        with self.writing(name) as stream:
            stream.write(content)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file for writing; its name becomes visible when the block ends without an error."""
        if self.local is None:
            # Closing an upload publishes it, even after an error: it starts once everything is there.
            buffer = io.BytesIO()
            yield buffer
            with self._fs.open_output_stream(self._at(name), compression=None) as stream:
                stream.write(buffer.getbuffer())
            return
        target = Path(self._at(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            with temporary.open("wb") as file:
                yield file
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def read_json(self, name: str) -> Any:
        """Read a JSON file.

        Raises InputError where it is not JSON.
        """
        try:
            return json.loads(self.read_bytes(name))
        except ValueError:
            raise InputError(f"{self.uri}/{name}: not a JSON file (damaged?)") from None

    def write_json(self, name: str, value: object) -> None:
        """Write a JSON file, readable by people, in one piece."""
        self.write_bytes(name, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())

    def read_table(self, name: str, columns: list[str] | None = None, schema: pa.Schema | None = None) -> pa.Table:
        """Read one Parquet file."""
        return pq.read_table(self._at(name), filesystem=self._fs, columns=columns, schema=schema)

    def open_parquet(self, name: str) -> pq.ParquetFile:
        """Open one Parquet file for reading by row group, memory-mapped where it is local."""
        if self.local is not None:
            return pq.ParquetFile(self._at(name), memory_map=True)
        return pq.ParquetFile(self._fs.open_input_file(self._at(name)))

    def write_table(self, name: str, table: pa.Table, **options: Any) -> None:
        """Write one Parquet file in one piece; `options` go to `pyarrow.parquet.write_table`."""
        with self.writing(name) as stream:
            pq.write_table(table, stream, **options)

    def _at(self, name: str) -> str:
        return f"{self.path}/{name}" if name else self.path


@dataclass(frozen=True)
class Format:
    """A kind of output folder: its root file and the version that this gmn writes."""

    name: str
    root: str
    major: int
    minor: int

    def write(self, folder: Folder, content: Mapping[str, Any]) -> None:
        """Commit: write the root file, last of all."""
        folder.write_json(self.root, {"format": self.name, "version": f"{self.major}.{self.minor}", **content})

    def whole(self, folder: Folder) -> bool:
        """Tell whether the folder has been committed."""
        return folder.exists(self.root)

    def read(self, folder: Folder) -> dict[str, Any]:
        """Read the root file.

        Raises InputError where the folder is missing, is not of this format, or was written by a newer gmn.
        """
        kind = self.name.removeprefix("gmn.")
        if not folder.exists():
            raise InputError(f"{folder}: no such folder")
        if not self.whole(folder):
            unfinished = _claimed(folder) and _job_format(folder.read_json(JOB_FILE)) == self.name
            why = "its job has not finished: run it again" if unfinished else f"no {self.root} in it"
            raise InputError(f"{folder}: not a {kind} ({why})")
        root = folder.read_json(self.root)
        if not isinstance(root, dict) or root.get("format") != self.name:
            raise InputError(f"{folder}/{self.root}: not the root of a {kind}")
        version = str(root.get("version"))
        try:
            major, minor = (int(part) for part in version.split("."))
        except ValueError:
            raise InputError(f"{folder}/{self.root}: version {version!r} is not of the form 1.0") from None
        if (major, minor) > (self.major, self.minor):
            raise InputError(
                f"{folder}: a {kind} of format {version}, written by a newer gmn; this one reads up to "
                f"{self.major}.{self.minor}"
            )
        return root

    @contextlib.contextmanager
    def claim(self, folder: Folder, request: Mapping[str, Any]) -> Iterator[bool]:
        """Hold a folder as its one writer; yields True where the same request has already been committed.

        Raises InputError where the folder holds something else, was made by another request, cannot be written, or
        another job is writing it. The lock is advisory and local (flock): it ends with the process, even by SIGKILL.
        """
        request = json.loads(json.dumps(request))
        with writable(folder.uri):
            here = [name for name in folder.names() if not name.startswith(".")]
            if here and JOB_FILE not in here:
                raise InputError(f"output {folder}: holds something else (it has {here[0]!r} but no {JOB_FILE})")
            with _lock(folder):
                if _claimed(folder):
                    self._compare(folder, folder.read_json(JOB_FILE), request)
                else:
                    folder.write_json(JOB_FILE, {"format": self.name, "request": request})
                yield self.whole(folder)

    def release(self, folder: Folder) -> None:
        """Let any request have a claimed folder that was not committed.

        For a job whose parts are named by all that they are made of: no other request takes them for its own.
        """
        folder.write_bytes(JOB_FILE, b"")

    def _compare(self, folder: Folder, job: Any, request: Mapping[str, Any]) -> None:
        if _job_format(job) != self.name:
            raise InputError(f"output {folder}: holds something else (a {_job_format(job)})")
        before, now = _flat(job.get("request", {})), _flat(request)
        changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        if changed:
            listed = ", ".join(f"{key} {before.get(key)!r} -> {now.get(key)!r}" for key in changed[:4])
            raise InputError(
                f"output {folder}: was made by another request ({listed}); name another output or remove it"
            )


@contextlib.contextmanager
def writable(output: str) -> Iterator[None]:
    """Turn what forbids writing to an output, such as a full disk, into an InputError that names it.

    `Format.claim` does it for the driver. A worker does it itself: Ray brings back no errno.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"output {output}: cannot be written: {os.strerror(error.errno)}") from error
        raise


@contextlib.contextmanager
def _lock(folder: Folder) -> Iterator[None]:
    if folder.local is None:
        yield
        return
    try:
        folder.local.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError):
        raise InputError(f"output {folder}: no folder can be made there (a link that leads nowhere?)") from None
    with (folder.local / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"output {folder}: another job is writing it") from None
        yield


def _claimed(folder: Folder) -> bool:
    """Tell whether a request has this folder; an empty job.json is one that was killed, or released."""
    return folder.exists(JOB_FILE) and bool(folder.read_bytes(JOB_FILE))


def _job_format(job: Any) -> Any:
    """Tell which format a job.json belongs to; one of another program has none."""
    return job.get("format") if isinstance(job, dict) else None


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat

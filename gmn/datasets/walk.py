"""Finding the audio files of a source: a folder, local or behind any URI that `pyarrow.fs` opens.

    AudioSource(address).walk() -> Found, Found, ...      lazily: one folder's names are the most that is ever held
    AudioSource(address).open(found.path) -> the file

Order: the files of a folder by name, then its subfolders by name, byte by byte. Links to files and folders are
followed, links to folders last of all and never into a folder that was already walked, so that a file is found under
its real path where it has one in the source. Names that start with a dot are litter (`._x`, `.DS_Store`).

Paths are stated as text that prints: see `gmn.datasets.path_text`.
"""

import errno
import io
import os
import stat
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.fs as pafs

from gmn.audio.decode import SUFFIXES
from gmn.audio.rejection import Rejection
from gmn.datasets.path_text import path_bytes, path_text
from gmn.errors import InputError

WHOLE_BYTES = 64 << 20
"""Remote files up to this size are fetched in one request; decoders make small reads, each of which would be one."""

_REMOTE_BUFFER = 8 << 20
_PIECE_BYTES = 2048
"""The system refuses paths of 4096 bytes; longer ones are gone down piece by piece."""
_SUFFIXES = tuple(suffix.encode() for suffix in SUFFIXES)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """An audio file of the source, or, with a `reason`, something that stands in the way of one."""

    path: str
    """Relative to the source, as text."""
    bytes: int = 0
    """Size; 0 where it is not known."""
    mtime_ns: int | None = None
    """When it was last written, in ns since 1970, where that is known."""
    reason: Rejection | None = None
    """Why it cannot be used: dangling_link, unlistable, not_a_file or unreadable."""
    detail: str = ""
    """The same, for people."""


def walk(address: str) -> Iterator[Found]:
    """Find the audio files of a source; raises InputError at once where it cannot be used."""
    return AudioSource(address).walk()


class AudioSource:
    """A folder of audio by path or URI.

    Raises InputError where it is missing, is not a folder, cannot be listed or cannot be reached.
    """

    def __init__(self, address: str):
        self.address = address
        self._fs, self._path = _connect(address)
        try:
            kind = self._kind()
            if kind is pafs.FileType.Directory and self._fs is None:
                os.close(self._open_local(b"", _FOLDER))
        except OSError as error:
            raise InputError(f"source {address}: cannot be opened: {error.strerror or error}") from None
        if kind is not pafs.FileType.Directory:
            what = "no such folder" if kind is pafs.FileType.NotFound else "not a folder"
            raise InputError(f"source {address}: {what}")

    def walk(self) -> Iterator[Found]:
        """Find the audio files, and the problems, in a fixed order."""
        seen: dict[int, set[int]] = {}
        links = deque([b""])  # the source itself comes first
        while links:
            folders = [(links.popleft(), [b""])]
            while folders:
                parent, names = folders[-1]
                if not names:
                    folders.pop()
                    continue
                folder = _join(parent, names.pop())
                inner = yield from (
                    self._local_folder(folder, seen, links) if self._fs is None else self._remote_folder(folder)
                )
                inner.sort(reverse=True)
                folders.append((folder, inner))

    def open(self, path: str) -> BinaryIO:
        """Open a file that was found, by its `path`, for reading; it can seek.

        Raises OSError where it cannot be opened, or is no regular file.
        """
        raw = path_bytes(path)
        if self._fs is None:
            # Opening a pipe would wait for its writer.
            descriptor = self._open_local(raw, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise OSError(errno.EINVAL, "not a regular file")
            return os.fdopen(descriptor, "rb")
        file = self._fs.open_input_file(f"{self._path}/{raw.decode()}")
        if file.size() > WHOLE_BYTES:
            return io.BufferedReader(file, _REMOTE_BUFFER)
        with file:
            return io.BytesIO(file.read())

    def _kind(self) -> pafs.FileType:
        if self._fs is not None:
            return self._fs.get_file_info(self._path).type
        try:
            is_folder = stat.S_ISDIR(os.stat(os.fsencode(self._path)).st_mode)  # noqa: PTH116 (the name may be any bytes)
        except FileNotFoundError:
            return pafs.FileType.NotFound
        return pafs.FileType.Directory if is_folder else pafs.FileType.File

    def _open_local(self, path: bytes, flags: int) -> int:
        """Open a path relative to the source, of any length."""
        at = os.open(os.fsencode(self._path), _FOLDER if path else flags)
        while path:
            cut = len(path) if len(path) <= _PIECE_BYTES else path.rindex(b"/", 0, _PIECE_BYTES)
            piece, path = path[:cut], path[cut + 1 :]
            try:
                inner = os.open(piece, _FOLDER if path else flags, dir_fd=at)
            finally:
                os.close(at)
            at = inner
        return at

    def _local_folder(
        self, folder: bytes, seen: dict[int, set[int]], links: deque[bytes]
    ) -> Generator[Found, None, list[bytes]]:
        """Yield what a folder holds, add its links to folders to `links`; returns the names of its subfolders."""
        try:
            descriptor = self._open_local(folder, _FOLDER)
        except OSError as error:
            yield Found(path_text(folder), reason=Rejection.UNLISTABLE, detail=str(error.strerror))
            return []
        try:
            here = os.fstat(descriptor)
            walked = seen.setdefault(here.st_dev, set())
            if here.st_ino in walked:
                return []
            walked.add(here.st_ino)
            names: list[bytes] = []
            folders: list[bytes] = []
            linked: list[bytes] = []
            try:
                with os.scandir(descriptor) as entries:
                    for entry in entries:
                        _sort_in(entry, names, folders, linked)
            except OSError as error:
                yield Found(path_text(folder), reason=Rejection.UNLISTABLE, detail=str(error.strerror))
            links.extend(_join(folder, name) for name in sorted(linked))
            names.sort()
            for name in names:
                if (found := _look_at(descriptor, folder, name)) is not None:
                    yield found
            return folders
        finally:
            os.close(descriptor)

    def _remote_folder(self, folder: bytes) -> Generator[Found, None, list[bytes]]:
        """Yield what a folder holds; returns the names of its subfolders."""
        assert self._fs is not None
        selector = pafs.FileSelector(f"{self._path}/{folder.decode()}".rstrip("/"))
        try:
            listed = self._fs.get_file_info(selector)
        except (OSError, pa.ArrowException) as error:
            yield Found(path_text(folder), reason=Rejection.UNLISTABLE, detail=str(error))
            return []
        folders: list[bytes] = []
        files: list[tuple[bytes, int, int | None]] = []
        while listed:  # entry by entry, so that the two lists never stand side by side
            info = listed.pop()
            name = info.base_name.encode()
            if name.startswith(b"."):
                continue
            if info.type == pafs.FileType.Directory:
                folders.append(name)
            elif info.type == pafs.FileType.File and _is_audio(name):
                files.append((name, info.size, info.mtime_ns))
        for name, size, mtime_ns in sorted(files):
            yield Found(path_text(_join(folder, name)), size, mtime_ns)
        return folders


def _connect(address: str) -> tuple[pafs.FileSystem | None, str]:
    """Return the file system of an address, None for the local one, and the path in it."""
    if "://" not in address:
        return None, os.path.join(os.getcwd(), address)  # noqa: PTH109, PTH118 (".." stays: a link may stand before)
    try:
        fs, path = pafs.FileSystem.from_uri(address)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"source {address}: cannot open this address: {error}") from None
    return (None, path) if isinstance(fs, pafs.LocalFileSystem) else (fs, path.rstrip("/"))


def _is_audio(name: bytes) -> bool:
    return name.lower().endswith(_SUFFIXES)


def _join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder and name else folder or name


def _sort_in(entry: os.DirEntry[str], names: list[bytes], folders: list[bytes], linked: list[bytes]) -> None:
    """Sort an entry in with the folders, the links to folders, or the names to look at; or drop it."""
    name = os.fsencode(entry.name)
    if name.startswith(b"."):
        return
    is_link = entry.is_symlink()
    try:
        is_folder = stat.S_ISDIR(entry.stat().st_mode) if is_link else entry.is_dir(follow_symlinks=False)
    except OSError:
        names.append(name)  # whatever its name: a folder of audio may have been meant
        return
    if is_folder:
        (linked if is_link else folders).append(name)
    elif _is_audio(name):
        names.append(name)


def _look_at(descriptor: int, folder: bytes, name: bytes) -> Found | None:
    """Return what a name stands for; None for what is no audio after all."""
    path = path_text(_join(folder, name))
    try:
        info = os.stat(name, dir_fd=descriptor)
    except OSError as error:
        detail = str(error.strerror)
        try:
            is_link = stat.S_ISLNK(os.lstat(name, dir_fd=descriptor).st_mode)
        except OSError:
            is_link = False
        if is_link and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            target = path_text(os.fsencode(os.readlink(name, dir_fd=descriptor)))
            return Found(path, reason=Rejection.DANGLING_LINK, detail=f"a link to {target}: {detail}")
        return Found(path, reason=Rejection.UNREADABLE, detail=detail)
    if stat.S_ISREG(info.st_mode):
        return Found(path, info.st_size, info.st_mtime_ns) if _is_audio(name) else None
    return Found(path, reason=Rejection.NOT_A_FILE, detail="a pipe, socket or device")

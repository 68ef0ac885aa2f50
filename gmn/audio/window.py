"""A part of an open file, as a file of its own, for decoders that call back from C."""

import io
import os
from typing import Any, BinaryIO

_BUFFER = 1 << 16


class Window(io.RawIOBase):
    """The bytes `start` to `end` of an open binary file, read-only; closing it leaves the file open.

    It has no name: soundfile would take a name in .raw for a promise of no header. An exception must not cross C code,
    where it would look like the end of the file: a failing read ends the window, and `failure` keeps the exception.
    """

    def __init__(self, file: BinaryIO, start: int = 0, end: int | None = None):
        self._file = file
        self.start = start
        self.end = file.seek(0, os.SEEK_END) if end is None else end
        self._at = start
        self.failure: Exception | None = None
        file.seek(start)

    def buffered(self) -> io.BufferedReader:
        """Return a buffer over the window, which makes the small reads of decoders cheap."""
        return io.BufferedReader(self, _BUFFER)

    def part(self, start: int, end: int) -> "Window":
        """Return another window of the same file; only one of them can be read at a time."""
        return Window(self._file, start, end)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can seek."""
        return True

    def tell(self) -> int:
        """Return the offset of the position from the window's start."""
        return self._at - self.start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset from the window's start, the position or the window's end; returns the new offset."""
        base = {os.SEEK_SET: self.start, os.SEEK_CUR: self._at, os.SEEK_END: self.end}[whence]
        self._at = max(self.start, base + offset)
        try:
            self._file.seek(self._at)
        except Exception as error:
            self.failure = error
        return self._at - self.start

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer once, no further than the window's end; returns the number of bytes."""
        if self.failure is not None:
            return 0
        try:
            with memoryview(buffer)[: max(0, self.end - self._at)] as room:
                got: int = self._file.readinto(room)  # type: ignore[attr-defined]
        except Exception as error:
            self.failure = error
            return 0
        self._at += got
        return got

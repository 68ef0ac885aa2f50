"""Keeps what a C library prints to the standard error stream off the terminal."""

import contextlib
import os
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_inside = 0
_saved = -1


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere within the block, in the whole process; threads may overlap.

    mpg123 prints a line for each damaged frame, whatever its caller asks for.
    """
    global _inside, _saved
    with _lock:
        if _inside == 0:
            try:
                _saved = os.dup(2)
            except OSError:  # a process without a standard error stream
                _saved = -1
            else:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 2)
                os.close(nowhere)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _saved >= 0:
                os.dup2(_saved, 2)
                os.close(_saved)

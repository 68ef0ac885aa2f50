"""Calling a job as the command line does."""

import contextlib
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Ended:
    """How a job ended, and what it said."""

    code: int
    out: str
    err: str


Call = Callable[..., Ended]


def call_job(main: Callable[[list[str]], int], *given: str) -> Ended:
    out, err, root = io.StringIO(), io.StringIO(), logging.getLogger()
    handlers = list(root.handlers)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(list(given))
    finally:
        # A job sends the process's log to its run folder: back to pytest's.
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        logging.captureWarnings(False)
    return Ended(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def call() -> Call:
    """Return a function that runs a job's main with arguments."""
    return call_job

"""What all jobs share: the command line, the log file, progress bars, errors and exit codes."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

from gmn import runtime, tracking
from gmn.config import Config, build, help_text, split_arguments
from gmn.errors import GmnError
from gmn.storage import Folder

C = TypeVar("C", bound=Config)


def run(
    module: str,
    summary: str,
    schema: type[C] | Mapping[str, type[C]],
    job: Callable[[C], str],
    argv: Sequence[str] | None = None,
) -> int:
    """Run a job from its command line; returns the exit code.

    `job` does the work and returns where the result is. Exit codes: 0 done, 2 unusable input, 130 interrupted.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if "--help" in arguments or "-h" in arguments:
        print(help_text(schema, module, summary))
        return 0
    try:
        config = build(schema, *split_arguments(arguments))
        result = job(config)
    except KeyboardInterrupt:
        return _fail(module, "interrupted; the same command goes on from here", 130)
    except Exception as error:
        cause = _cause(error)
        if not isinstance(cause, GmnError):
            raise
        return _fail(module, str(cause), cause.exit_code)
    print(result)
    return 0


def log_beside(output: str) -> None:
    """Keep this process's log records in gmn.log in the run folder, the one that holds the output."""
    runtime.keep_log(tracking.run_folder(Folder(output)) / "gmn.log")


class Bar:
    """A progress bar on a terminal; elsewhere a line now and then, so that job logs stay readable."""

    def __init__(self, name: str, unit: str) -> None:
        self._name, self._unit = name, unit
        self._bar: Any = None
        self._said = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show that so much is done."""
        if self._terminal:
            if self._bar is None:
                self._bar = tqdm(total=total, initial=done, desc=self._name, unit=self._unit, dynamic_ncols=True)
            self._bar.update(done - self._bar.n)
            if note:
                self._bar.set_postfix_str(note)
        elif done == total or time.monotonic() - self._said > 10:
            self._said = time.monotonic()
            print(f"{self._name}: {done} of {total} {self._unit} {note}".rstrip(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        if self._bar is not None:
            self._bar.close()


def _cause(error: BaseException) -> BaseException:
    """Find the error of ours that a worker's error was made of."""
    seen: BaseException | None = error
    # Ray's copy of an error is of its class as well, but its text is the worker's traceback.
    while seen is not None and (not isinstance(seen, GmnError) or hasattr(seen, "cause")):
        seen = getattr(seen, "cause", None) or seen.__cause__
    return seen or error


def _fail(module: str, message: str, code: int) -> int:
    for line in message.splitlines():
        print(f"{module}: {line}", file=sys.stderr)
    return code

"""The errors that gmn raises on purpose, each with the exit code of a job that ends by it."""


class GmnError(Exception):
    """Base of gmn's own errors; a job that ends by one prints its message and exits with `exit_code`."""

    exit_code = 1


class InputError(GmnError, ValueError):
    """The user's input cannot be used: the message names the key, the file or the folder, and what to do."""

    exit_code = 2


class RejectedError(GmnError):
    """The work is done, but input that was to be perfect was not: some of it was rejected."""

    exit_code = 3

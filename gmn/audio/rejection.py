"""Why a file of the source cannot become a track: a closed list, each with a written rule in docs/audio-rules.md."""

from enum import StrEnum


class Rejection(StrEnum):
    """Why a file cannot be used."""

    UNREADABLE = "unreadable"
    """The file cannot be opened or read: it is missing, a folder, not ours to read, or its disk or network fails."""
    DANGLING_LINK = "dangling_link"
    """A symbolic link that leads nowhere, or in a circle."""
    UNLISTABLE = "unlistable"
    """A folder whose content cannot be listed."""
    NOT_A_FILE = "not_a_file"
    """A pipe, socket or device with the name of an audio file."""
    NOT_AUDIO = "not_audio"
    """No decoder knows the content, or its header is damaged."""
    LFS_POINTER = "lfs_pointer"
    """The text that Git LFS leaves in place of a file that was not fetched."""
    WEB_PAGE = "web_page"
    """An HTML or XML page, such as an error page saved in place of a download."""
    UNSUPPORTED = "unsupported"
    """A known format, or a use of one, that gmn does not decode."""
    EMPTY = "empty"
    """The file has no bytes, or audio of no samples."""
    TOO_SHORT = "too_short"
    """Too little is left for a use: here, no sample at the rate asked for."""
    TOO_LONG = "too_long"
    """The sound is longer than a track may be."""
    NON_FINITE = "non_finite"
    """Some samples are NaN or infinite."""
    CANCELS = "cancels"
    """The channels cancel each other, so that the mono mix is next to nothing though they are not."""
    TRUNCATED = "truncated"
    """The file ends clearly before the end that its header announces, or in the middle of a block."""
    DAMAGED = "damaged"
    """Bytes inside the file are wrong: no decoder gives back all the sound that it holds."""


class DecodeError(Exception):
    """A file that cannot be used, with its `reason`."""

    def __init__(self, reason: Rejection, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"

"""What a file is that only bears the name of audio, told from its first bytes, so that a person knows what to do."""

from gmn.audio.rejection import Rejection

HEAD_BYTES = 512
"""As many bytes as `not_audio` looks at."""

_LFS = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml")
_FORMATS = {
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "WMA (ASF)",
    b"\x1a\x45\xdf\xa3": "Matroska or WebM",
    b"MAC ": "Monkey's Audio",
    b"wvpk": "WavPack",
    b"MThd": "MIDI",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
}


def not_audio(head: bytes) -> tuple[Rejection, str] | None:
    """Tell what else a file is by its first bytes; None where nothing speaks against audio.

    >>> not_audio(b"version https://git-lfs.github.com/spec/v1")[0].value
    'lfs_pointer'
    """
    if head.startswith(_LFS):
        return Rejection.LFS_POINTER, "a Git LFS pointer and not the sound itself: fetch it with `git lfs pull`"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:9].lower().startswith(_PAGES):
        return Rejection.WEB_PAGE, "a web page, probably an error page saved in place of the sound"
    if head[4:8] == b"ftyp":
        return Rejection.UNSUPPORTED, "MP4 (M4A, AAC): convert it, to FLAC for instance"
    for mark, name in _FORMATS.items():
        if head.startswith(mark):
            return Rejection.UNSUPPORTED, f"{name}, which gmn does not decode"
    return None

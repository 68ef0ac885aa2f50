r"""Paths of the source as text that prints, and that JSON, Parquet and UTF-8 can hold.

A file's name may be any bytes but a slash and zero. Its path is stated relative to the source, with forward slashes,
as UTF-8; each byte of a backslash, of a control or text direction character, and of what is not UTF-8 is written as
`\xNN`. So each backslash in a stated path begins an escape, and all other names are stated as they are.
"""

import re

_UNSAFE = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def path_text(raw: bytes) -> str:
    r"""Write a path's bytes as text that prints.

    >>> path_text(b"caf\xc3\xa9/\xff\n.wav")
    'café/\\xff\\x0a.wav'
    """
    return _UNSAFE.sub(_escape, raw.decode("utf-8", "surrogateescape"))


def path_bytes(text: str) -> bytes:
    r"""Return the bytes of a path that `path_text` wrote.

    >>> path_bytes("caf\u00e9/\\xff\\x0a.wav")
    b'caf\xc3\xa9/\xff\n.wav'
    """
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), text.encode())


def _escape(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogateescape"))

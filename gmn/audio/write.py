"""Clips as files: 16-bit FLAC or WAV, with the clip's provenance in the file's own tags.

The same samples and tags give the same bytes, for one version of libsndfile.
"""

import contextlib
import io
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from gmn import __version__
from gmn.audio.decode import to_pcm16
from gmn.errors import InputError

_WAV_COMMENT_BYTES = 2045
_FORMATS = {".flac": "FLAC", ".wav": "WAV"}


def write_clip(
    path: str | os.PathLike[str], waveform: npt.NDArray[np.float32], sample_rate: int, tags: Mapping[str, str]
) -> None:
    """Write a mono waveform `[T]` as 16-bit FLAC or WAV, by the path's suffix.

    Players show the tag `title`, if there is one; the comment holds all tags as JSON, and `read_tags` returns them. The
    file appears whole or not at all: it is written beside its place and then moved there.

    Raises InputError for another suffix, or what `encode_clip` refuses.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(f"{path}: a clip is written as {' or '.join(_FORMATS)}")
    content = encode_clip(waveform, sample_rate, tags, _FORMATS[suffix])
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def encode_clip(
    waveform: npt.NDArray[np.float32], sample_rate: int, tags: Mapping[str, str], format: str = "FLAC"
) -> bytes:
    """Return the bytes of the file that `write_clip` writes; `format` is FLAC or WAV.

    Raises InputError for a waveform that is not `[T]`, is empty, or holds NaN or infinite samples, and for tags of more
    than 2,045 bytes of JSON in WAV, which libsndfile would drop; FLAC has room for them.
    """
    if waveform.ndim != 1 or waveform.size == 0 or not np.isfinite(waveform).all():
        raise InputError(
            f"a clip is a non-empty [T] of finite samples, not {list(waveform.shape)} with NaN or infinity"
        )
    comment = json.dumps(dict(tags), sort_keys=True)
    if format == "WAV" and len(comment) > _WAV_COMMENT_BYTES:
        raise InputError(f"the tags take {len(comment)} bytes, WAV holds {_WAV_COMMENT_BYTES}: write FLAC")
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", sample_rate, channels=1, format=format, subtype="PCM_16") as file:
        if "title" in tags:
            file.title = tags["title"]
        file.software = f"gmn {__version__}"
        file.comment = comment
        file.write(to_pcm16(waveform))
    return buffer.getvalue()


def read_tags(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the tags that `write_clip` was given; {} for audio that it did not write.

    Raises InputError for a file that is missing or no audio.
    """
    try:
        with Path(path).open("rb") as opened, soundfile.SoundFile(opened) as file:
            comment = file.comment
    except (OSError, soundfile.LibsndfileError) as error:
        raise InputError(f"{path}: no tags can be read: {error}") from error
    try:
        tags = json.loads(comment)
    except ValueError:
        return {}
    return tags if isinstance(tags, dict) else {}

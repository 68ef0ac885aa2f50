"""Clips as files: 16-bit FLAC or WAV, with the clip's provenance in the file's own tags.

The same samples and tags give the same bytes, for one version of libsndfile.
"""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from gmn import __version__
from gmn.audio.decode import to_pcm16
from gmn.errors import InputError

_WAV_COMMENT_BYTES = 2045


def encode_clip(
    waveform: npt.NDArray[np.float32], sample_rate: int, tags: Mapping[str, str], format: str = "FLAC"
) -> bytes:
    """Return a mono waveform `[T]` as the bytes of a 16-bit file; `format` is FLAC or WAV.

    Players show the tag `title`, if there is one; the comment holds all tags as JSON, and `read_tags` returns them.

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
    """Return the tags that `encode_clip` was given; {} for audio that it did not write.

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

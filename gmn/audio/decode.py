"""Audio files as 16-bit mono at one sample rate; a file that cannot be used gives a reason from a closed list.

    file -> libsndfile, float32 [T, C] -> mix [T] -> soxr HQ -> int16 [T']

A file's bytes decide what it is; its name plays no part.
"""

import os
from dataclasses import dataclass
from enum import StrEnum
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from gmn.audio.announced import missing_share
from gmn.audio.level import rms_dbfs
from gmn.errors import InputError

SUFFIXES = (".wav", ".aif", ".aiff", ".mp3", ".flac", ".ogg", ".opus", ".au")
"""The endings, in lower case, of the files that are worth decoding."""

MISSING_TOLERANCE = 0.01
"""The share of the announced sound that may be missing: headers are sloppy, and a hundredth less is still the track."""

NATIVE_RATES = (1_000, 1_000_000)
"""Hz; a header outside these is not one of audio, and would make the resampler fill the memory."""

_BLOCK = 1 << 16
_CHUNK = 1 << 22


class Rejection(StrEnum):
    """Why a file cannot be used."""

    UNREADABLE = "unreadable"
    """The file cannot be opened or read: it is missing, a folder, or not ours to read."""
    NOT_AUDIO = "not_audio"
    """No decoder knows the content, or its header is damaged."""
    EMPTY = "empty"
    """The file has no bytes, or audio of no samples."""
    TOO_SHORT = "too_short"
    """Too little is left for a use: here, no sample at the rate asked for."""
    NON_FINITE = "non_finite"
    """Some samples are NaN or infinite."""
    TRUNCATED = "truncated"
    """The sound ends clearly before the end that its header announces, or the decoder gives up inside."""


class DecodeError(Exception):
    """A file that cannot be used, with its `reason`."""

    def __init__(self, reason: Rejection, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True)
class Decoded:
    """The sound of one file, and what the file was."""

    pcm: npt.NDArray[np.int16]
    """`[T]`, mono, at the sample rate asked for."""
    native_rate: int
    """Hz, as in the file."""
    channels: int
    """As in the file."""
    codec: str
    """Container and coding, such as MP3/MPEG_LAYER_III."""
    duration_seconds: float
    """Of `pcm`."""
    loudness_dbfs: float
    """RMS of `pcm`, -120 for silence."""


def read_mono(file: str | os.PathLike[str] | BinaryIO, sample_rate: int) -> Decoded:
    """Decode a file, mix its channels in equal parts, resample to `sample_rate` (Hz), round to 16 bits.

    `file` is a path or an open binary file that can seek. Samples above full scale are clipped, never wrapped. A silent
    file is fine.

    Raises DecodeError, with its reason, for a file that cannot be used; InputError for a sample rate below 1.
    """
    if sample_rate < 1:
        raise InputError(f"sample_rate is {sample_rate}, needs at least 1 Hz")
    try:
        if isinstance(file, str | os.PathLike):
            with open(file, "rb") as opened:  # noqa: PTH123 (a file object: libsndfile refuses long and odd paths)
                return _read_mono(opened, sample_rate)
        return _read_mono(file, sample_rate)
    except OSError as error:
        raise DecodeError(Rejection.UNREADABLE, error.strerror or str(error)) from error


def read_waveform(file: str | os.PathLike[str] | BinaryIO, sample_rate: int) -> npt.NDArray[np.float32]:
    """Return the samples of `read_mono` as float32 `[T]` in [-1, 1)."""
    return read_mono(file, sample_rate).pcm.astype(np.float32) / np.float32(32768)


class _Stream(soundfile.SoundFile):
    """A sound file that is read front to back.

    soundfile seeks after each read of a file that can seek, which costs time and fails for a FLAC of unknown length.
    """

    def seekable(self) -> bool:
        return False


def _nameless(file: BinaryIO) -> SimpleNamespace:
    """Return a file without its name: soundfile would take a name in .raw for a promise of no header."""
    methods = ("seek", "tell", "read", "readinto")
    return SimpleNamespace(**{name: getattr(file, name) for name in methods if hasattr(file, name)})


def _read_mono(file: BinaryIO, sample_rate: int) -> Decoded:
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise DecodeError(Rejection.EMPTY, "the file has no bytes")
    missing = missing_share(file, size)
    file.seek(0)
    try:
        stream = _Stream(_nameless(file))
    except soundfile.LibsndfileError as error:
        raise DecodeError(Rejection.NOT_AUDIO, error.error_string) from error
    with stream:
        native_rate, channels, announced = stream.samplerate, stream.channels, stream.frames
        codec = f"{stream.format}/{stream.subtype}"
        if not NATIVE_RATES[0] <= native_rate <= NATIVE_RATES[1]:
            raise DecodeError(Rejection.NOT_AUDIO, f"a header with a sample rate of {native_rate} Hz")
        waveform = _mix(stream)
        if codec.startswith("FLAC") and announced < 2**36:  # a FLAC header counts in 36 bits; more means unknown
            missing = 1 - waveform.size / max(announced, 1)
    if missing > MISSING_TOLERANCE:
        raise DecodeError(Rejection.TRUNCATED, f"{missing:.0%} of the sound that the header announces is missing")
    if waveform.size == 0:
        raise DecodeError(Rejection.EMPTY, "audio of no samples")
    if not np.isfinite(waveform).all():
        raise DecodeError(Rejection.NON_FINITE, "some samples are NaN or infinite")
    if native_rate != sample_rate:
        waveform = soxr.resample(waveform, native_rate, sample_rate, quality="HQ")
    if waveform.size == 0:
        raise DecodeError(Rejection.TOO_SHORT, f"no sample is left at {sample_rate} Hz")
    pcm = to_pcm16(waveform)
    return Decoded(pcm, native_rate, channels, codec, pcm.size / sample_rate, rms_dbfs(pcm, full_scale=32768))


def to_pcm16(waveform: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Round samples in [-1, 1) to 16 bits, half to even; louder ones are clipped, never wrapped.

    pcm = clip(rint(32768 x), -32768, 32767). The inverse is `pcm / 32768`, exact in float32.

    >>> to_pcm16(np.array([-2.0, -0.5, 0.0, 1.0], np.float32))
    array([-32768, -16384,      0,  32767], dtype=int16)
    """
    scaled = np.clip(waveform, -1, 1, dtype=np.float32)
    scaled *= 32768
    np.rint(scaled, out=scaled)
    np.minimum(scaled, 32767, out=scaled)
    return scaled.astype(np.int16)


def _mix(stream: soundfile.SoundFile) -> npt.NDArray[np.float32]:
    """Read a stream to its end; return the mean of its channels, `[T]`.

    Fresh memory costs as much here as arithmetic, so blocks go through one buffer into few large chunks.
    """
    weights = np.full(stream.channels, 1 / stream.channels, np.float32)
    buffer = np.empty((_BLOCK, stream.channels), np.float32)
    chunks: list[npt.NDArray[np.float32]] = []
    end = False
    while not end:
        chunk = np.empty(min(max(stream.frames, 1), _CHUNK), np.float32)
        filled = 0
        while filled < chunk.size and not end:
            room = min(_BLOCK, chunk.size - filled)
            try:
                block = stream.read(out=buffer[:room])
            except soundfile.LibsndfileError as error:
                raise DecodeError(Rejection.TRUNCATED, error.error_string) from error
            with np.errstate(over="ignore", invalid="ignore"):  # the caller looks for what is not finite
                np.matmul(block, weights, out=chunk[filled : filled + len(block)])
            filled += len(block)
            end = len(block) < room
        if filled or not chunks:
            chunks.append(chunk[:filled])
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)

r"""Audio files as 16-bit mono at one sample rate; a file that cannot be used gives a reason from a closed list.

    file -count-> how much it holds -libsndfile, else miniaudio-> blocks -MonoPcm-> int16 [T']
              \-------------------- held against each other --------------------/

A file's bytes decide what it is; its name plays no part. docs/audio-rules.md has a rule for each kind of input.
"""

import contextlib
import os
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

import miniaudio
import numpy as np
import numpy.typing as npt
import soundfile

from gmn.audio.announced import missing_share
from gmn.audio.decoders import SoundStream, miniaudio_blocks, near
from gmn.audio.level import rms_dbfs
from gmn.audio.mono import MonoPcm, to_pcm16
from gmn.audio.mpeg import MpegCount, count_frames, skip_tags
from gmn.audio.ogg import OggCount, count_pages
from gmn.audio.quiet import quiet_stderr
from gmn.audio.rejection import DecodeError, Rejection
from gmn.audio.sniff import HEAD_BYTES, not_audio
from gmn.audio.window import Window
from gmn.errors import InputError

__all__ = ["SUFFIXES", "DecodeError", "Decoded", "Rejection", "read_mono", "read_waveform", "to_pcm16"]

SUFFIXES = (".wav", ".aif", ".aiff", ".mp3", ".flac", ".ogg", ".opus", ".au")
"""The endings, in lower case, of the files that are worth decoding."""

MISSING_TOLERANCE = 0.01
"""The share of the announced sound that may be missing: headers are sloppy, and a hundredth less is still the track."""

NATIVE_RATES = (1_000, 1_000_000)
"""Hz; a header outside these is not one of music, and would make the resampler fill the memory."""

_SLACK_SAMPLES = 2304
"""Two mp3 frames: the first ones may lean on sound that is not there."""
_SLACK_BYTES = 8192
"""Bytes around mp3 frames, or Ogg pages, that need no explanation."""


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
    decoder: str = "libsndfile"
    """Which library decoded it: libsndfile, or miniaudio where that one falls short."""


def read_mono(file: str | os.PathLike[str] | BinaryIO, sample_rate: int) -> Decoded:
    """Decode a file, mix its channels in equal parts, resample to `sample_rate` (Hz), round to 16 bits.

    `file` is a path or an open binary file that can seek. Samples above full scale are clipped, never wrapped. A silent
    file is fine. Beside the result, which is held whole, the memory stays below 32 MiB, whatever the file.

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


def _check_reads(window: Window) -> None:
    """Raise what a decoder took for the end of the file."""
    if window.failure is not None:
        raise DecodeError(Rejection.UNREADABLE, str(window.failure)) from window.failure


def _read_mono(source: BinaryIO, sample_rate: int) -> Decoded:
    window = Window(source)
    if window.end == 0:
        raise DecodeError(Rejection.EMPTY, "the file has no bytes")
    with window.buffered() as file:
        other = not_audio(file.read(HEAD_BYTES))
        mpeg = count_frames(file)
        start = skip_tags(file)
        _check_reads(window)
        if other is not None:
            raise DecodeError(*other)
        if mpeg is None:
            try:
                return _decode_other(window.part(start, window.end), sample_rate)
            except _UnknownError as error:
                mpeg = count_frames(file, search=True)
                _check_reads(window)
                if mpeg is None:
                    raise DecodeError(Rejection.NOT_AUDIO, str(error)) from error
        return _decode_mpeg(window, mpeg, sample_rate)


class _UnknownError(Exception):
    """libsndfile does not know the content."""


def _decode_other(window: Window, sample_rate: int) -> Decoded:
    """Decode what is no mp3 with libsndfile."""
    file = window.buffered()
    size = window.end - window.start
    missing = missing_share(file, size)
    ogg = count_pages(file)
    file.seek(0)
    try:
        stream = SoundStream(file)
    except soundfile.LibsndfileError as error:
        _check_reads(window)
        raise _UnknownError(error.error_string) from error
    with stream:
        rate, channels, codec = stream.samplerate, stream.channels, f"{stream.format}/{stream.subtype}"
        if not NATIVE_RATES[0] <= rate <= NATIVE_RATES[1]:
            raise DecodeError(Rejection.UNSUPPORTED, f"a sample rate of {rate} Hz")
        if stream.format == "MP3":
            raise DecodeError(Rejection.UNSUPPORTED, "MPEG audio whose frames cannot be counted (free format?)")
        if missing > MISSING_TOLERANCE:
            raise DecodeError(Rejection.TRUNCATED, f"{missing:.0%} of the sound that the header announces is missing")
        if ogg is not None:
            _check_ogg(ogg, size)
        mono = MonoPcm(rate, channels, sample_rate, stream.frames)
        gave_up = None
        try:
            for block in stream.float_blocks():
                mono.add(block)
        except soundfile.LibsndfileError as error:
            gave_up = error.error_string
        _check_reads(window)
        held = 0.0
        if ogg is not None:
            held = max(ogg.seconds * rate, stream.frames) - _SLACK_SAMPLES
        elif codec.startswith("FLAC") and stream.frames < 2**36:  # its header counts in 36 bits; more means unknown
            held = stream.frames
            if (behind := size - file.tell()) > max(MISSING_TOLERANCE * size, _SLACK_BYTES) and not gave_up:
                raise DecodeError(Rejection.DAMAGED, f"{behind} bytes stand behind the sound (joined files?)")
    if gave_up or mono.frames < (1 - MISSING_TOLERANCE) * held:
        reason = Rejection.TRUNCATED if ogg is None and file.tell() >= size else Rejection.DAMAGED
        raise DecodeError(reason, gave_up or f"{1 - mono.frames / held:.0%} of the sound cannot be decoded")
    return _decoded(mono, rate, channels, codec, sample_rate)


def _check_ogg(count: OggCount, size: int) -> None:
    """Raise for what the page headers alone tell."""
    if count.streams > 1:
        raise DecodeError(Rejection.UNSUPPORTED, f"{count.streams} Ogg streams in one file: split them")
    if count.cut:
        raise DecodeError(Rejection.TRUNCATED, "the file ends inside an Ogg page")
    if count.lost > max(MISSING_TOLERANCE * size, _SLACK_BYTES):
        raise DecodeError(Rejection.DAMAGED, f"{count.lost} bytes belong to no Ogg page")


def _decode_mpeg(window: Window, count: MpegCount, sample_rate: int) -> Decoded:
    """Decode an mp3 with libsndfile, or with miniaudio where libsndfile believes in a wrong length."""
    _check_mpeg(count, window.end)
    # What miniaudio drops without a word is damaged; libsndfile goes over a click, and ends where it is bad.
    all_of_it = count.samples - count.trimmed - _SLACK_SAMPLES
    least = all_of_it - MISSING_TOLERANCE * count.samples
    rate, channels, codec = count.sample_rate, count.channels, "MP3/MPEG_LAYER_III"
    # Without its tags: libmpg123 takes its time over huge ones, complains of odd ones, and gives up between two.
    part = window.part(count.header, count.end)
    with quiet_stderr(), contextlib.suppress(soundfile.LibsndfileError), SoundStream(near(part)) as stream:
        channels, codec = stream.channels, f"{stream.format}/{stream.subtype}"
        if stream.frames >= least:
            mono = MonoPcm(rate, channels, sample_rate, stream.frames)
            with contextlib.suppress(soundfile.LibsndfileError):  # it is short, then
                for block in stream.float_blocks():
                    mono.add(block)
            _check_reads(part)
            if mono.frames >= least:
                return _decoded(mono, rate, channels, codec, sample_rate)
            if count.tags_inside == 0:
                _give_up(mono, count)
    part = window.part(count.start, count.end)
    mono = MonoPcm(rate, channels, sample_rate, count.samples)
    with contextlib.suppress(miniaudio.DecodeError):
        for block in miniaudio_blocks(part.buffered(), rate, channels):
            mono.add(block)
    _check_reads(part)
    if mono.frames < all_of_it:
        _give_up(mono, count)
    return _decoded(mono, rate, channels, codec, sample_rate, "miniaudio")


def _check_mpeg(count: MpegCount, size: int) -> None:
    """Raise for what the frame headers alone tell."""
    if count.lost > MISSING_TOLERANCE * size or count.outside > max(MISSING_TOLERANCE * size, _SLACK_BYTES):
        raise DecodeError(Rejection.DAMAGED, f"{count.lost + count.outside} bytes belong to no frame and to no tag")
    if count.announced is not None and (count.samples < (1 - MISSING_TOLERANCE) * count.announced - _SLACK_SAMPLES):
        missing = 1 - count.samples / count.announced
        raise DecodeError(Rejection.TRUNCATED, f"{missing:.0%} of the sound that the header announces is missing")
    if count.samples == 0:
        raise DecodeError(Rejection.EMPTY, "audio of no samples")
    if count.other_samples > MISSING_TOLERANCE * count.samples:
        raise DecodeError(Rejection.UNSUPPORTED, "the sample rate or the coding changes inside")


def _give_up(mono: MonoPcm, count: MpegCount) -> NoReturn:
    share = 1 - mono.frames / count.samples
    raise DecodeError(Rejection.DAMAGED, f"{share:.0%} of the sound cannot be decoded")


def _decoded(
    mono: MonoPcm, native_rate: int, channels: int, codec: str, sample_rate: int, decoder: str = "libsndfile"
) -> Decoded:
    pcm = mono.finish()
    loudness = rms_dbfs(pcm, full_scale=32768)
    return Decoded(pcm, native_rate, channels, codec, pcm.size / sample_rate, loudness, decoder)

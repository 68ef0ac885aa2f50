"""The two decoding libraries behind one form: an iterator of float32 blocks `[T, C]`.

libsndfile knows all formats and is the faster one. miniaudio reads mp3s whose length libsndfile gets wrong.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import BinaryIO

import miniaudio
import numpy as np
import numpy.typing as npt
import soundfile

from gmn.audio.window import Window

_BLOCK_VALUES = 1 << 17
_COPY_BYTES = 8 << 20
_MINIAUDIO_FRAMES = 16384
_WHENCE = {
    miniaudio.SeekOrigin.START: os.SEEK_SET,
    miniaudio.SeekOrigin.CURRENT: os.SEEK_CUR,
    miniaudio.SeekOrigin.END: os.SEEK_END,
}

Blocks = Iterator[npt.NDArray[np.float32]]


class SoundStream(soundfile.SoundFile):
    """A file that libsndfile reads front to back.

    soundfile seeks after each read of a file that can seek, which costs time and fails for a FLAC of unknown length.

    Raises soundfile.LibsndfileError where libsndfile does not know the content.
    """

    def seekable(self) -> bool:
        """Tell that nobody seeks here."""
        return False

    def float_blocks(self) -> Blocks:
        """Yield the sound up to the end, through one buffer: a block is valid until the next.

        Raises soundfile.LibsndfileError where libsndfile gives up.
        """
        buffer = np.empty((max(1, _BLOCK_VALUES // self.channels), self.channels), np.float32)
        left = self.frames
        while left > 0:
            # No more than there is: libFLAC would take what stands behind the sound for a damaged frame.
            block = self.read(out=buffer[: min(left, len(buffer))])
            if len(block) == 0:
                return
            yield block
            left -= len(block)


def near(part: Window) -> int | BinaryIO:
    """Return a part of a file in the form that libsndfile reads fastest; `SoundStream` takes and closes it.

    Of an mp3, libsndfile reads each frame's header and body apart, and a call back to Python costs more than a read:
    a twentieth of decoding. So a small part is copied into memory, where the system gives that a descriptor.
    """
    if part.end - part.start > _COPY_BYTES or not hasattr(os, "memfd_create"):
        return part.buffered()
    descriptor = os.memfd_create("mp3")
    with os.fdopen(descriptor, "wb", closefd=False) as copy:
        shutil.copyfileobj(part.buffered(), copy)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


class _Source(miniaudio.StreamableSource):
    def __init__(self, file: BinaryIO):
        self._file = file

    def read(self, num_bytes: int) -> bytes:
        return self._file.read(num_bytes)

    def seek(self, offset: int, origin: miniaudio.SeekOrigin) -> bool:
        self._file.seek(offset, _WHENCE[origin])
        return True


def miniaudio_blocks(file: BinaryIO, sample_rate: int, channels: int) -> Blocks:
    """Yield the sound of an mp3 of that sample rate (Hz) and number of channels.

    Raises miniaudio.DecodeError where miniaudio does not know the content or gives up.
    """
    file.seek(0)
    stream = miniaudio.stream_any(
        _Source(file),
        miniaudio.FileFormat.MP3,
        miniaudio.SampleFormat.FLOAT32,
        channels,
        sample_rate,
        _MINIAUDIO_FRAMES,
    )
    with contextlib.closing(stream):
        for samples in stream:
            yield np.frombuffer(samples, np.float32).reshape(-1, channels)

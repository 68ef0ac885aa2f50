"""Blocks of sound in, 16-bit mono at one sample rate out, in memory that does not grow with the input.

    float32 [T, C] -matmul-> mix [T] -soxr HQ, streaming-> float32 [T'] -round, clip-> int16 [T']

Only the result is held whole. Streaming gives bit for bit what resampling in one piece gives.
"""

import numpy as np
import numpy.typing as npt
import soxr

from gmn.audio.rejection import DecodeError, Rejection

MAX_SECONDS = 6 * 3600
"""The longest track; longer ones are better cut by the one who knows where."""

CANCEL_DB = 40
"""Channels whose mix lies so far below them cancel each other; two unrelated channels lose 3 dB."""

_LOUDEST = 1e6
"""Louder samples, 120 dB above full scale, count as this, so that the resampler does not overflow."""
_LARGEST = 32767 / 32768
_QUIET = 10 ** (-CANCEL_DB / 10)
_FIRST_ROOM = 1 << 26


def to_pcm16(waveform: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Round samples in [-1, 1) to 16 bits, half to even; louder ones are clipped, never wrapped.

    pcm = clip(rint(32768 x), -32768, 32767). The inverse is `pcm / 32768`, exact in float32.

    >>> to_pcm16(np.array([-2.0, -0.5, 0.0, 1.0], np.float32))
    array([-32768, -16384,      0,  32767], dtype=int16)
    """
    scaled = np.clip(waveform, -1, _LARGEST, dtype=np.float32)
    scaled *= 32768
    np.rint(scaled, out=scaled)
    return scaled.astype(np.int16)


class MonoPcm:
    """Takes the blocks of one file; `finish` gives the result."""

    def __init__(self, native_rate: int, channels: int, sample_rate: int, expected_frames: int = 0):
        self.frames = 0
        """Samples a channel taken so far."""
        self._max_frames = MAX_SECONDS * native_rate
        self._weights = np.full(channels, 1 / channels, np.float32)
        self._mix = np.empty(0, np.float32)
        self._mix_power = self._channel_power = 0.0
        self._resampler = (
            None
            if native_rate == sample_rate
            else soxr.ResampleStream(native_rate, sample_rate, 1, dtype="float32", quality="HQ")
        )
        # Room that is never written costs no memory; a header may lie, so it is bounded, and grows where needed.
        expected = expected_frames * sample_rate // native_rate + 1
        self._pcm = np.empty(max(1024, min(expected, _FIRST_ROOM)), np.int16)
        self._filled = 0

    def add(self, block: npt.NDArray[np.float32]) -> None:
        """Take a block `[T, C]`.

        Raises DecodeError for samples that are not finite, and past the longest duration.
        """
        size = len(block)
        self.frames += size
        if self.frames > self._max_frames:
            raise DecodeError(Rejection.TOO_LONG, f"longer than {MAX_SECONDS / 3600:g} hours: cut it into tracks")
        with np.errstate(over="ignore", invalid="ignore"):
            mix = self._mixed(block)
            power = float(np.dot(mix, mix))
        if not power < _LOUDEST**2:  # NaN as well
            if not np.isfinite(mix).all():
                raise DecodeError(Rejection.NON_FINITE, "some samples are NaN or infinite")
            mix = np.clip(mix, -_LOUDEST, _LOUDEST)
        self._mix_power += power
        # Of sound within full scale, only a quiet mix can lie that far below its channels.
        quiet = power < _QUIET * size and len(self._weights) > 1
        self._channel_power += float(np.vdot(block, block)) / block.shape[1] if quiet else power
        self._resample(mix, last=False)

    def finish(self) -> npt.NDArray[np.int16]:
        """Return the result `[T']`.

        Raises DecodeError where there was no sample, none is left, or the channels cancel each other.
        """
        if self.frames == 0:
            raise DecodeError(Rejection.EMPTY, "audio of no samples")
        if self._mix_power < _QUIET * self._channel_power:
            raise DecodeError(
                Rejection.CANCELS,
                f"the channels cancel each other: their mix lies over {CANCEL_DB} dB below them (one is inverted?)",
            )
        self._resample(np.empty(0, np.float32), last=True)
        if self._filled == 0:
            raise DecodeError(Rejection.TOO_SHORT, "no sample is left at this sample rate")
        self._pcm.resize(self._filled, refcheck=False)
        return self._pcm

    def _mixed(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the mean of the channels, `[T]`, valid until the next block."""
        if len(self._weights) == 1:
            return block[:, 0]  # a product with a 1 x 1 matrix costs a tenth of decoding
        if self._mix.size < len(block):
            self._mix = np.empty(len(block), np.float32)
        return np.matmul(block, self._weights, out=self._mix[: len(block)])

    def _resample(self, mix: npt.NDArray[np.float32], last: bool) -> None:
        pcm = to_pcm16(mix if self._resampler is None else self._resampler.resample_chunk(mix, last=last))
        end = self._filled + len(pcm)
        if end > len(self._pcm):
            # In place where the system can move pages: a copy would double the memory.
            self._pcm.resize(max(end, len(self._pcm) * 3 // 2), refcheck=False)
        self._pcm[self._filled : end] = pcm
        self._filled = end

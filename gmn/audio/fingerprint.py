"""What a recording sounds like in a kilobyte or two: landmarks that outlive coding, gain and cutting.

    pcm [T] -> 4 kHz -> frames of 128 ms every 16 ms [N, F] -> peaks in time and frequency -> triples -> hashes [K, 2]

A landmark is three peaks of the spectrogram that follow each other: where they lie in frequency and how far apart in
time says nothing about level, format or where the file begins. Copies of a recording share many landmarks, all at one
difference of time; other recordings share hardly any. `gmn.datasets.duplicates` looks for that.

Source: Wang 2003, An industrial-strength audio search algorithm (ISMIR), sections 2.1 and 2.2. Departures: triples in
the place of pairs, since the copies sought here are clean and collections are large; peaks are placed between frames;
and of all hashes only the lowest are kept (Broder 1997, On the resemblance and containment of documents: the sketch),
so that two copies keep the same ones however long each is.

T samples, N frames, F bins, P peaks, K landmarks.
"""

import numpy as np
import numpy.typing as npt
import scipy.fft
import soxr

from gmn.errors import InputError

ALGORITHM = "landmark-1"
"""Names all that a fingerprint depends on; those of different names cannot be compared."""

FRAMES_PER_SECOND = 62.5
"""The unit of a landmark's time."""

SAMPLE_RATES = (4000, 96000)
"""Hz; what `fingerprint` takes."""

_RATE = 4000
_WINDOW = 512
_HOP = 64
_BINS = slice(13, 224)
"""102 to 1742 Hz: what the lowest rate holds, and what coders at the lowest bitrates still code with care."""
_FLOOR = (_WINDOW / 4) ** 2
"""Power of the softest peak: a sine of one 16-bit step, -90 dBFS."""
_NEAR_FRAMES = 16
_NEAR_BINS = 20
"""A peak is the highest point within 0.26 s and 156 Hz on all sides."""
_SUCCESSORS = 4
_LONGEST = 96
"""Frames from the first to the last peak of a landmark."""
_TIME_STEP = 3
"""Frames; coarser than a peak's place in time is sure, fine enough to tell landmarks apart."""
_PER_SECOND = 10
_LEAST, _MOST = 64, 8192
"""How many landmarks are kept: so many a second, within these limits."""
_REPEATS = 4
"""A loop's landmarks come back forever; the first so many of each count."""
_BLOCK_FRAMES = 512
_BLOCK_SAMPLES = 1 << 20

Fingerprint = npt.NDArray[np.uint32]
"""`[K, 2]`: a landmark's hash and its time in frames, sorted."""


def fingerprint(pcm: npt.NDArray[np.int16], sample_rate: int) -> Fingerprint:
    """Return the landmarks of mono 16-bit PCM `[T]` at `sample_rate` Hz, `[K, 2]` of hash and time.

    A hash is 32 bits mixed from (k1, k2, k3, t2 - t1, t3 - t1), with frequency k in bins of 7.8 Hz and time t in units
    of 48 ms; the time beside it is t1 in units of 16 ms. Of all hashes the 10 lowest per second are kept, no fewer than
    64 and no more than 8,192 (reached after 14 minutes). Rows are sorted by hash, then time. Silence, and sound
    of less than half a second, has none.

    Range: sample rates of 4,000 to 96,000 Hz; a recording has much the same landmarks at each. Memory beside the input:
    16 kB a second of audio and 10 MB.

    Source: Wang 2003, An industrial-strength audio search algorithm; the module says what differs.

    Raises InputError for PCM that is not int16 `[T]`, or a sample rate out of range.
    """
    if pcm.dtype != np.int16 or pcm.ndim != 1:
        raise InputError(f"16-bit PCM is int16 [T], not {pcm.dtype} {list(pcm.shape)}")
    if not SAMPLE_RATES[0] <= sample_rate <= SAMPLE_RATES[1]:
        raise InputError(f"sample_rate is {sample_rate}, fingerprints need {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]} Hz")
    hashes, times = _landmarks(*_peaks(_resample(pcm, sample_rate)))
    order = np.lexsort((times, hashes))
    rows = np.stack([hashes[order], times[order]], axis=1).astype(np.uint32)
    repeated = rows[_REPEATS:, 0] == rows[:-_REPEATS, 0]
    rows = rows[np.concatenate([np.ones(min(_REPEATS, len(rows)), bool), ~repeated])]
    budget = min(max(round(_PER_SECOND * pcm.size / sample_rate), _LEAST), _MOST)
    return np.ascontiguousarray(rows[:budget])


def to_bytes(landmarks: Fingerprint) -> bytes:
    """Return a fingerprint as bytes: the algorithm's name, a zero, all hashes, the bytes of a time, all times.

    Little-endian; hashes take 4 bytes, times 2, or 4 where one is beyond 17 minutes. 30 s take about 1.8 kB, no
    recording more than 64 kB.
    """
    width = 2 if landmarks[:, 1].max(initial=0) < 1 << 16 else 4
    hashes, times = landmarks[:, 0].astype("<u4"), landmarks[:, 1].astype(f"<u{width}")
    return ALGORITHM.encode() + b"\0" + bytes([width]) + hashes.tobytes() + times.tobytes()


def from_bytes(stored: bytes) -> Fingerprint:
    """Return the fingerprint that `to_bytes` wrote.

    Raises InputError for bytes of another algorithm, or none.
    """
    name, _, payload = stored.partition(b"\0")
    width = payload[0] if payload else 0
    if name != ALGORITHM.encode() or width not in (2, 4) or (len(payload) - 1) % (4 + width):
        raise InputError(f"not a fingerprint of {ALGORITHM}: it begins with {stored[:16]!r}")
    n = (len(payload) - 1) // (4 + width)
    hashes = np.frombuffer(payload, "<u4", n, 1)
    times = np.frombuffer(payload, f"<u{width}", n, 1 + 4 * n)
    return np.stack([hashes, times], axis=1).astype(np.uint32)


def _resample(pcm: npt.NDArray[np.int16], sample_rate: int) -> npt.NDArray[np.float32]:
    """Return the samples at the internal rate, in 16-bit steps; only a block of the input is held as float."""
    if sample_rate == _RATE:
        return pcm.astype(np.float32)
    stream = soxr.ResampleStream(sample_rate, _RATE, 1, dtype="float32", quality="HQ")
    waveform = np.empty(pcm.size * _RATE // sample_rate + _WINDOW, np.float32)
    filled = 0
    for start in range(0, pcm.size, _BLOCK_SAMPLES):
        end = start + _BLOCK_SAMPLES
        block = stream.resample_chunk(pcm[start:end].astype(np.float32), last=end >= pcm.size)
        waveform[filled : filled + block.size] = block
        filled += block.size
    return waveform[:filled]


def _peaks(waveform: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return time (frames, between frames too) and bin of the spectrogram's peaks, `[P]` each, by time.

    Blocks of frames overlap by a peak's neighbourhood, so that the peaks do not depend on them.

        frames   ..............................
        block 1  [---------------|nn]
        block 2               [nn|------------|nn]     n: seen, but its peaks belong to the neighbour
    """
    if waveform.size < _WINDOW:
        return np.empty(0), np.empty(0, np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, _WINDOW)[::_HOP]
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    times, bins = [], []
    for start in range(0, len(frames), _BLOCK_FRAMES):
        first = max(0, start - _NEAR_FRAMES)
        # SciPy's transform takes several frames at a time: three times as fast as NumPy's.
        spectrum = scipy.fft.rfft(frames[first : start + _BLOCK_FRAMES + _NEAR_FRAMES] * window)[:, _BINS]
        power = spectrum.real**2 + spectrum.imag**2
        highest = _running_max(_running_max(power, _NEAR_FRAMES).T, _NEAR_BINS).T
        n, k = np.nonzero((power == highest) & (power > _FLOOR))
        own = (n + first >= start) & (n + first < start + _BLOCK_FRAMES)
        before = power[np.maximum(n - 1, 0), k]
        # A tone that never changes is one plateau of peaks: a peak has to rise above the frame before it.
        keep = own & ((power[n, k] > before) | (n == 0))
        n, k, before = n[keep], k[keep], before[keep]
        times.append(first + n + _vertex(before, power[n, k], power[np.minimum(n + 1, len(power) - 1), k]))
        bins.append(k)
    time, place = np.concatenate(times), np.concatenate(bins).astype(np.int64)
    order = np.lexsort((place, time))
    return time[order], place[order]


def _running_max(x: npt.NDArray[np.float32], reach: int) -> npt.NDArray[np.float32]:
    """Return the maximum over rows n - reach to n + reach, by doubling: log2 passes over the array."""
    padded = np.full((len(x) + 2 * reach, x.shape[1]), -np.inf, np.float32)
    padded[reach : reach + len(x)] = x
    width, done = 2 * reach + 1, 1
    while 2 * done <= width:
        padded = np.maximum(padded[:-done], padded[done:])
        done *= 2
    rest = width - done
    return np.maximum(padded[: len(x)], padded[rest : rest + len(x)])


def _vertex(
    left: npt.NDArray[np.float32], top: npt.NDArray[np.float32], right: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Return where, in [-1/2, 1/2] frames, the parabola through three log powers has its vertex.

    (a - c) / (2 (a - 2 b + c)) with a, b, c = ln of left, top, right; 0 where they are level.
    """
    a, b, c = (np.log(np.maximum(power, 1e-9).astype(np.float64)) for power in (left, top, right))
    bend = np.minimum(a - 2 * b + c, -1e-9)
    return np.clip((a - c) / (2 * bend), -0.5, 0.5)


def _landmarks(
    time: npt.NDArray[np.float64], place: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Return hash and time of each peak with every two of its next four, where they lie within 1.5 s."""
    hashes, times = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    n_anchors = time.size
    for second in range(1, _SUCCESSORS):
        for third in range(second + 1, _SUCCESSORS + 1):
            n_anchors = max(0, time.size - third)
            anchor = slice(0, n_anchors)
            word = place[anchor].astype(np.uint64)
            for i in (second, third):
                apart = np.rint((time[i : i + n_anchors] - time[anchor]) / _TIME_STEP).astype(np.uint64)
                word = word << np.uint64(15) | place[i : i + n_anchors].astype(np.uint64) << np.uint64(7) | apart
            near = time[third : third + n_anchors] - time[anchor] <= _LONGEST
            hashes.append(_mix(word[near]))
            times.append(np.maximum(np.rint(time[anchor][near]), 0).astype(np.int64))
    return np.concatenate(hashes), np.concatenate(times)


def _mix(word: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    """Return the upper half of MurmurHash3's 64-bit finaliser: even, and the same on every machine."""
    word = (word ^ word >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
    word = (word ^ word >> np.uint64(33)) * np.uint64(0xC4CEB9FE1A85EC53)
    return (word >> np.uint64(32)).astype(np.uint32)

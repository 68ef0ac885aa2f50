"""Which tracks are copies of one recording: the same landmarks, all at one difference of time.

    fingerprints --sort by hash--> pairs at an offset --count--> candidates --compare whole--> links --> groups

No step compares all tracks with all. A hash that many tracks share says little, and its pairs would be many: each
track that has it is paired only with the next few that have it, which still chains the copies of one recording
together, however many there are.

Source: Wang 2003, An industrial-strength audio search algorithm (ISMIR), section 2.3: matches are counted on diagonals
of constant difference of time. The share of the overlap is added here: tracks made from the same loop agree in
places, copies agree throughout.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gmn.audio.fingerprint import FRAMES_PER_SECOND, Fingerprint
from gmn.errors import InputError

LEAST_MATCHES = 6
"""Different hashes that two copies share at one offset, at the least."""
LEAST_SHARE = 0.05
"""Of the hashes in the overlap, those of the track with fewer."""
LEAST_SECONDS = 1.5
"""From the first to the last of them; five seconds of common sound hold about four."""

_NEIGHBOURS = 16
"""Tracks that a track is paired with for one hash."""
_SLACK = 1
"""Frames that an offset may be off, either way: times are rounded."""
_TRACK_BITS, _OFFSET_BITS = 21, 22
_OFFSETS, _ZERO = (1 << _OFFSET_BITS) - 1, 1 << (_OFFSET_BITS - 1)
_MOST_PAIRS = 1 << 25
"""Pairs that are counted at a time: 256 MB, and as much again to sort them."""

Words = npt.NDArray[np.uint64]


class Link(NamedTuple):
    """Two tracks that hold the same recording."""

    first: str
    second: str
    """The later of the two in the order of text."""
    offset_seconds: float
    """What the first plays at t + offset, the second plays at t."""
    matches: int
    """Different hashes in common at this offset."""
    share: float
    """Of the hashes in the overlap, those of the track with fewer, how many are in common."""


def find_links(new: Mapping[str, Fingerprint], known: Mapping[str, Fingerprint] | None = None) -> list[Link]:
    """Return the links among new tracks, and between them and known ones; not those among known tracks.

    Two tracks are linked where, at one difference of time to within 16 ms, they have in common at least 6 different
    hashes, 5 % of those of the one that has fewer in the overlap, over at least 1.5 seconds. Of each pair only the
    offset with the most matches is looked at. Sorted; does not depend on the order of the tracks.

    Raises InputError for 2,097,152 tracks or more.
    """
    fingerprints = {**(known or {}), **new}
    tracks = sorted(fingerprints)
    if len(tracks) >= 1 << _TRACK_BITS:
        raise InputError(f"{len(tracks)} tracks: duplicates can be sought among fewer than {1 << _TRACK_BITS}")
    fresh = np.array([track in new for track in tracks], bool)
    links = []
    for a, b, offset in _candidates([fingerprints[track] for track in tracks], fresh):
        matches, share, seconds = compare(fingerprints[tracks[a]], fingerprints[tracks[b]], offset)
        if matches >= LEAST_MATCHES and share >= LEAST_SHARE and seconds >= LEAST_SECONDS:
            links.append(Link(tracks[a], tracks[b], offset / FRAMES_PER_SECOND, matches, share))
    return sorted(links)


def compare(a: Fingerprint, b: Fingerprint, offset: int) -> tuple[int, float, float]:
    """Return how well two fingerprints agree where a's time is b's plus `offset` frames: matches, share, seconds.

    matches = |A and B|, share = |A and B| / min(|A|, |B|), where A and B are the sets of different hashes in the time
    that both tracks cover, and below the limit to which both have kept theirs; seconds from the first match to the
    last, in time of a. All are 0 without a match.
    """
    if not len(a) or not len(b):
        return 0, 0.0, 0.0
    limit = min(a[-1, 0], b[-1, 0])
    hashes_a, times_a = a[a[:, 0] <= limit].astype(np.int64).T
    hashes_b, times_b = b[b[:, 0] <= limit].astype(np.int64).T
    if not hashes_a.size or not hashes_b.size:
        return 0, 0.0, 0.0
    times_b = times_b + offset
    start, end = max(times_a.min(), times_b.min()) - _SLACK, min(times_a.max(), times_b.max()) + _SLACK
    inside_a, inside_b = ((times >= start) & (times <= end) for times in (times_a, times_b))
    near_b = [(hashes_b << 32) + times_b + slack for slack in range(-_SLACK, _SLACK + 1)]
    hit = np.isin((hashes_a << 32) + times_a, np.concatenate(near_b))
    if not hit.any():
        return 0, 0.0, 0.0
    matches = np.unique(hashes_a[hit]).size
    fewer = min(np.unique(hashes_a[inside_a]).size, np.unique(hashes_b[inside_b]).size)
    return matches, matches / max(fewer, matches), float(np.ptp(times_a[hit])) / FRAMES_PER_SECOND


def _candidates(fingerprints: list[Fingerprint], fresh: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    """Yield pairs of tracks, as places in the list, with the offset in frames at which they share the most hashes."""
    sizes = np.array([len(rows) for rows in fingerprints], np.int64)
    if not sizes.sum():
        return
    rows = np.concatenate(fingerprints)
    track = np.repeat(np.arange(len(sizes), dtype=np.uint32), sizes)
    if not fresh.all():  # of the known tracks, only hashes that a new one may have matter: their low bits tell most
        sieve = np.zeros(1 << 24, bool)
        sieve[rows[fresh[track], 0] & 0xFFFFFF] = True
        kept = sieve[rows[:, 0] & 0xFFFFFF]
        rows, track = rows[kept], track[kept]
    order = np.argsort(rows[:, 0].astype(np.uint64) << np.uint64(32) | track, kind="stable")
    hashes, times, track = rows[order, 0], rows[order, 1], track[order]
    del rows, order
    n_pairs = sum(int(np.count_nonzero(hashes[step:] == hashes[:-step])) for step in range(1, _NEIGHBOURS + 1))
    n_rounds = n_pairs // _MOST_PAIRS + 1
    for turn in range(n_rounds):
        words = [np.empty(0, np.uint64)]
        for step in range(1, _NEIGHBOURS + 1):
            at = np.flatnonzero(hashes[step:] == hashes[:-step])
            one, two = track[at], track[at + step]
            wanted = (one != two) & (fresh[one] | fresh[two]) & (one % n_rounds == turn)
            at, one, two = at[wanted], one[wanted], two[wanted]
            words.append(_pack(one, two, times[at].astype(np.int64) - times[at + step]))
        yield from _fullest(np.sort(np.concatenate(words)))


def _pack(one: npt.NDArray[np.uint32], two: npt.NDArray[np.uint32], offset: npt.NDArray[np.int64]) -> Words:
    """Pack two tracks and their offset, within 9 hours, into a word that sorts by pair, then offset."""
    pair = one.astype(np.uint64) << np.uint64(_TRACK_BITS) | two
    return pair << np.uint64(_OFFSET_BITS) | ((offset + _ZERO) & _OFFSETS).astype(np.uint64)


def _fullest(words: Words) -> Iterator[tuple[int, int, int]]:
    """Yield each pair's fullest offset, of those that hold enough words with the offsets on either side."""
    starts = np.flatnonzero(np.diff(words, prepend=~words[:1]))
    kinds, counts = words[starts], np.diff(starts, append=words.size)
    around = counts.copy()
    adjacent = np.flatnonzero(kinds[1:] - kinds[:-1] == 1)
    around[adjacent] += counts[adjacent + 1]
    around[adjacent + 1] += counts[adjacent]
    enough = around >= LEAST_MATCHES
    kinds, around = kinds[enough], around[enough]
    pairs = kinds >> np.uint64(_OFFSET_BITS)
    order = np.lexsort((-around, pairs))
    for i in order[np.flatnonzero(np.diff(pairs[order], prepend=~pairs[order][:1]))]:
        one, two = divmod(int(pairs[i]), 1 << _TRACK_BITS)
        yield one, two, (int(kinds[i]) & _OFFSETS) - _ZERO

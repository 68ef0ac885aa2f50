"""Near-duplicates: which altered copies of real tracks are found, which other tracks pass for copies, and how fast.

python benchmarks/fingerprint.py AUDIO_DIR

Every audio file of the folder is a track. Copies are made in memory; each kind is searched for among all tracks.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from _bench import publish

from gmn.audio.decode import SUFFIXES, read_mono, to_pcm16
from gmn.audio.fingerprint import ALGORITHM, Fingerprint, fingerprint, to_bytes
from gmn.datasets.duplicates import Link, find_links

RATE = 22050
Waveform = npt.NDArray[np.floating]


def coded(x: Waveform, rate: int, format: str, subtype: str, **options: object) -> Waveform:
    """Write as a file of that rate and format, and read it back."""
    buffer = io.BytesIO()
    soundfile.write(buffer, resampled(x, rate), rate, format=format, subtype=subtype, **options)
    return read_mono(buffer, RATE).pcm.astype(np.float32) / 32768


def resampled(x: Waveform, rate: int) -> Waveform:
    """Return the waveform at another rate."""
    return x if rate == RATE else soxr.resample(x, RATE, rate)


def mp3(x: Waveform, rate: int, level: float) -> Waveform:
    """Code as MP3 of constant bitrate; libsndfile's level 0 is the highest bitrate of the rate, 1 the lowest."""
    return coded(x, rate, "MP3", "MPEG_LAYER_III", compression_level=level, bitrate_mode="CONSTANT")


def cut(x: Waveform, start: float, end: float | None = None) -> Waveform:
    """Return the part between two times in seconds."""
    return x[round(start * RATE) : None if end is None else round(end * RATE)]


COPIES: dict[str, Callable[[Waveform], Waveform]] = {
    "mp3, 128 kb/s at 44.1 kHz": lambda x: mp3(x, 44100, 0.63),
    "mp3, 64 kb/s": lambda x: mp3(x, RATE, 0.61),
    "mp3, 24 kb/s": lambda x: mp3(x, RATE, 0.9),
    "vorbis, default quality": lambda x: coded(x, RATE, "OGG", "VORBIS"),
    "vorbis, lowest quality": lambda x: coded(x, RATE, "OGG", "VORBIS", compression_level=0.99),
    "opus, low bitrate": lambda x: coded(x, 24000, "OGG", "OPUS", compression_level=0.9),
    "8 bits": lambda x: coded(x, RATE, "WAV", "PCM_U8"),
    "+6 dB, clipped": lambda x: np.clip(2 * x, -1, 1),
    "+12 dB, clipped": lambda x: np.clip(4 * x, -1, 1),
    "-12 dB": lambda x: x / 4,
    "first 3.7137 s cut": lambda x: cut(x, 3.7137),
    "2.3139 s of silence before": lambda x: np.concatenate([np.zeros(round(2.3139 * RATE), np.float32), x]),
    "by way of 16 kHz": lambda x: soxr.resample(resampled(x, 16000), 16000, RATE),
    "by way of 8 kHz": lambda x: soxr.resample(resampled(x, 8000), 8000, RATE),
    "3.7137 s cut, +3 dB clipped, mp3 64 kb/s": lambda x: mp3(np.clip(1.41 * cut(x, 3.7137), -1, 1), RATE, 0.61),
}
"""Copies that are searched for among the tracks as they are."""

HEAD, TAIL = "0 to 17.5 s, mp3 64 kb/s", "12.5 s to the end, vorbis"
EXCERPTS: dict[str, Callable[[Waveform], Waveform]] = {
    HEAD: lambda x: mp3(cut(x, 0, 17.5), RATE, 0.61),
    TAIL: lambda x: coded(cut(x, 12.5), RATE, "OGG", "VORBIS"),
}
"""Two copies that have 5 s in common; each is searched for among the others."""


def correlation(a: npt.NDArray[np.int16], b: npt.NDArray[np.int16]) -> float:
    """Return the largest normalised cross-correlation of two recordings, at any lag: near 1 for copies."""
    size = 1 << (a.size + b.size).bit_length()
    x, y = (v / max(float(np.linalg.norm(v)), 1.0) for v in (a.astype(np.float64), b.astype(np.float64)))
    return float(np.abs(np.fft.irfft(np.fft.rfft(x, size) * np.conj(np.fft.rfft(y, size)), size)).max())


def source(name: str) -> str:
    """Return the track that a copy was made from."""
    return name.partition("|")[0]


def judge(links: list[Link], tracks: int, different: dict[tuple[str, str], Link]) -> dict[str, object]:
    """Return the recall of links, and the matches of the weakest; keep links between different tracks."""
    true = [link for link in links if source(link.first) == source(link.second)]
    for link in set(links) - set(true):
        different.setdefault((source(link.first), source(link.second)), link)
    weakest = sorted(link.matches for link in true)[: max(1, tracks // 100)]
    return {"recall": len(true) / tracks, "found": len(true), "least matches": weakest}


def main() -> None:
    """Measure one folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", type=Path)
    folder = parser.parse_args().audio
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    pcm: dict[str, npt.NDArray[np.int16]] = {}
    started = time.process_time()
    for path in files:
        pcm[path.relative_to(folder).as_posix()] = read_mono(path, RATE).pcm
    decode_seconds = time.process_time() - started
    started = time.process_time()
    tracks = {name: fingerprint(samples, RATE) for name, samples in pcm.items()}
    print_seconds = time.process_time() - started
    seconds = sum(samples.size for samples in pcm.values()) / RATE

    different: dict[tuple[str, str], Link] = {}
    recall: dict[str, object] = {}
    judge(find_links(tracks), len(tracks), different)

    def copies(make: Callable[[Waveform], Waveform], kind: str) -> dict[str, Fingerprint]:
        return {
            f"{name}|{kind}": fingerprint(to_pcm16((make(x.astype(np.float32) / 32768)).astype(np.float32)), RATE)
            for name, x in pcm.items()
        }

    for kind, make in COPIES.items():
        recall[kind] = judge(find_links(copies(make, kind), tracks), len(tracks), different)
        print(kind, recall[kind], file=sys.stderr)
    head, tail = (copies(make, kind) for kind, make in EXCERPTS.items())
    recall[f"5 s in common: {HEAD} | {TAIL}"] = judge(find_links(head, tail), len(tracks), different)

    pairs = []
    for (first, second), link in sorted(different.items()):
        alike = correlation(pcm[first], pcm[second])
        pairs.append(link._asdict() | {"correlation": round(alike, 3), "duplicate": alike > 0.5})
    false = [pair for pair in pairs if not pair["duplicate"]]
    publish(
        "fingerprint",
        {
            "algorithm": ALGORITHM,
            "tracks": len(tracks),
            "recall": recall,
            "linked pairs of different files": pairs,
            "false pairs": len(false),
            "pairs compared": len(tracks) * (len(tracks) - 1) // 2,
            "bytes a track": round(float(np.mean([len(to_bytes(rows)) for rows in tracks.values()]))),
            "times real time, decode": round(seconds / decode_seconds),
            "times real time, fingerprint": round(seconds / print_seconds),
            "times real time, both": round(seconds / (decode_seconds + print_seconds)),
        },
    )


if __name__ == "__main__":
    main()

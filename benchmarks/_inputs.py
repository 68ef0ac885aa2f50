"""What ingest is measured on, made of a folder of music: 400 mp3s, 40,000 wav files of a second, and bare names."""

import shutil
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from gmn.audio.decode import SUFFIXES, read_waveform
from gmn.errors import InputError

MP3S, MP3_SECONDS, MP3_RATE = 400, 30, 44100
WAVS, WAV_RATE = 40_000, 16000
NAMES_A_FOLDER = 1000


def make_mp3s(audio: Path, folder: Path) -> list[Path]:
    """Return 400 different mp3s of 30 s, stereo at 44.1 kHz and 128 kbit/s, made where they are not there yet."""
    if len(found := sorted(folder.rglob("*.mp3"))) == MP3S:
        return found
    shutil.rmtree(folder, ignore_errors=True)
    files = sorted(path for path in audio.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"audio {audio}: no audio in it (looked for {' '.join(SUFFIXES)})")
    with ProcessPoolExecutor() as pool:
        list(pool.map(_make_mp3, repeat(files), repeat(folder), range(MP3S)))
    return sorted(folder.rglob("*.mp3"))


def make_wavs(mp3s: list[Path], folder: Path) -> list[Path]:
    """Return 40,000 different wav files of one second, mono at 16 kHz, made where they are not there yet."""
    if len(found := sorted(folder.rglob("*.wav"))) == WAVS:
        return found
    shutil.rmtree(folder, ignore_errors=True)
    each = WAVS // len(mp3s)
    half = MP3_SECONDS // 2 * WAV_RATE  # as much as is left of a recording seven semitones higher
    for path in mp3s:
        waveform = read_waveform(path, WAV_RATE)
        seconds = np.concatenate([_retuned(waveform, turn, WAV_RATE)[:half] for turn in range(8)]).reshape(-1, WAV_RATE)
        target = folder / path.parent.name
        target.mkdir(parents=True, exist_ok=True)
        for i, second in enumerate(seconds[:each]):
            soundfile.write(target / f"{path.stem}-{i:02d}.wav", second, WAV_RATE)
    return sorted(folder.rglob("*.wav"))


def make_names(folder: Path, n_files: int) -> None:
    """Make so many empty files with the names of mp3s, a thousand a folder."""
    for i in range(n_files):
        inner = folder / f"folder {i // NAMES_A_FOLDER:04d}"
        if i % NAMES_A_FOLDER == 0:
            inner.mkdir(parents=True)
        (inner / f"a name of usual length {i:07d}.mp3").touch()


def _make_mp3(files: list[Path], folder: Path, i: int) -> None:
    turn, k = divmod(i, len(files))
    left = np.resize(_retuned(read_waveform(files[k], MP3_RATE), turn, MP3_RATE), MP3_SECONDS * MP3_RATE)
    stereo = np.stack([left, np.roll(left, MP3_RATE // 100)], axis=1)
    target = folder / files[k].parent.name / f"{i:03d}.mp3"
    target.parent.mkdir(parents=True, exist_ok=True)
    options = {"subtype": "MPEG_LAYER_III", "compression_level": 0.67, "bitrate_mode": "CONSTANT"}
    soundfile.write(target, stereo, MP3_RATE, **options)


def _retuned(waveform: npt.NDArray[np.float32], semitones: int, rate: int) -> npt.NDArray[np.float32]:
    """Return a recording so many semitones higher and faster: another one, as fingerprints hear it."""
    return soxr.resample(waveform, rate * 2 ** (semitones / 12), rate)

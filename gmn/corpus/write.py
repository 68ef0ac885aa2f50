"""Write the collection into a folder: audio, labels, and a root file last, whose presence means that it is whole.

GENRE/GENRE.000.wav ...    16-bit PCM, the containers taking turns
labels.csv                 path, genre, n_annotators and a rate for each of the nine GEMS
README.txt                 what this is
corpus.json                the root: format, version and the parameters, written last
"""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from gmn.corpus.compose import EMOTIONS, GENRES, compose
from gmn.corpus.render import render
from gmn.corpus.score import Score
from gmn.datasets.labels import GEMS
from gmn.errors import InputError

ROOT = "corpus.json"
_UNFINISHED = "corpus.json.part"
_CONTAINERS = {"wav": "WAV", "flac": "FLAC", "aiff": "AIFF", "au": "AU"}
_README = """A small labelled music collection, composed and rendered by gmn (the Generative Music Network) itself.

{tracks} tracks of {seconds:g} s at {sample_rate} Hz, mono, seed {seed}. Genres: {genres}.
labels.csv names every track with its genre and, for each of the nine emotions of GEMS-9, the share of
n_annotators simulated listeners who felt it. No person rated anything.

A program wrote all the music from random numbers, without any recording, sample or score of anybody's:
there is no rights holder and no licence to observe. The same seed gives the same collection.
"""


def _emotion(seed: int, index: int) -> str:
    """Emotion of a track: within a genre, every run of as many tracks as there are emotions has each of them once."""
    turn, genre = divmod(index, len(GENRES))
    block, place = divmod(turn, len(EMOTIONS))
    return EMOTIONS[int(np.random.default_rng([seed, 0, block, genre]).permutation(len(EMOTIONS))[place])]


def compose_track(seed: int, index: int, seconds: float) -> Score:
    """Compose track `index` of a collection; it depends on nothing else, so a longer collection begins alike."""
    rng = np.random.default_rng([seed, 1, index])
    return compose(GENRES[index % len(GENRES)], _emotion(seed, index), rng, seconds)


def track_path(index: int) -> str:
    """Path of a track within the folder, with forward slashes."""
    genre, number = GENRES[index % len(GENRES)], index // len(GENRES)
    # The containers shift by one each round, so that none of them gives a genre away.
    extension = tuple(_CONTAINERS)[(index + number) % len(_CONTAINERS)]
    return f"{genre}/{genre}.{number:03d}.{extension}"


def _draft(name: str) -> str:
    """Name under which a small file is written before it counts."""
    return f"{name}.draft"


def _replace_text(path: Path, text: str) -> None:
    """Write a small file in one step: a reader sees all of it or none."""
    draft = path.with_name(_draft(path.name))
    draft.write_text(text, encoding="utf-8", newline="\n")
    draft.replace(path)


def _read_root(path: Path) -> object:
    """Return the parameters in a root file, or None where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _is_whole(folder: Path, root: dict[str, object]) -> bool:
    """Whether the folder holds this very collection already.

    Raises:
        InputError: when it holds something else.
    """
    if not folder.exists() or (folder.is_dir() and {entry.name for entry in folder.iterdir()} <= {_draft(_UNFINISHED)}):
        return False
    for name, whole in ((ROOT, True), (_UNFINISHED, False)):
        if (folder / name).is_file():
            if _read_root(folder / name) == root:
                return whole
            raise InputError(f"{folder} holds a corpus of other parameters: name another folder or delete it")
    raise InputError(f"{folder} exists and is not a corpus of gmn: name another folder")


def write_corpus(
    folder: Path,
    tracks: int = 96,
    seconds: float = 10.0,
    seed: int = 0,
    sample_rate: int = 22050,
    progress: Callable[[int], object] | None = None,
) -> Path:
    """Compose, render and write a collection, unless the folder holds it already.

    A run that was killed is made whole by the same call.

    Args:
        folder: where it goes; new, empty, or a corpus of the same parameters.
        tracks: number of tracks; genres take turns.
        seconds: length of a track.
        seed: the same seed gives the same bytes.
        sample_rate: in Hz.
        progress: called with 1 after each track; `tqdm(...).update` fits.

    Returns:
        The folder.

    Raises:
        InputError: when a parameter is out of range, or the folder holds something else.
    """
    for name, value, least in (("tracks", tracks, 1), ("seconds", seconds, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"{name}={value}: must be at least {least}")
    if sample_rate < 8000:
        raise InputError(f"sample_rate={sample_rate}: must be at least 8000")
    parameters = {"tracks": tracks, "seconds": float(seconds), "seed": seed, "sample_rate": sample_rate}
    root: dict[str, object] = {"format": "gmn.corpus", "version": "1.0", **parameters}
    if _is_whole(folder, root):
        return folder

    folder.mkdir(parents=True, exist_ok=True)
    _replace_text(folder / _UNFINISHED, json.dumps(root, indent=2) + "\n")
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["path", "genre", "n_annotators", *GEMS])
    for index in range(tracks):
        score, path = compose_track(seed, index, seconds), track_path(index)
        (folder / path).parent.mkdir(exist_ok=True)
        container = _CONTAINERS[path.rsplit(".", 1)[1]]
        soundfile.write(folder / path, render(score, sample_rate), sample_rate, subtype="PCM_16", format=container)
        rows.writerow([path, score.genre, score.n_annotators, *score.rates])
        if progress is not None:
            progress(1)
    _replace_text(folder / "README.txt", _README.format(genres=", ".join(GENRES), **parameters))
    _replace_text(folder / "labels.csv", table.getvalue())
    (folder / _UNFINISHED).replace(folder / ROOT)
    return folder

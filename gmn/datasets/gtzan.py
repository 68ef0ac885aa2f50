"""GTZAN: 1,000 excerpts of 30 s in ten genres, named GENRE/GENRE.00000.wav (or .au) to GENRE.00099.

Source: Tzanetakis and Cook 2002, Musical genre classification of audio signals (IEEE Transactions on Speech and Audio
Processing 10). No licence is stated. gmn brings neither its audio nor a list of its tracks.

Known faults. [1] Sturm 2012, An analysis of the GTZAN music genre dataset (MIRUM). [2] Sturm 2013, The GTZAN dataset:
its contents, its faults, their effects on evaluation, and its future use (arXiv:1306.1461), a catalogue of them.

- Repetitions: 7.2 % of the excerpts share a recording with another; 5 % of the excerpts are exact copies [1].
- Mislabellings: 10.6 % of the excerpts [1].
- Distortions in some excerpts [1, 2].
- No artist is named in the files [2]. [1] made an index of artists and titles; as a label table by path, it groups:
  labels.path=FILE split.group=column:artist.
- jazz.00054.wav cannot be decoded in the copy that people share (CORRUPTED_FILES in the loader of gtzan-10-sec on
  Hugging Face; many others say so). Ingest rejects it there like any bad file.
- Some archives hold litter of macOS, ._blues.00000.wav; the walk of a source passes over it.

The fault-filtered split leaves 70 excerpts out and has 443 to train, 197 to validate and 290 to test. jazz.00054 is one
of those to train, so that a copy in which it is corrupt trains on 442. Source: Kereliuk, Sturm, Larsen 2015, Deep
learning and music adversaries (IEEE Transactions on Multimedia 17, 11; arXiv:1507.04761).
"""

import re
from collections.abc import Mapping, Sequence

from gmn.audio.torchaudio_loader import load_torchaudio
from gmn.errors import InputError

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")

_NAME = re.compile(rf"(?:.*/)?({'|'.join(GENRES)})\.\d{{5}}\.\w+", re.IGNORECASE | re.DOTALL)


def genre(path: str) -> str | None:
    """Return the genre that a file's name states; None where it is not named as GTZAN's files are.

    >>> genre("genres/blues/blues.00029.au")
    'blues'
    """
    match = _NAME.fullmatch(path)
    return match[1].lower() if match else None


def fault_filtered() -> Mapping[str, Sequence[str]]:
    """Return the tracks of the fault-filtered split, such as blues.00029, from the lists in the installed torchaudio.

    Raises InputError where it has none.
    """
    load_torchaudio()
    try:
        from torchaudio.datasets import gtzan

        return {"train": gtzan.filtered_train, "validation": gtzan.filtered_valid, "test": gtzan.filtered_test}
    except (ImportError, AttributeError):
        raise InputError(
            "split.lists=gtzan: the installed torchaudio has no lists of GTZAN; give three files instead"
        ) from None

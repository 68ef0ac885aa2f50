"""The prime: given music that every clip of a library goes on from.

The model hears a receptive field of it, the last before the clip starts. A shorter prime has silence before it. A clip
holds what the model made and not the prime: its bits, its health and what a classifier hears in it are the model's own.
"""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt

from gmn.audio.decode import read_mono
from gmn.audio.mulaw import SILENCE, encode_pcm16
from gmn.audio.rejection import DecodeError
from gmn.errors import InputError
from gmn.metrics.health import SILENCE_DBFS, Status, check_health
from gmn.storage import Folder, digest


@dataclass(frozen=True)
class Prime:
    """Given music as the model takes it."""

    codes: npt.NDArray[np.uint8]
    """Mu-law codes [T] at the model's rate, with the silence before them."""
    digest: str
    """SHA-256 of the codes that were given."""
    note: str
    """What was taken, for people."""


def read_prime(uri: str, seconds: float | None, sample_rate: int, context_samples: int) -> Prime:
    """Decode a prime, its first `seconds` or all, and put silence before one that is shorter than the model's context.

    Raises InputError where the file is missing or cannot be read as audio, and where what the model would hear of it is
    silent: a clip that starts from silence needs no prime.
    """
    try:
        pcm = read_mono(BytesIO(Folder(uri).read_bytes("")), sample_rate).pcm
    except DecodeError as error:
        raise InputError(f"prime {uri}: cannot be read as audio ({error})") from None
    except FileNotFoundError:
        raise InputError(f"prime {uri}: no such file") from None
    except OSError as error:
        raise InputError(f"prime {uri}: {error.strerror or error}") from None
    if seconds is not None:
        pcm = pcm[: max(1, round(seconds * sample_rate))]
    heard = pcm[-context_samples:]
    if not len(heard) or check_health(heard / 32768, sample_rate).status in (Status.SILENT, Status.CONSTANT):
        raise InputError(
            f"prime {uri}: silent where the model would hear it, the last {len(heard) / sample_rate:.3g} s "
            f"(below {SILENCE_DBFS:g} dBFS): without a prime, clips start from silence"
        )
    given = encode_pcm16(pcm)
    missing = max(0, context_samples - len(given))
    note = f"{len(given) / sample_rate:.3g} s of {uri}, of which the model hears {len(heard) / sample_rate:.3g} s"
    if missing:
        note += f" after {missing / sample_rate:.3g} s of silence (it is shorter than the receptive field)"
    return Prime(np.pad(given, (missing, 0), constant_values=SILENCE), digest(given.tobytes()), note)

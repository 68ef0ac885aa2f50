"""The prime: any format and rate, its length against the receptive field, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from gmn.audio.decode import read_mono
from gmn.audio.mulaw import SILENCE, encode_pcm16
from gmn.errors import InputError
from gmn.generation.prime import read_prime

RATE = 8000
FIELD = 1000


def tone(seconds: float, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)


def test_a_prime_is_the_start_of_the_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0), RATE)
    prime = read_prime(str(tmp_path / "a.wav"), 0.25, RATE, FIELD)
    np.testing.assert_array_equal(prime.codes, encode_pcm16(read_mono(tmp_path / "a.wav", RATE).pcm[:2000]))
    assert prime.note == f"0.25 s of {tmp_path}/a.wav, of which the model hears 0.125 s"
    assert len(read_prime(str(tmp_path / "a.wav"), None, RATE, FIELD).codes) == RATE
    assert len(read_prime(str(tmp_path / "a.wav"), 9.0, RATE, FIELD).codes) == RATE


def test_another_format_and_rate_is_resampled(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.stack([tone(1.0, 44_100)] * 2, axis=1), 44_100)
    prime = read_prime(str(tmp_path / "a.flac"), None, RATE, FIELD)
    difference = prime.codes.astype(int) - encode_pcm16((tone(1.0) * 32767).astype(np.int16))
    assert np.abs(difference[100:-100]).mean() < 1


def test_the_digest_is_of_what_is_heard_and_not_of_the_file(tmp_path: Path) -> None:
    for name, seconds in (("a.wav", 1.0), ("a.flac", 1.0), ("b.wav", 0.5)):
        soundfile.write(tmp_path / name, tone(seconds), RATE, subtype="PCM_16")
    digests = [read_prime(str(tmp_path / name), None, RATE, FIELD).digest for name in ("a.wav", "a.flac", "b.wav")]
    assert digests[0] == digests[1] != digests[2]


def test_a_short_prime_has_silence_before_it_and_says_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.1), RATE)
    prime = read_prime(str(tmp_path / "a.wav"), None, RATE, FIELD)
    assert len(prime.codes) == FIELD
    assert (prime.codes[: FIELD - 800] == SILENCE).all()
    assert (prime.codes[FIELD - 800 :] != SILENCE).any()
    assert prime.note.endswith("hears 0.1 s after 0.025 s of silence (it is shorter than the receptive field)")


@pytest.mark.parametrize("before", [np.zeros(0), tone(0.5)], ids=["all of it", "its end"])
def test_a_prime_that_is_silent_where_it_is_heard_is_refused(tmp_path: Path, before: np.ndarray) -> None:
    soundfile.write(tmp_path / "a.wav", np.concatenate([before, np.zeros(RATE)]), RATE)
    with pytest.raises(InputError, match=r"a\.wav: silent where the model would hear it, the last 0\.125 s"):
        read_prime(str(tmp_path / "a.wav"), None, RATE, FIELD)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty.wav").write_bytes(b"")
    for name, message in (
        ("text.wav", r"prime .*text\.wav: cannot be read as audio \(not_audio"),
        ("empty.wav", r"prime .*empty\.wav: cannot be read as audio \(empty"),
        ("none.wav", r"prime .*none\.wav: no such file"),
        ("", "prime .*: .*(directory|folder|file)"),
    ):
        with pytest.raises(InputError, match=message):
            read_prime(str(tmp_path / name), None, RATE, FIELD)

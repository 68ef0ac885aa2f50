"""Near-duplicates: copies share a group, other tracks do not, and neither order nor arrival matters."""

import dataclasses
import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from gmn.audio.decode import read_mono, to_pcm16
from gmn.audio.fingerprint import Fingerprint, fingerprint
from gmn.corpus.render import render
from gmn.corpus.write import compose_track
from gmn.datasets import duplicates
from gmn.datasets.duplicates import compare, find_links

RATE = 11_025
SECONDS = 14.0
TRACKS = 8

Waveform = npt.NDArray[np.floating]
Fingerprints = dict[str, Fingerprint]


def find_duplicates(fingerprints: Fingerprints) -> dict[str, str]:
    """Name each track's group by its least member: those that a chain of links joins."""
    group_of = {name: name for name in fingerprints}
    for link in find_links(fingerprints):
        a, b = sorted((group_of[link.first], group_of[link.second]))
        group_of = {name: a if group == b else group for name, group in group_of.items()}
    return group_of


def landmarks(x: Waveform) -> Fingerprint:
    return fingerprint(to_pcm16(x.astype(np.float32)), RATE)


def coded(x: Waveform, rate: int, format: str, subtype: str) -> Waveform:
    buffer = io.BytesIO()
    soundfile.write(buffer, soxr.resample(x, RATE, rate), rate, format=format, subtype=subtype)
    return read_mono(buffer, RATE).pcm / np.float32(32768)


@pytest.fixture(scope="module")
def waveforms() -> list[Waveform]:
    return [0.7 * render(compose_track(9, index, SECONDS), RATE) for index in range(TRACKS)]


@pytest.fixture(scope="module")
def originals(waveforms: list[Waveform]) -> Fingerprints:
    return {f"track {index}": landmarks(x) for index, x in enumerate(waveforms)}


COPIES: dict[str, Callable[[Waveform], Waveform]] = {
    "mp3 at 44.1 kHz": lambda x: coded(x, 44_100, "MP3", "MPEG_LAYER_III"),
    "vorbis": lambda x: coded(x, 22_050, "OGG", "VORBIS"),
    "opus": lambda x: coded(x, 24_000, "OGG", "OPUS"),
    "flac at 48 kHz": lambda x: coded(x, 48_000, "FLAC", "PCM_16"),
    "8 bits": lambda x: coded(x, RATE, "WAV", "PCM_U8"),
    "clipped by 6 dB": lambda x: np.clip(2 * x / np.abs(x).max(), -1, 1),
    "-12 dB": lambda x: x / 4,
    "5.3 s cut": lambda x: x[round(5.3 * RATE) :],
    "silence before, mp3": lambda x: coded(
        np.concatenate([np.zeros(30_000, np.float32), x]), RATE, "MP3", "MPEG_LAYER_III"
    ),
    "half a frame off, an excerpt of 6 s": lambda x: x[88 + 4 * RATE : 10 * RATE],
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_share_the_group_of_their_original_and_no_others(
    waveforms: list[Waveform], originals: Fingerprints, name: str
) -> None:
    copies = {f"track {index}, {name}": landmarks(COPIES[name](x)) for index, x in enumerate(waveforms)}
    groups = find_duplicates(originals | copies)
    assert groups == {track: track.partition(",")[0] for track in [*originals, *copies]}


def test_excerpts_that_overlap_by_five_seconds_share_a_group(waveforms: list[Waveform]) -> None:
    for x in waveforms[:4]:
        head, tail = x[: round(9.5 * RATE)], x[round(4.5 * RATE) :]
        assert len(set(find_duplicates({"head": landmarks(head), "tail": landmarks(tail)}).values())) == 1


def test_a_link_says_where_and_how_much(waveforms: list[Waveform], originals: Fingerprints) -> None:
    link = find_links({"a": originals["track 1"], "b": landmarks(waveforms[1][4 * RATE :])})[0]
    assert (link.first, link.second) == ("a", "b")
    assert link.offset_seconds == pytest.approx(4.0, abs=0.017)
    assert link.matches > 50
    assert 0.5 < link.share <= 1


def test_other_music_from_the_same_score_is_another_recording() -> None:
    """Transposed, played anew, or with another band: the chords and the tempo stay, and the drums' pattern too."""
    for index in (0, 2, 3):
        score = compose_track(9, index, SECONDS)
        up = tuple(dataclasses.replace(note, pitch=note.pitch + 1) for note in score.notes)
        scores = {
            "as written": score,
            "transposed": dataclasses.replace(score, notes=up, seed=score.seed + 1),
            "anew": dataclasses.replace(score, seed=score.seed + 2),
        }
        groups = find_duplicates({name: landmarks(render(one, RATE)) for name, one in scores.items()})
        assert len(set(groups.values())) == 3


def test_one_drum_loop_under_other_music_is_no_copy(waveforms: list[Waveform]) -> None:
    score = next(one for one in (compose_track(9, index, 4.0) for index in range(1, 40)) if len(one.hits) > 12)
    drums = render(dataclasses.replace(score, notes=()), RATE)
    loop = np.tile(drums[RATE : 3 * RATE], 8)[: waveforms[0].size]
    loop *= 0.1 / np.sqrt(np.mean(loop**2))
    mixed = {}
    for index, x in enumerate(waveforms):
        mixed[f"{index}"] = landmarks(0.1 * x / np.sqrt(np.mean(x**2)) + loop)
    assert find_links(mixed) == []


def test_silence_and_noise_stand_alone() -> None:
    rng = np.random.default_rng(0)
    sounds = {f"noise {i}": (0.1 * rng.standard_normal(10 * RATE)).astype(np.float32) for i in range(4)}
    sounds |= {f"silence {i}": np.zeros(i * RATE, np.float32) for i in range(4)}
    found = {name: landmarks(x) for name, x in sounds.items()}
    assert find_duplicates(found) == {name: name for name in sounds}
    assert find_duplicates({}) == {}
    assert compare(found["noise 0"], found["silence 2"], 0) == (0, 0.0, 0.0)


def synthetic(rng: np.random.Generator, n: int = 200) -> Fingerprint:
    rows = np.stack([rng.integers(0, 1 << 30, n), rng.integers(0, 1800, n)], 1).astype(np.uint32)
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))]


def copy_of(rows: Fingerprint, rng: np.random.Generator, shift: int = 0, share: float = 0.5) -> Fingerprint:
    kept = rng.random(len(rows)) < share
    other = synthetic(rng, len(rows))
    moved = rows + np.array([0, shift], np.uint32)
    mixed = np.where(kept[:, None], moved, other)
    return mixed[np.lexsort((mixed[:, 1], mixed[:, 0]))]


@settings(max_examples=25)
@given(st.permutations(range(12)))
def test_order_does_not_matter(order: list[int]) -> None:
    rng = np.random.default_rng(0)
    made = [synthetic(rng) for _ in range(4)]
    rows = {f"{i:02d}": made[i % 4] if i < 4 else copy_of(made[i % 4], rng, 10 * i) for i in range(12)}
    names = list(rows)
    shuffled = {names[i]: rows[names[i]] for i in order}
    assert find_duplicates(shuffled) == {name: f"{int(name) % 4:02d}" for name in names}
    assert find_links(shuffled) == find_links(rows)


def test_known_tracks_are_not_compared_with_each_other() -> None:
    rng = np.random.default_rng(3)
    rows = synthetic(rng)
    known = {"a": rows, "b": copy_of(rows, rng)}
    assert find_links({"c": synthetic(rng)}, known) == []
    assert {(link.first, link.second) for link in find_links({"c": rows}, known)} == {("a", "c"), ("b", "c")}


def test_a_recording_with_more_copies_than_are_paired_stays_one_group() -> None:
    rng = np.random.default_rng(4)
    rows = synthetic(rng)
    copies = {f"{i:03d}": copy_of(rows, rng, i, 0.6) for i in range(300)}
    assert set(find_duplicates(copies).values()) == {"000"}


def test_hashes_that_all_tracks_have_link_none() -> None:
    rng = np.random.default_rng(5)
    common = rng.integers(0, 1 << 30, 100)
    tracks = {}
    for i in range(60):
        rows = synthetic(rng)
        rows[:100, 0] = common
        tracks[f"{i}"] = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    assert find_links(tracks) == []


def test_rounds_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    made = [synthetic(rng) for _ in range(5)]
    rows = {f"{i:02d}": copy_of(made[i % 5], rng, i, 0.6) for i in range(20)}
    whole = find_links(rows)
    monkeypatch.setattr(duplicates, "_MOST_PAIRS", 100)
    assert sorted(find_links(rows)) == sorted(whole)
    assert len(whole) == 30


def test_too_little_in_common_is_no_link() -> None:
    rng = np.random.default_rng(7)
    rows = synthetic(rng)
    assert find_links({"a": rows, "few": copy_of(rows, rng, share=0.02)}) == []
    brief = synthetic(rng)
    brief[:60] = rows[:60]
    brief[:60, 1] = rows[:60, 1] = 900 + np.arange(60)
    assert find_links({"a": rows, "brief": brief[np.lexsort((brief[:, 1], brief[:, 0]))]}) == []

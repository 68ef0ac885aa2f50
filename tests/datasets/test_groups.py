"""Which tracks stay together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmn.datasets.groups import Member, Standing, check_rule, conflicts, group_tracks
from gmn.errors import InputError

RULES = ("artist", "track", "folder", "column:series")
IDS = [f"{i:x}" for i in range(12)]
MEMBERS = st.permutations(IDS).flatmap(
    lambda ids: st.lists(
        st.tuples(st.sampled_from("xyz"), st.sampled_from(["rock", "pop", None]), st.sampled_from("ABCDE")),
        min_size=len(ids),
        max_size=len(ids),
    ).map(
        lambda rows: [
            Member(track_id, f"{folder}/{track_id}.wav", genre, artist if artist != "E" else None, artist)
            for track_id, (folder, genre, artist) in zip(ids, rows, strict=True)
        ]
    )
)
COPIES = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)).filter(lambda pair: pair[0] < pair[1]))


def member(track_id: str, artist: str | None = None, folder: str = "a", column: str | None = None) -> Member:
    return Member(track_id, f"{folder}/{track_id}.wav", "rock", artist, column)


def parts(group_of: dict[str, str]) -> set[frozenset[str]]:
    return {frozenset(t for t in group_of if group_of[t] == group) for group in group_of.values()}


@given(MEMBERS, st.sampled_from(RULES), COPIES, st.randoms(use_true_random=False))
def test_order_plays_no_part_and_copies_stay_together(members, rule, copies, random) -> None:  # type: ignore[no-untyped-def]
    found = group_tracks(members, rule, copies)
    assert set(found.group_of) == set(IDS)
    assert found.bridging == []
    assert all(found.group_of[a] == found.group_of[b] for a, b in copies)
    random.shuffle(members)
    random.shuffle(copies)
    assert group_tracks(members, rule, [(b, a) for a, b in copies]) == found


@given(MEMBERS, st.sampled_from(RULES), COPIES)
def test_tracks_of_one_key_stay_together(members, rule, copies) -> None:  # type: ignore[no-untyped-def]
    found = group_tracks(members, rule, copies)
    keys = {"artist": lambda m: m.artist, "folder": lambda m: m.path[0], "column:series": lambda m: m.column}
    key = keys.get(found.rule, lambda m: None)
    for a in members:
        for b in members:
            if key(a) is not None and key(a) == key(b):
                assert found.group_of[a.track_id] == found.group_of[b.track_id]
    if not copies:
        assert all(
            a.track_id == b.track_id or (key(a) is not None and key(a) == key(b))
            for a in members
            for b in members
            if found.group_of[a.track_id] == found.group_of[b.track_id]
        )


@given(MEMBERS, st.sampled_from(RULES), COPIES, st.integers(0, 12), st.lists(st.sampled_from("ab"), min_size=12))
def test_a_grown_dataset_keeps_its_groups_and_no_group_has_two_splits(members, rule, copies, n, picks) -> None:  # type: ignore[no-untyped-def]
    first = group_tracks(members[:n], rule, [pair for pair in copies if {*pair} <= {m.track_id for m in members[:n]}])
    split_of = dict(zip(sorted(set(first.group_of.values())), picks, strict=False))
    standing = {track: Standing(group, split_of[group]) for track, group in first.group_of.items()}
    grown = group_tracks(members, first.rule if standing else rule, copies, standing)
    assert {*grown.group_of, *grown.bridging} == set(IDS)
    assert not set(grown.bridging) & set(standing)
    splits = {(grown.group_of[track], stands.split) for track, stands in standing.items()}
    assert len(splits) == len({group for group, _ in splits})
    for group in first.group_of.values():
        assert len({grown.group_of[track] for track in standing if standing[track].group == group}) == 1


def test_a_collection_of_one_artist_is_grouped_by_track() -> None:
    found = group_tracks([member("1", "A"), member("2", "A"), member("3", "A")], "artist", [])
    assert (found.rule, len(parts(found.group_of))) == ("track", 3)
    three = group_tracks([member("1", "A"), member("2", "B"), member("3", "C"), member("4", "C")], "artist", [])
    assert (three.rule, len(parts(three.group_of))) == ("artist", 3)


def test_a_newcomer_that_matches_one_split_joins_it_and_one_that_matches_two_is_left_out() -> None:
    old = [member("1"), member("2"), member("3")]
    standing = {
        name: Standing(f"track:{name}", split) for name, split in zip("123", ("train", "test", "test"), strict=True)
    }
    found = group_tracks(
        [*old, member("4"), member("5"), member("6")],
        "artist",
        [("1", "4"), ("1", "5"), ("2", "5"), ("2", "6"), ("3", "6")],
        standing,
    )
    assert found.bridging == ["5"]
    assert parts(found.group_of) == {frozenset("14"), frozenset("236")}


def test_a_newcomer_by_an_artist_of_one_split_that_copies_a_track_of_another_is_left_out() -> None:
    standing = {"1": Standing("artist:A", "train"), "2": Standing("artist:B", "test")}
    found = group_tracks([member("1", "A"), member("2", "B"), member("3", "A")], "artist", [("2", "3")], standing)
    assert found.bridging == ["3"]


def test_old_copies_stay_one_group_though_only_new_pairs_are_given() -> None:
    """They once fell apart when the dataset grew, and folds could put one recording into training and test."""
    standing = {"1": Standing("track:1", "train"), "2": Standing("track:1", "train")}
    found = group_tracks([member("1"), member("2"), member("3")], "artist", [], standing)
    assert parts(found.group_of) == {frozenset("12"), frozenset("3")}


def test_conflicts_are_copies_under_two_genres() -> None:
    tracks = [Member("1", "b", "rock", None), Member("2", "a", "pop", None), Member("3", "c", None, None)]
    assert conflicts(tracks, [("1", "2"), ("1", "3"), ("1", "9")]) == [["a", "b"]]


def test_a_recording_of_many_copies_is_one_conflict() -> None:
    """It was once told pair by pair."""
    tracks = [
        Member(t, t, genre, None)
        for t, genre in zip("abcdef", ["rock", "pop", "rock", None, "pop", "pop"], strict=True)
    ]
    chained = [("a", "b"), ("a", "c"), ("b", "c"), ("c", "d")]
    assert conflicts(tracks, [*chained, ("e", "f")]) == [["a", "b", "c"]]
    assert conflicts(tracks, [("a", "d"), ("b", "d"), ("e", "f")]) == [["a", "b"]]  # d has no genre, and joins them


def test_a_file_with_other_content_stays_in_the_group_in_which_it_stood() -> None:
    standing = {"1": Standing("track:1", "train"), "2": Standing("track:2", "test"), "3": Standing("track:3", "test")}
    changed = Member("4", "b/1.wav", "rock", None, None, stood="track:1")
    found = group_tracks([member("2"), member("3"), changed], "artist", [], standing)
    assert found.group_of["4"] == "track:1"
    assert found.taken["track:1"] == "train"
    assert group_tracks([member("2"), member("3"), changed], "artist", [("2", "4")], standing).bridging == ["4"]


@pytest.mark.parametrize("rule", ["artists", "column:", "", "column"])
def test_another_rule_is_refused(rule: str) -> None:
    with pytest.raises(InputError, match=r"split\.group: .* is not artist, track, folder or column:NAME"):
        check_rule(rule)

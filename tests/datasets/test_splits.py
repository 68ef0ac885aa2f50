"""Splits by group."""

from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmn.datasets.schemas import SPLITS
from gmn.datasets.splits import Group, SplitConfig, fold_groups, majority, split_blocks, split_groups

SHARES = st.floats(0.01, 0.49)
CONFIGS = st.builds(SplitConfig, seed=st.integers(0, 99), validation=SHARES, test=SHARES)
NAMES = st.text("0123456789abcdef", min_size=1, max_size=6)
SIZES = st.integers(1, 9)
GROUPS = st.dictionaries(NAMES, st.builds(Group, st.sampled_from(["rock", "pop", None]), SIZES), max_size=40)

Groups = dict[str, Group]


def singles(names: object, genre: str = "rock") -> Groups:
    return {str(name): Group(genre) for name in names}  # type: ignore[attr-defined]


def by_genre(groups: Groups, split_of: dict[str, str]) -> dict[str | None, Counter[str]]:
    counts: dict[str | None, Counter[str]] = defaultdict(Counter)
    for name, group in groups.items():
        counts[group.genre][split_of[name]] += 1
    return counts


@given(GROUPS, CONFIGS)
def test_every_group_stands_in_one_split(groups: Groups, config: SplitConfig) -> None:
    split_of = split_groups(groups, config)
    assert set(split_of) == set(groups)
    assert set(split_of.values()) <= set(SPLITS)


@given(GROUPS, CONFIGS, st.randoms(use_true_random=False))
def test_the_order_of_listing_plays_no_part(groups: Groups, config: SplitConfig, random) -> None:  # type: ignore[no-untyped-def]
    listed = list(groups.items())
    random.shuffle(listed)
    assert split_groups(dict(listed), config) == split_groups(groups, config)


@given(GROUPS, CONFIGS)
def test_every_genre_trains_and_a_large_one_is_in_each_split(groups: Groups, config: SplitConfig) -> None:
    """Large shares once left a genre of two or four groups without any to train on."""
    for counts in by_genre(groups, split_groups(groups, config)).values():
        expected = {1: {"train"}, 2: {"train", "test"}}.get(counts.total(), set(SPLITS))
        assert set(counts) == expected


@given(st.integers(3, 300), CONFIGS)
def test_shares_are_kept_within_one_group(n: int, config: SplitConfig) -> None:
    counts = Counter(split_groups(singles(range(n)), config).values())
    assert counts.total() == n
    assert abs(counts["test"] - n * config.test) <= 1
    assert abs(counts["validation"] - n * config.validation) <= 2  # a large share gives way to train


@given(st.lists(SIZES, min_size=3, max_size=60), CONFIGS)
def test_shares_of_unequal_groups_are_kept_within_the_largest(sizes: list[int], config: SplitConfig) -> None:
    groups = {str(i): Group("rock", size) for i, size in enumerate(sizes)}
    held: Counter[str] = Counter()
    for name, split in split_groups(groups, config).items():
        held[split] += groups[name].tracks
    for split, share in (("test", config.test), ("validation", config.validation)):
        assert abs(held[split] - share * sum(sizes)) <= 2 * max(sizes)


@given(GROUPS, GROUPS, CONFIGS)
def test_what_is_taken_never_moves(old: Groups, new: Groups, config: SplitConfig) -> None:
    before = split_groups(old, config)
    after = split_groups({**new, **old}, config, before)
    assert {name: after[name] for name in old} == before
    assert set(after) == {*old, *new}


@given(GROUPS, st.integers(3, 8), st.integers(0, 9))
def test_each_group_is_tested_in_one_fold_and_validates_in_another(groups: Groups, k: int, seed: int) -> None:
    folds = fold_groups(groups, SplitConfig(seed=seed, folds=k))
    assert len(folds) == k
    for name in groups:
        roles = Counter(fold[name] for fold in folds)
        assert roles == {"test": 1, "validation": 1, "train": k - 2}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(3, 6))
def test_folds_of_small_genres_are_of_one_size(sizes: list[int], k: int) -> None:
    """Each genre once began with the first part: four genres of two tracks left a fold no training."""
    groups = {f"{genre}-{i}": Group(str(genre)) for genre, size in enumerate(sizes) for i in range(size)}
    tested = [Counter(fold.values())["test"] for fold in fold_groups(groups, SplitConfig(folds=k))]
    assert max(tested) - min(tested) <= 1


def test_folds_are_of_one_size_whatever_the_genre() -> None:
    folds = fold_groups(singles(range(12)) | singles(range(100, 109), "pop"), SplitConfig(folds=3))
    assert [Counter(fold.values())["test"] for fold in folds] == [7, 7, 7]


@given(st.integers(1, 400), CONFIGS)
def test_blocks_of_a_recording_lie_apart(n: int, config: SplitConfig) -> None:
    blocks = split_blocks(n, config)
    assert [split for split, _, _ in blocks] == (list(SPLITS) if n >= 5 else ["train"])
    assert (blocks[0][1], blocks[-1][2]) == (0, n)
    assert all(first < end for _, first, end in blocks)
    assert all(later[1] - earlier[2] == 1 for earlier, later in pairwise(blocks))


def test_blocks_have_their_shares() -> None:
    assert split_blocks(100, SplitConfig()) == [("train", 0, 68), ("validation", 69, 84), ("test", 85, 100)]


def test_another_seed_is_another_split() -> None:
    groups = singles(range(50))
    assert split_groups(groups, SplitConfig(seed=0)) != split_groups(groups, SplitConfig(seed=1))


def test_another_genres_tracks_change_nothing() -> None:
    rock, pop = singles(range(20)), singles((f"p{i}" for i in range(20)), "pop")
    both = split_groups(rock | pop, SplitConfig())
    assert {group: both[group] for group in rock} == split_groups(rock, SplitConfig())


def test_a_split_never_changes() -> None:
    """Written down once: a dataset ingested again by a later gmn must be split alike."""
    split_of = split_groups(singles("abcdefghij"), SplitConfig())
    assert {name: split for name, split in split_of.items() if split != "train"} == {
        "c": "validation",
        "e": "test",
        "i": "test",
    }


@pytest.mark.parametrize(
    ("genres", "expected"), [(["b", "a", "a", None], "a"), (["b", "a"], "a"), ([None, "b"], "b"), ([None], None)]
)
def test_a_groups_genre_is_its_commonest(genres: list[str | None], expected: str | None) -> None:
    assert majority(genres) == expected

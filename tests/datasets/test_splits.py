"""Splits by group."""

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from gmn.datasets.schemas import SPLITS
from gmn.datasets.splits import SplitConfig, split_groups

SHARES = st.floats(0.01, 0.49)
CONFIGS = st.builds(SplitConfig, seed=st.integers(0, 99), validation=SHARES, test=SHARES)
GROUPS = st.dictionaries(st.text("0123456789abcdef", min_size=1, max_size=6), st.sampled_from(["rock", "pop", None]))


def by_genre(groups: dict[str, str | None], split_of: dict[str, str]) -> dict[str | None, Counter[str]]:
    counts: dict[str | None, Counter[str]] = defaultdict(Counter)
    for group, genre in groups.items():
        counts[genre][split_of[group]] += 1
    return counts


@given(GROUPS, CONFIGS)
def test_every_group_stands_in_one_split(groups: dict[str, str | None], config: SplitConfig) -> None:
    split_of = split_groups(groups, config)
    assert set(split_of) == set(groups)
    assert set(split_of.values()) <= set(SPLITS)


@given(GROUPS, CONFIGS, st.randoms(use_true_random=False))
def test_the_order_of_listing_plays_no_part(groups: dict[str, str | None], config: SplitConfig, random) -> None:  # type: ignore[no-untyped-def]
    listed = list(groups.items())
    random.shuffle(listed)
    assert split_groups(dict(listed), config) == split_groups(groups, config)


@given(GROUPS, CONFIGS)
def test_every_genre_trains_and_a_large_one_is_in_each_split(
    groups: dict[str, str | None], config: SplitConfig
) -> None:
    """Large shares once left a genre of two or four groups without any to train on."""
    for counts in by_genre(groups, split_groups(groups, config)).values():
        expected = {1: {"train"}, 2: {"train", "test"}}.get(counts.total(), set(SPLITS))
        assert set(counts) == expected


@given(st.integers(3, 300), CONFIGS)
def test_shares_are_kept_within_one_group(n: int, config: SplitConfig) -> None:
    counts = Counter(split_groups({str(i): "rock" for i in range(n)}, config).values())
    assert counts.total() == n
    assert abs(counts["test"] - n * config.test) <= 1
    assert abs(counts["validation"] - n * config.validation) <= 2  # a large share gives way to train


def test_another_seed_is_another_split() -> None:
    groups: dict[str, str | None] = {str(i): "rock" for i in range(50)}
    assert split_groups(groups, SplitConfig(seed=0)) != split_groups(groups, SplitConfig(seed=1))


def test_another_genres_tracks_change_nothing() -> None:
    rock: dict[str, str | None] = {str(i): "rock" for i in range(20)}
    both = split_groups(rock | {f"p{i}": "pop" for i in range(20)}, SplitConfig())
    assert {group: both[group] for group in rock} == split_groups(rock, SplitConfig())


def test_a_split_never_changes() -> None:
    """Written down once: a dataset ingested again by a later gmn must be split alike."""
    split_of = split_groups(dict.fromkeys("abcdefghij", "rock"), SplitConfig())
    assert {name: split for name, split in split_of.items() if split != "train"} == {
        "d": "validation",
        "f": "test",
        "g": "validation",
        "h": "test",
    }

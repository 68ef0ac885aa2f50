"""Splits by group: tracks of one group (copies of one recording, one artist) never stand in two splits."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field, field_validator

from gmn.config import Config
from gmn.datasets.schemas import SPLITS
from gmn.storage import digest


class SplitConfig(Config):
    """How tracks are split into train, validation and test."""

    seed: int = 0
    """Another seed, another split of the same tracks."""
    validation: float = Field(0.15, gt=0, lt=0.5)
    """Share of each genre's tracks for validation."""
    test: float = Field(0.15, gt=0, lt=0.5)
    """Share of each genre's tracks for test."""
    group: str = "artist"
    """What stays together, beside copies of one recording. artist: by the files' own tags, a track without one by
    itself; track; folder: all that lies in one folder; column:NAME: by that column of the label table."""
    folds: int | None = Field(None, ge=3, le=100)
    """Write k-fold splits fold-0 .. fold-(k-1) as well; in fold-i, part i is the test and part i + 1 the validation."""
    lists: tuple[str, ...] | None = None
    """Split by published lists, not by draw: three text files, for train, validation and test, with a path a line; or
    gtzan: GTZAN's fault-filtered split, as torchaudio has it. What no list names gets no split."""

    @field_validator("lists")
    @classmethod
    def _check_lists(cls, lists: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if lists is not None and lists != ("gtzan",) and len(lists) != len(SPLITS):
            raise ValueError(f"needs three files, for {', '.join(SPLITS)}, or gtzan")
        return lists


@dataclass(frozen=True)
class Group:
    """Tracks that stay together: how many, and their commonest genre."""

    genre: str | None
    tracks: int = 1


def split_groups(
    groups: Mapping[str, Group], config: SplitConfig, taken: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Split groups, stratified by genre; returns group -> train | validation | test.

    Depends on the seed, the groups' names and sizes alone, not on their order. Groups in `taken` keep their split, so
    that a dataset grows without moving what it had. A genre of one group goes to train, one of two to train and test,
    any larger one has at least one group in each split.
    """
    # A genre of few groups fills the parts in this order.
    shares = {"train": 1 - config.validation - config.test, "test": config.test, "validation": config.validation}
    strata = _strata(groups).values()
    return {name: part for stratum in strata for name, part in _fill(stratum, shares, config.seed, taken or {}).items()}


def fold_groups(groups: Mapping[str, Group], config: SplitConfig) -> list[dict[str, str]]:
    """Split groups into k equal parts, stratified by genre; returns a split for each fold."""
    assert config.folds is not None
    k = config.folds
    part_of: dict[str, str] = {}
    held = Counter({str(part): 0 for part in range(k)})
    for _, stratum in sorted(_strata(groups).items()):
        # A genre of few groups starts with the parts that other genres have left small.
        shares = dict.fromkeys(sorted(held, key=lambda part: (held[part], int(part))), 1 / k)
        chosen = _fill(stratum, shares, config.seed, {})
        for name, part in chosen.items():
            held[part] += stratum[name].tracks
        part_of |= chosen
    role = {0: "test", 1: "validation"}
    return [{name: role.get((int(part) - fold) % k, "train") for name, part in part_of.items()} for fold in range(k)]


def split_blocks(n_segments: int, config: SplitConfig) -> list[tuple[str, int, int]]:
    """Cut one recording into contiguous blocks (split, first segment, end), a segment apart, train first.

    A recording of fewer than five segments is all train: three blocks and two gaps do not fit.
    """
    if n_segments < 5:
        return [("train", 0, n_segments)]
    n_test = max(1, round(n_segments * config.test))
    n_validation = max(1, round(n_segments * config.validation))
    n_train = max(1, n_segments - n_test - n_validation - 2)
    validation = n_train + 1
    test = validation + n_validation + 1
    return [
        ("train", 0, n_train),
        ("validation", validation, min(validation + n_validation, n_segments - 2)),
        ("test", min(test, n_segments - 1), n_segments),
    ]


def _strata(groups: Mapping[str, Group]) -> dict[str, dict[str, Group]]:
    strata: dict[str, dict[str, Group]] = defaultdict(dict)
    for name, group in groups.items():
        strata[group.genre or ""][name] = group
    return strata


def _fill(
    stratum: Mapping[str, Group], shares: Mapping[str, float], seed: int, taken: Mapping[str, str]
) -> dict[str, str]:
    """Give each group, large ones first, to the part that lacks most; no part stays empty where groups suffice."""
    total = sum(group.tracks for group in stratum.values())
    chosen = {name: taken[name] for name in stratum if name in taken}
    held: Counter[str] = Counter()
    for name, part in chosen.items():
        held[part] += stratum[name].tracks
    waiting = sorted(
        (name for name in stratum if name not in taken),
        key=lambda name: (-stratum[name].tracks, digest(f"{seed}:{name}".encode())),
    )
    for rank, name in enumerate(waiting):
        empty = [part for part in shares if not held[part]]
        if len(waiting) - rank <= len(empty):
            part = empty[0]
        else:
            part = max(shares, key=lambda part: shares[part] * total - held[part])
        chosen[name] = part
        held[part] += stratum[name].tracks
    return chosen


def majority(genres: Sequence[str | None]) -> str | None:
    """Return the commonest genre, of equally common ones the first by name; None where no track has one."""
    counts = Counter(genre for genre in genres if genre is not None)
    return min(counts, key=lambda genre: (-counts[genre], genre)) if counts else None

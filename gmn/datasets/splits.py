"""Splits by group: tracks of one group (copies of one recording) never stand in two splits."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pydantic import Field

from gmn.config import Config
from gmn.storage import digest


class SplitConfig(Config):
    """How tracks are split into train, validation and test."""

    seed: int = 0
    """Another seed, another split of the same tracks."""
    validation: float = Field(0.15, gt=0, lt=0.5)
    """Share of each genre's groups for validation."""
    test: float = Field(0.15, gt=0, lt=0.5)
    """Share of each genre's groups for test."""


def split_groups(groups: Mapping[str, str | None], config: SplitConfig) -> dict[str, str]:
    """Split groups, given with their genre, stratified by genre; returns group -> train | validation | test.

    Depends on the seed and the groups' names alone, not on their order. A genre of one group goes to train, one of two
    to train and test, and any larger one has at least one group in each split.
    """
    strata: dict[str, list[str]] = defaultdict(list)
    for group, genre in groups.items():
        strata[genre or ""].append(group)
    return {group: split for stratum in strata.values() for group, split in _split_stratum(stratum, config).items()}


def _split_stratum(stratum: Sequence[str], config: SplitConfig) -> dict[str, str]:
    drawn = sorted(stratum, key=lambda group: digest(f"{config.seed}:{group}".encode()))
    n_test = max(round(len(drawn) * config.test), 1 if len(drawn) > 1 else 0)
    n_validation = min(max(round(len(drawn) * config.validation), 1), max(0, len(drawn) - 1 - n_test))
    return {
        group: "test" if rank < n_test else "validation" if rank < n_test + n_validation else "train"
        for rank, group in enumerate(drawn)
    }

"""What ingest says of a dataset: the counts that its root keeps and that a person reads in the terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gmn.datasets.groups import Grouping
from gmn.datasets.schemas import SPLITS
from gmn.datasets.settings import IngestConfig

SHOWN = 20
"""Files that are listed by name for a person."""


@dataclass(frozen=True)
class IngestSummary:
    """What became of the files."""

    files: int
    tracks: int
    segments: int
    hours: float
    groups: int
    rule: str
    """What grouped the tracks beside copies."""
    within_recording: bool
    """Whether one recording was cut into blocks, for want of others."""
    copies: int
    """Tracks that hold a recording which another track holds as well."""
    rejected: dict[str, int]
    genres: dict[str, int]
    splits: dict[str, int]
    rated: int = 0
    """Tracks with an emotion."""
    artists: int = 0
    """Tracks whose tags name an artist."""
    removed: list[str] = field(default_factory=list)
    """Tracks, by path, whose files the source no longer has, or that cannot be reached there now; they stay."""
    changed: list[str] = field(default_factory=list)
    """Tracks, by path, whose files have other content than before, and were read anew."""
    conflicts: list[list[str]] = field(default_factory=list)
    """Files with one recording under different genres, a list for each recording."""
    bridges: list[list[str]] = field(default_factory=list)
    """Files with one recording that published lists put into several splits, a list for each recording."""
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Say it to a person."""
        rejects = ", ".join(f"{reason} {count}" for reason, count in self.rejected.items())
        genres = ", ".join(f"{genre} {count}" for genre, count in self.genres.items())
        by = self.grouped_by()
        splits = ", ".join(f"{name} {self.splits.get(name, 0)}" for name in SPLITS)
        said = [
            f"files     {self.files}, rejected: {rejects or 'none'}",
            f"tracks    {self.tracks} ({self.hours:.2f} hours, {self.segments} segments), {self.copies} of them copies",
            f"genres    {genres or 'no labels'}",
            *([f"emotions  {self.rated} tracks have rates"] if self.rated else []),
            f"splits    {splits} ({f'blocks {by}' if self.within_recording else f'{self.groups} groups {by}'})",
        ]
        said += _shown("gone     ", self.removed)
        said += _shown("changed  ", self.changed)
        said += _shown("conflict ", [f"one recording, several genres: {', '.join(paths)}" for paths in self.conflicts])
        said += _shown("bridge   ", [f"one recording, several splits: {', '.join(paths)}" for paths in self.bridges])
        return said + [f"warning   {warning}" for warning in self.warnings]

    def grouped_by(self) -> str:
        """Say what stays together; an artist does so only where the tags name one."""
        if self.within_recording:
            return "within one recording"
        return f"by {self.rule}" + (f", named by {self.artists} tracks" if self.rule == "artist" else "")


def _shown(word: str, items: Sequence[str]) -> list[str]:
    """Say the first of some items, a line each, and how many there are."""
    more = [f"{word} and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return [f"{word} {item}" for item in items[:SHOWN]] + more


def summarise(
    rows: Sequence[Mapping[str, Any]],
    tracks: Sequence[Mapping[str, Any]],
    grouping: Grouping,
    split_rows: Sequence[Mapping[str, Any]],
    copies: Sequence[tuple[str, str]],
    config: IngestConfig,
) -> IngestSummary:
    """Count what became of the rows that count, of which `tracks` were accepted and stand in a split."""
    reasons = [row["reason"] for row in rows if row["status"] != "ok"] + ["bridges_splits"] * len(grouping.bridging)
    return IngestSummary(
        files=len(rows),
        tracks=len(tracks),
        segments=sum(-(-track["n_samples"] // config.segment_samples) for track in tracks),
        hours=round(sum(track["n_samples"] for track in tracks) / config.sample_rate / 3600, 4),
        groups=len(set(grouping.group_of.values())),
        rule=grouping.rule,
        within_recording=len({row["track_id"] for row in split_rows}) < len(split_rows),
        copies=len({track_id for pair in copies for track_id in pair}),
        rejected=dict(Counter(reasons).most_common()),
        genres=dict(sorted(Counter(track["genre"] for track in tracks if track["genre"]).items())),
        splits=dict(Counter(row["split"] for row in split_rows)),
        rated=sum(track["emotion"] is not None for track in tracks),
        artists=sum(track["artist"] is not None for track in tracks),
    )


def not_read_again(tracks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which tracks could not be read though their files had changed."""
    failed = [track for track in tracks if track["detail"]]
    if not failed:
        return []
    first = f"{failed[0]['path']}: {failed[0]['detail']}"
    return [f"{len(failed)} files changed but could not be read again; their tracks stay as they were (first: {first})"]

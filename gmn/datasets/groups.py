"""Groups: which tracks must stay together, because they share a recording, an artist, or what the user says."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gmn.errors import InputError

FEWEST = 3
"""Groups that a split needs; where artists give fewer, tracks stand for themselves."""


@dataclass(frozen=True)
class Member:
    """An accepted track, as grouping sees it."""

    track_id: str
    path: str
    genre: str | None
    artist: str | None
    column: str | None = None
    """Its value in the label table's column that the rule names."""
    stood: str | None = None
    """The group in which the same file stood with other content."""


def check_rule(rule: str) -> None:
    """Check a grouping rule: artist, track, folder or column:NAME.

    Raises InputError for anything else.
    """
    if rule not in ("artist", "track", "folder") and not (rule.startswith("column:") and rule != "column:"):
        raise InputError(f"split.group: {rule!r} is not artist, track, folder or column:NAME")


@dataclass(frozen=True)
class Standing:
    """Where a track of an earlier ingest stands."""

    group: str
    split: str


@dataclass(frozen=True)
class Grouping:
    """Which tracks stay together."""

    group_of: dict[str, str]
    """track_id -> group; rejected tracks have none."""
    bridging: list[str]
    """Newcomers, by track_id, that would have joined tracks of two splits."""
    rule: str
    """The rule that was used."""
    taken: dict[str, str]
    """Groups that stand in a split already."""


def group_tracks(
    members: Sequence[Member],
    rule: str,
    copies: Sequence[tuple[str, str]],
    standing: Mapping[str, Standing] | None = None,
) -> Grouping:
    """Group tracks: those of one key by the rule, and those that hold one recording, whatever the rule.

    `copies` are pairs of track_ids that hold one recording; `standing` says where the tracks of an earlier ingest
    stand: these keep their group and split, and a newcomer that matches two splits is left out. A file whose content
    changed is a newcomer that belongs to the group in which it stood. Artists that would leave fewer than three groups,
    as in a collection of one artist, give way to tracks. A group is named after its first key, so that its name depends
    on its members and not on their order; one that stands keeps its name.
    """
    standing, groups = standing or {}, _Groups()
    mates: dict[str, list[str]] = defaultdict(list)
    for a, b in copies:
        if not (a in standing and b in standing):  # how these stand has been decided
            mates[a].append(b)
            mates[b].append(a)
    for stands in standing.values():
        groups.place(stands.group, stands.split)
    keys: dict[str, str] = {}
    bridging = []
    for member in sorted(members, key=lambda member: (member.track_id not in standing, member.track_id)):
        own = [_key(member, rule), *(keys[mate] for mate in mates[member.track_id] if mate in keys)]
        if member.track_id in standing:
            own.append(standing[member.track_id].group)
        elif member.stood is not None:
            own.append(member.stood)
        if groups.join(own):
            keys[member.track_id] = own[0]
        else:
            bridging.append(member.track_id)
    group_of = {track_id: groups.root(key) for track_id, key in keys.items()}
    if rule == "artist" and not standing and len(set(group_of.values())) < min(FEWEST, len(members)):
        return group_tracks(members, "track", copies)
    return Grouping(group_of, bridging, rule, groups.taken)


def conflicts(members: Sequence[Member], copies: Sequence[tuple[str, str]]) -> list[list[str]]:
    """List the paths that hold one recording under different genres, a list for each recording."""
    return _apart(copies, {member.path: (member.track_id, member.genre) for member in members})


def bridges(
    members: Sequence[Member], copies: Sequence[tuple[str, str]], split_of: Mapping[str, str]
) -> list[list[str]]:
    """List the paths that hold one recording in several splits, as published lists may have it."""
    return _apart(copies, {member.path: (member.track_id, split_of.get(member.track_id)) for member in members})


def _apart(copies: Sequence[tuple[str, str]], held: Mapping[str, tuple[str, str | None]]) -> list[list[str]]:
    """List the paths of each recording that has several values; `held` maps a path to its track and value, or None."""
    recordings = _Groups()
    for pair in copies:
        recordings.join(pair)
    of_recording: dict[str, dict[str, str]] = defaultdict(dict)
    for path, (track_id, value) in held.items():
        if value is not None:
            of_recording[recordings.root(track_id)][path] = value
    return sorted(sorted(values) for values in of_recording.values() if len(set(values.values())) > 1)


def _key(member: Member, rule: str) -> str:
    if rule == "artist" and member.artist is not None:
        return f"artist:{member.artist}"
    if rule == "folder":
        return f"folder:{member.path.rpartition('/')[0]}"
    if rule.startswith("column:") and member.column is not None:
        return f"{rule}:{member.column}"
    return f"track:{member.track_id}"


class _Groups:
    """Keys joined into groups (union-find), each named after its smallest key and with at most one split.

    Of keys that have been placed in a split the smallest names the group.
    """

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self.taken: dict[str, str] = {}
        """Group -> split, of those that have one."""

    def place(self, key: str, split: str) -> None:
        """Put a group that stands by itself into a split."""
        self.taken[self.root(key)] = split

    def root(self, key: str) -> str:
        """Return the name of a key's group."""
        self._parent.setdefault(key, key)
        while self._parent[key] != key:
            self._parent[key] = self._parent[self._parent[key]]
            key = self._parent[key]
        return key

    def join(self, keys: Sequence[str]) -> bool:
        """Join the groups of some keys; does nothing and returns False where they belong to different splits."""
        roots = sorted({self.root(key) for key in keys}, key=lambda root: (root not in self.taken, root))
        if len({self.taken[root] for root in roots if root in self.taken}) > 1:
            return False
        for root in roots[1:]:
            self._parent[root] = roots[0]
            self.taken.pop(root, None)
        return True

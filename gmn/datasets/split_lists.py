"""Splits that were published: lists that name the tracks of train, validation and test.

A line names a file by its path relative to the source, or by the end of that path; the suffix of an audio file plays
no part. So a list made for `blues/blues.00029.au` fits a copy at `genres/blues/blues.00029.wav`.
"""

from collections.abc import Mapping
from pathlib import Path

from gmn.audio.decode import SUFFIXES
from gmn.datasets.gtzan import fault_filtered
from gmn.datasets.schemas import SPLITS
from gmn.errors import InputError


class SplitLists:
    """The tracks of three lists.

    `lists` are three files, for train, validation and test, or the one name gtzan. Raises InputError for a file that
    cannot be read, names nothing, or names what another list has as well.
    """

    def __init__(self, lists: tuple[str, ...]) -> None:
        self.title = f"split.lists={','.join(lists)}"
        self.split_of: dict[str, str] = {}
        """Name in the lists, without suffix -> split."""
        named = fault_filtered() if lists == ("gtzan",) else dict(zip(SPLITS, map(_read, lists), strict=True))
        for split, names in named.items():
            for name in names:
                other = self.split_of.setdefault(_stem(name), split)
                if other != split:
                    raise InputError(f"{self.title}: {name!r} stands in two of the lists, {other} and {split}")

    def name(self, path: str) -> str | None:
        """Return the name by which the lists know a file, the longest that fits; None where they do not."""
        rest = _stem(path)
        while rest and rest not in self.split_of:
            rest = rest.partition("/")[2]
        return rest or None

    def split(self, path: str) -> str | None:
        """Return the split that the lists put a file into; None where they do not name it."""
        name = self.name(path)
        return self.split_of[name] if name is not None else None

    def gaps(self, status_of: Mapping[str, str]) -> list[str]:
        """Say which of the names have no track; `status_of` holds each file of the source, ok or rejected."""
        accepted = {self.name(path) for path, status in status_of.items() if status == "ok"}
        seen = {self.name(path) for path in status_of}
        gaps = {
            "have no audio file": sorted(self.split_of.keys() - seen),
            "are rejected": sorted(self.split_of.keys() & seen - accepted),
        }
        of = f"of the {len(self.split_of)} tracks in {self.title}"
        return [f"{len(names)} {of} {what} (first: {names[0]})" for what, names in gaps.items() if names]


def _read(file: str) -> list[str]:
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"split.lists {file}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"split.lists {file}: not a text file with a path a line") from None
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError(f"split.lists {file}: names no track")
    return names


def _stem(path: str) -> str:
    stem, dot, suffix = path.rpartition(".")
    return stem if dot + suffix.lower() in SUFFIXES else path

"""What a track can be labelled with, and where labels come from."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import model_validator

from gmn.config import Config
from gmn.datasets import gtzan
from gmn.errors import InputError

GEMS = (
    "amazement",
    "solemnity",
    "tenderness",
    "nostalgia",
    "calmness",
    "power",
    "joyful_activation",
    "tension",
    "sadness",
)
"""The nine factors of the Geneva Emotional Music Scale (Zentner, Grandjean, Scherer 2008), in Emotify's order."""

EMOTIFY_OFFSETS = {"classical": 0, "rock": 100, "electronic": 200, "pop": 300}
"""Emotify numbers its tracks 1-400; a file's number within its genre's folder is 1-100 (Aljanaki et al. 2015)."""


class LabelsConfig(Config):
    """Where labels come from."""

    kind: Literal["folders", "gtzan", "table", "emotify", "none"] = "folders"
    """What the genre is taken from. folders: the first folder below the source; gtzan: GTZAN's file names; table: a
    CSV or Parquet file with a row a path and any of genre, the nine GEMS rates and n_annotators; emotify: Emotify's
    raw annotations, data.csv; none."""
    path: str | None = None
    """The label file, for table and emotify. With folders or gtzan: a table of what stands beside their genre."""
    genre_column: str = "genre"
    """The label file's column that is taken for the genre."""

    @model_validator(mode="after")
    def _check(self) -> "LabelsConfig":
        if self.kind in ("table", "emotify") and self.path is None:
            raise ValueError(f"labels.kind={self.kind} needs labels.path=FILE")
        if self.kind == "none" and self.path is not None:
            raise ValueError("labels.kind=none reads no labels.path")
        return self


@dataclass(frozen=True)
class Label:
    """A track's labels; what is not known is None."""

    genre: str | None = None
    emotion: tuple[float, ...] | None = None
    n_annotators: int | None = None
    group: str | None = None
    """The value of the column that a grouping rule names."""


class Labeller:
    """Gives a path, relative to the source, its label.

    Raises InputError for a label file that is missing, lacks columns or holds a bad value. `group_column` is a column
    of the table whose value groups tracks.
    """

    def __init__(self, config: LabelsConfig, group_column: str | None = None) -> None:
        self._kind, self._file = config.kind, config.path
        self._rows: Mapping[str | int, Label] = {}
        self.warnings: list[str] = []
        self._met: set[str | int] = set()
        self._unnamed = self._overruled = 0
        if group_column is not None and (config.path is None or config.kind == "emotify"):
            raise InputError(f"split.group=column:{group_column}: needs a table in labels.path, whose column it names")
        if config.path is not None and config.kind == "emotify":
            self._rows = _read_emotify(Path(config.path), config.genre_column)
            if config.genre_column == "mood":
                self.warnings.append(MOOD)
        elif config.path is not None:
            self._rows = _read_table(Path(config.path), config.genre_column, group_column)

    def __call__(self, path: str) -> Label:
        """Return a path's label; an empty one where nothing is known of it."""
        key = self._key(path)
        label = self._rows.get(key)
        if label is not None:
            self._met.add(key)
        if self._kind in ("folders", "gtzan"):
            genre = _folder(path) if self._kind == "folders" else gtzan.genre(path)
            self._unnamed += genre is None
            self._overruled += label is not None and label.genre not in (None, genre)
            return replace(label or Label(), genre=genre)
        if self._kind == "emotify" and label is None:
            return Label(genre=_folder(path))
        return label or Label()

    def check(self, files: Iterable[str]) -> None:
        """Look for a first file that the labels know; reads no further.

        Raises InputError where they know none.
        """
        if self._file is None and self._kind != "gtzan":
            return
        first = None
        for path in files:
            if self._key(path) in self._rows if self._file is not None else gtzan.genre(path) is not None:
                return
            first = first or path
        if self._file is not None:
            raise InputError(f"labels.path {self._file}: names none of the audio files (first: {first!r})")
        raise InputError(f"labels.kind=gtzan: no audio file is named as GTZAN's, blues.00000.wav (first: {first!r})")

    def compare(self, n_files: int) -> None:
        """Add to the warnings what does not match, once each of the files has been asked for."""
        if self._file is not None:
            named, met = len(self._rows), len(self._met)
            if named > met:
                self.warnings.append(f"{named - met} of the {named} tracks in {self._file} have no audio file")
            if n_files > met:
                self.warnings.append(f"{n_files - met} of the {n_files} audio files have no row in {self._file}")
        if self._kind == "gtzan" and self._unnamed:
            self.warnings.append(f"{self._unnamed} of the {n_files} audio files are not named as GTZAN's are: no genre")
        if self._overruled:
            self.warnings.append(
                f"{self._overruled} of the {n_files} audio files have another genre in {self._file}; "
                f"labels.kind={self._kind} decides"
            )

    def _key(self, path: str) -> str | int:
        return _emotify_id(path) if self._kind == "emotify" else path


MOOD = (
    "Emotify's column mood is the listener's mood before listening, not an emotion of the music: "
    "a model of it learns about listeners"
)


def _folder(path: str) -> str | None:
    return path.split("/")[0] if "/" in path else None


def _rows(path: Path, required: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a CSV, whose header names may carry spaces around them as Emotify's do, or a Parquet file, as texts."""
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            names = table.column_names
            rows = [{k: "" if v is None else str(v) for k, v in row.items()} for row in table.to_pylist()]
        else:
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file, skipinitialspace=True)
                reader.fieldnames = names = [name.strip() for name in reader.fieldnames or ()]
                rows = list(reader)
    except OSError as error:
        raise InputError(f"labels.path {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error, pa.ArrowInvalid) as error:
        raise InputError(f"labels.path {path}: not a CSV or Parquet file: {error}") from None
    missing = [name for name in required if name not in names]
    if missing:
        raise InputError(f"labels.path {path}: lacks the column {', '.join(missing)}; it has {', '.join(names)}")
    return rows


def _read_table(path: Path, genre_column: str, group_column: str | None) -> dict[str | int, Label]:
    labels: dict[str | int, Label] = {}
    rows = _rows(path, ("path", *[name for name in (genre_column, group_column) if name not in (None, "genre")]))
    held = {name for name in (genre_column, group_column, *GEMS) if name and rows and name in rows[0]}
    lacking = [name for name in GEMS if name not in held]
    if rows and not held:
        raise InputError(f"labels.path {path}: holds no labels; it has {', '.join(filter(None, rows[0]))}")
    if 0 < len(lacking) < len(GEMS):
        raise InputError(f"labels.path {path}: has some of the nine rates, but lacks {', '.join(lacking)}")
    for row in rows:
        rated = not lacking and any(_text(row, name) for name in GEMS)
        label = Label(
            genre=_text(row, genre_column),
            emotion=tuple(_rate(path, row, name) for name in GEMS) if rated else None,
            n_annotators=int(_rate(path, row, "n_annotators", 1e9)) if _text(row, "n_annotators") else None,
            group=_text(row, group_column) if group_column else None,
        )
        if labels.setdefault(row["path"], label) != label:
            raise InputError(f"labels.path {path}: {row['path']!r} has two rows that differ")
    return labels


def _read_emotify(path: Path, genre_column: str) -> dict[str | int, Label]:
    """Average the annotations of each track: a rate is the share of annotators who felt the emotion."""
    votes: dict[int, list[tuple[float, ...]]] = defaultdict(list)
    classes: dict[int, Counter[str | None]] = defaultdict(Counter)
    for row in _rows(path, ("track id", genre_column, *GEMS)):
        track = int(_rate(path, row, "track id", upper=1e9))
        votes[track].append(tuple(_rate(path, row, name) for name in GEMS))
        classes[track][_text(row, genre_column)] += 1
    return {
        track: Label(
            genre=classes[track].most_common(1)[0][0],
            emotion=tuple(sum(column) / len(given) for column in zip(*given, strict=True)),
            n_annotators=len(given),
        )
        for track, given in votes.items()
    }


def _text(row: Mapping[str, str], column: str) -> str | None:
    """Return a cell's text; an empty or missing one is None."""
    return (row.get(column) or "").strip() or None


def _rate(path: Path, row: Mapping[str, str], column: str, upper: float = 1.0) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = float("nan")
    if not 0 <= value <= upper:
        raise InputError(f"labels.path {path}: {column} is {row[column]!r}, not a number from 0 to {upper:g}: {row}")
    return value


def _emotify_id(path: str) -> int:
    """Find a file's track id in Emotify: genre.NNN.mp3 or genre/NNN.mp3, NNN from 1 to 100; -1 where there is none."""
    number = re.search(r"(\d+)\.\w+$", path)
    genre = next((name for name in EMOTIFY_OFFSETS if name in re.split(r"[/.]", path.lower())), None)
    if number is None or genre is None or not 1 <= int(number[1]) <= 100:
        return -1
    return EMOTIFY_OFFSETS[genre] + int(number[1])

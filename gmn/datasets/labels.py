"""What a track can be labelled with, and where labels come from."""

import csv
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from gmn.config import Config
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

    kind: Literal["folders", "table", "emotify", "none"] = "folders"
    """folders: the first folder below the source is the genre; table: a CSV with path, genre, n_annotators and the
    nine GEMS rates; emotify: Emotify's raw annotations (data.csv) and its folder names; none."""
    path: str | None = None
    """The label file, for table and emotify."""

    @model_validator(mode="after")
    def _check(self) -> "LabelsConfig":
        if self.kind in ("table", "emotify") and self.path is None:
            raise ValueError(f"labels.kind={self.kind} needs labels.path=FILE")
        return self


@dataclass(frozen=True)
class Label:
    """A track's labels; what is not known is None."""

    genre: str | None = None
    emotion: tuple[float, ...] | None = None
    n_annotators: int | None = None


def label_files(config: LabelsConfig, paths: list[str]) -> dict[str, Label]:
    """Give every path (relative to the source) its label; a file that the label file does not name gets an empty one.

    Raises InputError for a label file that is missing, lacks columns, holds a bad value or names none of the files.
    """
    if config.kind == "none":
        return {path: Label() for path in paths}
    if config.kind == "folders":
        return {path: Label(genre=_folder(path)) for path in paths}
    assert config.path is not None
    if config.kind == "table":
        table = _read_table(Path(config.path))
        labels = {path: table.get(path, Label()) for path in paths}
    else:
        rates = _read_emotify(Path(config.path))
        labels = {path: rates.get(_emotify_id(path), Label(genre=_folder(path))) for path in paths}
    if all(label.emotion is None for label in labels.values()):
        raise InputError(f"labels.path {config.path}: names none of the {len(paths)} audio files (first: {paths[0]!r})")
    return labels


def _folder(path: str) -> str | None:
    return path.split("/")[0] if "/" in path else None


def _rows(path: Path, required: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a CSV whose header names may carry spaces around them, as Emotify's do."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            missing = [name for name in required if name not in reader.fieldnames]
            if missing:
                raise InputError(f"labels.path {path}: lacks the column {', '.join(missing)}")
            return list(reader)
    except OSError as error:
        raise InputError(f"labels.path {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"labels.path {path}: not a CSV file: {error}") from None


def _read_table(path: Path) -> dict[str, Label]:
    labels = {}
    for row in _rows(path, ("path", "genre", "n_annotators", *GEMS)):
        rates = tuple(_rate(path, row, name) for name in GEMS)
        labels[row["path"]] = Label(_genre(row), rates, int(_rate(path, row, "n_annotators", upper=1e9)))
    return labels


def _read_emotify(path: Path) -> dict[int, Label]:
    """Average the annotations of each track: a rate is the share of annotators who felt the emotion."""
    votes: Mapping[int, list[tuple[float, ...]]] = defaultdict(list)
    genres: dict[int, str | None] = {}
    for row in _rows(path, ("track id", "genre", *GEMS)):
        track = int(_rate(path, row, "track id", upper=1e9))
        votes[track].append(tuple(_rate(path, row, name) for name in GEMS))
        genres[track] = _genre(row)
    return {
        track: Label(genres[track], tuple(sum(column) / len(given) for column in zip(*given, strict=True)), len(given))
        for track, given in votes.items()
    }


def _genre(row: Mapping[str, str]) -> str | None:
    """Return a row's genre; an empty cell is no genre."""
    return (row["genre"] or "").strip() or None


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

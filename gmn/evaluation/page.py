"""The report as a page: one folder with index.html that opens from disk, with no network and no server.

    index.html   numbers, ladders, matrices, curves and tables; its style and script are inlined
    clips.js     the clip cards, assigned to a global: a page opened from disk may not fetch()
    ...          the audio and pictures that the cards name, put there by the caller

Names come from files and are never trusted: Jinja2 escapes what goes into the HTML, `script_json` what goes into a
script, URL quoting what becomes an address; the page's script sets text through textContent alone.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

PAGE_SIZE = 24  # clip cards on one page: they fill rows of one, two, three and four
MAX_POINTS = 1200  # points that a curve keeps: about one a pixel

Tone = Literal["plain", "good", "warn", "bad"]
Section = Literal["summary", "clips", "obedience", "training", "provenance"]


@dataclass(frozen=True)
class Figure:
    """A number that matters, on top of the page. What follows " (" in the value, an interval, is set smaller."""

    label: str
    value: str
    note: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Ladder:
    """Baselines and the model on one scale from zero; less is better."""

    title: str
    note: str
    rungs: Sequence[tuple[str, float]]
    model: tuple[str, float]
    unit: str

    @property
    def top(self) -> float:
        """The longest bar."""
        return max((value for _, value in [*self.rungs, self.model] if math.isfinite(value)), default=0.0) or 1.0

    @property
    def best(self) -> tuple[str, float]:
        """The lowest rung, or the model where there is none."""
        return min(self.rungs, key=_height, default=self.model)

    @property
    def verdict(self) -> tuple[Tone, str]:
        """The model against the lowest rung, in words."""
        name, above = self.best[0], self.model[1] - self.best[1]
        if not math.isfinite(self.model[1]):
            return "bad", "not a finite number"
        if self.best == self.model:
            return "plain", ""
        if abs(above) < 0.005:
            return "warn", f"level with {name}"
        return ("bad", f"{above:.2f} above {name}") if above > 0 else ("good", f"{-above:.2f} below {name}")


@dataclass(frozen=True)
class Bars:
    """Amounts side by side, from zero: a histogram or counts by name."""

    title: str
    rows: Sequence[tuple[str, float]]
    unit: str
    note: str = ""

    @property
    def top(self) -> float:
        """The longest bar."""
        return max((value for _, value in self.rows), default=0.0) or 1.0


@dataclass(frozen=True)
class Matrix:
    """Target against predicted, as counts [rows][columns]; raises ValueError where they have another shape."""

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    counts: Sequence[Sequence[int]]
    row_title: str = "asked for"
    column_title: str = "heard as"

    def __post_init__(self) -> None:
        if [len(row) for row in self.counts] != [len(self.columns)] * len(self.rows):
            raise ValueError(f"matrix {self.title!r}: the counts are not {len(self.rows)} rows of {len(self.columns)}")

    def share(self, r: int, c: int) -> float:
        """Return a cell's share of its row."""
        return self.counts[r][c] / max(sum(self.counts[r]), 1)


@dataclass(frozen=True)
class Curve:
    """Named series of (x, y) points, drawn in the browser; a point that is not finite breaks its line."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[tuple[float, float]]]

    def plot(self) -> dict[str, Any]:
        """Return what the page's script draws."""
        ordered = [sorted(points, key=lambda point: point[0]) for points in self.series.values()]
        series = [[[float(x), finite(y)] for x, y in thinned(points)] for points in ordered]
        return {"names": list(self.series), "series": series, "x": self.x_label, "y": self.y_label}


@dataclass(frozen=True)
class ClipCard:
    """One clip: what was asked for, what a classifier heard, and its files, relative to the report's folder.

    Raises ValueError where a file is not named relative to the report's folder.
    """

    clip_id: str
    audio: str
    spectrogram: str
    genre: str | None
    emotion: str | None
    predicted_genre: str | None
    genre_confidence: float | None
    predicted_emotion: str | None
    bits_per_sample: float | None
    health: str
    seconds: float
    seed: int
    index: int

    def __post_init__(self) -> None:
        for path in (self.audio, self.spectrogram):
            if not path or path.startswith("/"):
                raise ValueError(f"clip {self.clip_id}: {path!r} is not a path relative to the report")

    @property
    def obeyed(self) -> bool | None:
        """Whether every head that was asked for was heard as asked; None where none was asked for and judged."""
        heads = [(self.genre, self.predicted_genre), (self.emotion, self.predicted_emotion)]
        judged = [asked == heard for asked, heard in heads if asked is not None and heard is not None]
        return all(judged) if judged else None

    def record(self) -> dict[str, Any]:
        """Return the card as the page's script reads it: numbers finite or null, paths quoted as relative URLs."""
        numbers = {key: finite(getattr(self, key)) for key in ("bits_per_sample", "genre_confidence", "seconds")}
        paths = {key: quote(getattr(self, key), errors="surrogateescape") for key in ("audio", "spectrogram")}
        return {**vars(self), **numbers, **paths, "obeyed": self.obeyed}


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; raises ValueError where a row is not as long as the header."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    section: Section = "provenance"

    def __post_init__(self) -> None:
        if any(len(row) != len(self.header) for row in self.rows):
            raise ValueError(f"table {self.title!r}: a row does not have {len(self.header)} cells")

    def number(self, column: int) -> bool:
        """Tell whether a column holds numbers alone."""
        cells = [row[column] for row in self.rows if row[column]]
        return bool(cells) and all(map(_NUMBER.fullmatch, cells))

    @property
    def width(self) -> int:
        """The characters of the widest cells, side by side."""
        return sum(max((len(row[c]) for row in self.rows), default=0) for c in range(len(self.header)))


_NUMBER = re.compile(r"[-+]?[\d.,\u00a0\u202f ]*\d(\s?(%|s|h|Hz|kB|MB|GB))?")


@dataclass(frozen=True)
class Report:
    """All that the page shows; a section with nothing in it is left out."""

    title: str
    lead: str
    figures: Sequence[Figure] = ()
    ladders: Sequence[Ladder] = ()
    bars: Sequence[Bars] = ()
    matrices: Sequence[Matrix] = ()
    curves: Sequence[Curve] = ()
    clips: Sequence[ClipCard] = ()
    tables: Sequence[Table] = ()
    names: Mapping[Section, str] = field(default_factory=dict)
    """Sections that are called otherwise than by their anchor."""

    def sections(self) -> dict[str, str]:
        """Return the anchors and names of the sections that have something in them."""
        filled: dict[Section, Sequence[object]] = {
            "summary": self.figures or self.ladders or self.bars,
            "clips": self.clips,
            "obedience": self.matrices,
            "training": self.curves,
            "provenance": (),
        }
        told = [table.section for table in self.tables]
        shown: list[Section] = [anchor for anchor, parts in filled.items() if parts or anchor in told]
        return {anchor: self.names.get(anchor, anchor.capitalize()) for anchor in shown}


def write_page(report: Report, folder: Path, name: str = "index.html") -> Path:
    """Write the page, last, and clips.js before it; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    if report.clips:
        records = ",\n".join(script_json(clip.record()) for clip in report.clips)
        _write(folder / "clips.js", f"window.gmnClips = [\n{records}\n];\n")
    environment = Environment(loader=PackageLoader("gmn.evaluation"), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"finite": finite, "script_json": script_json}
    page = environment.get_template("report.html").render(report=report, page_size=PAGE_SIZE)
    _write(folder / name, page.lstrip())
    return folder / name


def script_json(value: object) -> Markup:
    """Return JSON that is safe inside a script element: ASCII, and without the characters that could end it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def finite(value: float | None) -> float | None:
    """Return a number, or None where JSON has no word for it."""
    return float(value) if value is not None and math.isfinite(value) else None


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return MAX_POINTS points at most: of every stretch the lowest and the highest, so that no spike is lost."""
    kept: list[tuple[float, float]] = []
    stretch = math.ceil(2 * len(points) / MAX_POINTS) if len(points) > MAX_POINTS else 1
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        kept += sorted({min(part, key=_height), max(part, key=_height)})
    return kept


def _height(point: tuple[object, float]) -> float:
    """Order by value; what is not finite counts as highest."""
    return point[1] if math.isfinite(point[1]) else math.inf


def _write(path: Path, text: str) -> None:
    """Write a file whose name shows either the old content or all of the new."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
    temporary.replace(path)

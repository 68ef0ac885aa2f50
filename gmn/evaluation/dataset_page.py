"""The summary of a dataset, for people: DATASET/summary.html."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from gmn.datasets.dataset import Dataset
from gmn.datasets.labels import GEMS
from gmn.datasets.schemas import DATASET, SPLITS
from gmn.datasets.summary import IngestSummary
from gmn.evaluation.page import Bars, Figure, Report, Table, write_page

PAGE = "summary.html"

LISTED = 500
"""Rejected files that the page lists; the manifest has them all."""

Rows = Sequence[Mapping[str, Any]]


def write_summary(dataset: Dataset) -> Path | None:
    """Write summary.html into a local dataset; returns its path, or None where the dataset is not a local folder.

    A page that is as new as the dataset's root is left as it is.
    """
    folder = dataset.folder.local
    if folder is None:
        return None
    page, root = folder / PAGE, folder / DATASET.root
    if page.exists() and page.stat().st_mtime_ns >= root.stat().st_mtime_ns:
        return page
    columns = ["path", "genre", "emotion", "duration_seconds", "loudness_dbfs", "codec", "status", "reason", "detail"]
    rows = dataset.manifest(columns).to_pylist()
    accepted = [row for row in rows if row["status"] == "ok"]
    rejected = [row for row in rows if row["status"] != "ok"]
    counts = IngestSummary(**dataset.root["counts"])
    report = Report(
        title=f"Dataset of {PurePath(dataset.root['source']).name or 'audio'}",
        lead=f"{counts.tracks} tracks, {counts.hours:.2f} hours, from {dataset.root['source']}.",
        figures=_figures(counts),
        bars=_bars(counts, accepted),
        tables=[*_problems(counts, accepted, rejected), _settings(dataset)],
    )
    return write_page(report, folder, PAGE)


def _figures(counts: IngestSummary) -> list[Figure]:
    n_rejected = sum(counts.rejected.values())
    splits = ", ".join(f"{name} {counts.splits.get(name, 0)}" for name in SPLITS)
    return [
        Figure("Hours", f"{counts.hours:.2f}", f"{counts.segments} segments"),
        Figure("Tracks", str(counts.tracks), splits),
        Figure("Rejected", str(n_rejected), f"of {counts.files} files", "warn" if n_rejected else "good"),
        Figure("Copies", str(counts.copies), "tracks whose recording another track holds as well"),
        Figure("Groups", str(counts.groups), f"{counts.grouped_by()}; copies stay together"),
    ]


def _bars(counts: IngestSummary, accepted: Rows) -> list[Bars]:
    bars = []
    if counts.genres:
        bars.append(Bars("Genres", list(counts.genres.items()), "tracks"))
    if counts.rated:
        mean = np.mean([row["emotion"] for row in accepted if row["emotion"] is not None], axis=0)
        percent = [(name, round(100 * float(rate))) for name, rate in zip(GEMS, mean, strict=True)]
        bars.append(Bars("Emotions, mean rate in %", percent, f"of {counts.rated} tracks"))
    durations = np.array([row["duration_seconds"] for row in accepted])
    loudness = np.array([row["loudness_dbfs"] for row in accepted])
    bars.append(_histogram("Durations", durations, "s", "tracks"))
    bars.append(_histogram("Loudness, RMS", loudness, "dBFS", "tracks"))
    codecs = Counter(str(row["codec"]) for row in accepted)
    bars.append(Bars("Codecs", codecs.most_common(12), "tracks"))
    if counts.rejected:
        bars.append(Bars("Rejected, by reason", list(counts.rejected.items()), "files"))
    return bars


def _histogram(title: str, values: np.ndarray[Any, Any], unit: str, of: str) -> Bars:
    """Count values in eight equal steps between the 1st and the 99th percentile, with what lies outside at the ends."""
    low, high = np.percentile(values, [1, 99])
    if values.min() == values.max():
        return Bars(f"{title} in {unit}", [(f"{low:.2f}", values.size)], of)
    edges = np.linspace(low, high if high > low else low + 1, 9)
    held = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    digits = 0 if edges[-1] - edges[0] > 16 else 2
    names = [f"{a:.{digits}f} to {b:.{digits}f}" for a, b in pairwise(edges)]
    if values.min() < edges[0]:
        names[0] = f"below {edges[1]:.{digits}f}"
    if values.max() > edges[-1]:
        names[-1] = f"{edges[-2]:.{digits}f} and more"
    return Bars(f"{title} in {unit}", list(zip(names, held.tolist(), strict=True)), of)


def _problems(counts: IngestSummary, accepted: Rows, rejected: Rows) -> list[Table]:
    tables = []
    if counts.warnings:
        tables.append(Table("Warnings", ["warning"], [[text] for text in counts.warnings], section="summary"))
    if counts.conflicts:
        genre_of = {row["path"]: row["genre"] for row in accepted}
        cells = [
            [", ".join(sorted({str(genre_of[path]) for path in paths})), ", ".join(paths)]
            for paths in counts.conflicts[:LISTED]
        ]
        note = f"One recording under different genres, a line each.{_cut(counts.conflicts)}"
        tables.append(Table("Conflicting labels", ["genres", "files"], cells, note, section="summary"))
    if counts.bridges:
        note = f"The lists of the split part them, so figures on it are too high.{_cut(counts.bridges)}"
        cells = [[", ".join(paths)] for paths in counts.bridges[:LISTED]]
        tables.append(Table("One recording in several splits", ["files"], cells, note, section="summary"))
    if rejected:
        cells = [[row["path"], row["reason"], row["detail"] or ""] for row in rejected[:LISTED]]
        tables.append(Table("Rejected files", ["path", "reason", "detail"], cells, _cut(rejected), section="summary"))
    for title, paths in (("Gone from the source", counts.removed), ("Changed", counts.changed)):
        if paths:
            cells = [[path] for path in paths[:LISTED]]
            tables.append(Table(title, ["path"], cells, _cut(paths), section="summary"))
    return tables


def _cut(items: Sequence[object]) -> str:
    """Say that only the first are listed."""
    return f" The first {LISTED} of {len(items)}." if len(items) > LISTED else ""


def _settings(dataset: Dataset) -> Table:
    split = {key: value for key, value in dataset.root["split"].items() if value is not None}
    rows = [
        ["source", dataset.root["source"]],
        ["digest", dataset.digest[:12]],
        ["sample rate", f"{dataset.sample_rate} Hz"],
        ["segment", f"{dataset.root['segment_seconds']:g} s"],
        *([f"split {key}", str(value)] for key, value in split.items() if key != "rule"),
        ["gmn version", dataset.root["gmn_version"]],
    ]
    return Table("Settings", ["what", "value"], rows)

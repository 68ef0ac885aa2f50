"""The page of a comparison: from its numbers to figures, tables, matrices and curves."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gmn.datasets.dataset import Dataset
from gmn.evaluation.comparison import Numbers
from gmn.evaluation.page import Curve, Figure, Matrix, Report, Table

WAYS = {
    "test": "the dataset's own test tracks",
    "group": "folds of whole groups (artists)",
    "track": "folds of whole tracks",
    "random": "folds of random segments: what a leaking split claims",
}


def compose(numbers: Numbers, dataset: Dataset) -> Report:
    """Lay out the comparison."""
    models = numbers["models"]
    way = next(iter(models[0]["judged"]))
    counts = dataset.root["counts"]
    how = f"trained anew on {numbers['folds']} folds" if numbers["folds"] else "judged as they are"
    return Report(
        title=f"{len(models)} classifiers, side by side" if len(models) > 1 else "A classifier, judged",
        lead=f"On {counts['tracks']} tracks of {dataset.folder.uri}, {how}. Figures on top: {WAYS[way]}.",
        figures=list(_figures(numbers, way)),
        matrices=[
            Matrix(
                f"{model['name']}, {by}: genre", dataset.genres, dataset.genres, found["genre"]["confusion"], "labelled"
            )
            for model, by, found in _each(numbers)
            if "genre" in found
        ],
        curves=_calibration(numbers),
        tables=[table for table in _tables(numbers) if table.rows],
        names={"obedience": "Confusion", "training": "Calibration"},
    )


def _each(numbers: Numbers) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    for by in numbers["models"][0]["judged"]:
        for model in numbers["models"]:
            yield model, by, model["judged"][by]


def _figures(numbers: Numbers, way: str) -> Iterator[Figure]:
    for model in numbers["models"]:
        found = model["judged"][way]
        if "genre" in found:
            low, high = found["genre"]["interval"]
            value = f"{found['genre']['accuracy']:.1%} ({low:.0%} to {high:.0%})"
            yield Figure(f"{model['name']}: genre", value, f"the commonest genre: {found['genre']['majority']:.1%}")
        if "emotion" in found:
            note = f"mean of the nine rates, {found['emotion']['tracks']} tracks"
            yield Figure(f"{model['name']}: emotion", f"r {found['emotion']['mean_r']:.3f}", note)


def _calibration(numbers: Numbers) -> list[Curve]:
    curves = []
    for by in numbers["models"][0]["judged"]:
        series = {
            model["name"]: [(sure, share) for sure, share, _ in model["judged"][by]["genre"]["calibration"]]
            for model in numbers["models"]
            if "genre" in model["judged"][by]
        }
        if series:
            curves.append(
                Curve(f"Calibration, {by}", "confidence", "share right", {"ideal": [(0, 0), (1, 1)], **series})
            )
    return curves


def _tables(numbers: Numbers) -> Iterator[Table]:
    genre, emotion = [], []
    for model, by, found in _each(numbers):
        if "genre" in found:
            figures = found["genre"]
            low, high = figures["interval"]
            genre.append(
                [model["name"], by, f"{figures['accuracy']:.3f}", f"{low:.3f} to {high:.3f}"]
                + [f"{figures[key]:.3f}" for key in ("macro_f1", "log_loss", "calibration_error", "majority")]
                + [str(figures["tracks"])]
            )
        if "emotion" in found:
            figures = found["emotion"]
            shares = [
                r / numbers["ceilings"][name] for name, r in figures["r"].items() if numbers["ceilings"].get(name)
            ]
            precision = np.mean(list(figures["top_quarter_precision"].values()))
            share = f"{np.mean(shares):.0%}" if shares else ""
            r = f"{figures['mean_r']:.3f}"
            emotion.append([model["name"], by, r, share, f"{precision:.3f}", str(figures["tracks"])])
    ways = "; ".join(f"{by}: {WAYS[by]}" for by in numbers["models"][0]["judged"])
    header = ["model", "split", "accuracy", "95 % by track", "macro F1", "log loss", "calibration error"]
    yield Table("Genre", [*header, "commonest", "tracks"], genre, f"{ways}.", "summary")
    header = ["model", "split", "mean r", "of the ceiling", "average precision", "tracks"]
    note = "Precision: of finding the quarter of the tracks with the largest rate, by chance 0.25."
    yield Table("Emotion: the nine GEMS rates", header, emotion, note, "summary")
    yield from _by_rate(numbers)
    pairs = [
        [
            pair["first"],
            pair["second"],
            pair["way"],
            str(pair["only_first"]),
            str(pair["only_second"]),
            f"{pair['p']:.3f}",
        ]
        for pair in numbers["pairs"]
    ]
    header = ["first", "second", "split", "only first right", "only second right", "p (McNemar)"]
    yield Table("Pairs: genre, on the same tracks", header, pairs, section="summary")
    rows = [
        [model["name"], f"{model['parameters']:,}", model["digest"][:12], model["uri"]] for model in numbers["models"]
    ]
    yield Table("Models", ["model", "parameters", "digest", "bundle"], rows)


def _by_rate(numbers: Numbers) -> Iterator[Table]:
    """Show r of each rate beside its ceiling, a table for each way of splitting."""
    for by in numbers["models"][0]["judged"]:
        of_model = {
            m["name"]: m["judged"][by]["emotion"]["r"] for m in numbers["models"] if "emotion" in m["judged"][by]
        }
        if not of_model:
            continue
        rates = next(iter(of_model.values()))
        rows = [
            [name, _number(numbers["ceilings"].get(name)), *(_number(found.get(name)) for found in of_model.values())]
            for name in rates
        ]
        yield Table(f"Pearson's r of each rate, {by}", ["rate", "ceiling", *of_model], rows, section="summary")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"

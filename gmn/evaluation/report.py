"""What the report says: from findings to figures, ladders, matrices, curves and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gmn.datasets.dataset import Dataset
from gmn.evaluation.page import ClipCard, Curve, Figure, Ladder, Matrix, Report, Table

LISTED_FILES = 500
"""Source files that the report lists, the rejected ones first; the dataset's manifest has them all."""


@dataclass(frozen=True)
class Findings:
    """What was measured, and of what."""

    numbers: Mapping[str, Any]
    """JSON values, as in metrics.json."""
    library: Mapping[str, Any]
    """The clip library's root."""
    models: Sequence[Mapping[str, Any]]
    """The classifiers, as in the labels' root."""
    heard: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """Head -> clip_id -> label row."""


def compose(findings: Findings, dataset: Dataset, cards: Sequence[ClipCard]) -> Report:
    """Lay out the report of a clip library."""
    numbers, generator = findings.numbers, findings.library["model"]
    counts = dataset.root["counts"]
    return Report(
        title=f"A library of {numbers['clips']} clips",
        lead=(
            f"Clips of {findings.library['settings']['seconds']:g} s by a {generator['kind']} that "
            f"learned from {counts['splits'].get('train', 0)} of {counts['tracks']} tracks. "
            f"{generator['test']['sentence']}"
        ),
        figures=_figures(findings),
        ladders=[_ladder(generator)],
        matrices=_matrices(findings),
        curves=_curves(findings),
        clips=cards,
        tables=[_health(findings), _files(dataset), _models(findings), _settings(findings, dataset)],
    )


def _figures(findings: Findings) -> list[Figure]:
    numbers, test = findings.numbers, findings.numbers["generator"]["test"]
    rung, best = min(test["ladder"].items(), key=lambda item: item[1])
    healthy = numbers["health"].get("ok", 0)
    figures = [
        Figure(
            "Bits per sample",
            f"{test['bits']:.2f}",
            f"{test['verdict']}: {rung} needs {best:.2f}",
            "good" if test["verdict"] != "noise" else "bad",
        ),
        Figure(
            "Healthy clips",
            f"{healthy} of {numbers['clips']}",
            "not silent, stuck, clipped or noise",
            "good" if healthy == numbers["clips"] else "warn",
        ),
    ]
    for head, found in test.get("conditions", {}).items():
        low, high = found["interval"]
        figures.append(
            Figure(
                f"What knowing the {head} saves",
                f"{found['gain']:.3f} bits",
                f"95 %: {low:.3f} to {high:.3f}, on {found['tracks']} held-out tracks, against another track's {head}",
                "good" if low > 0 else "warn",
            )
        )
    for head in ("genre", "emotion"):
        found = numbers["obedience"][head]
        if found["n"]:
            low, high = found["interval"]
            figures.append(
                Figure(
                    f"{head.capitalize()} heard as asked",
                    f"{found['share']:.0%} ({low:.0%} to {high:.0%})",
                    f"one answer for all would hit {found['chance']:.0%}",
                    "good" if low > found["chance"] else "warn",
                )
            )
    for head, classifier in numbers["classifiers"].items():
        figures.append(_judge(head, classifier["test"]))
    if numbers["obedience"]["emotion_rates_r"] is not None:
        r = numbers["obedience"]["emotion_rates_r"]
        figures.append(Figure("Emotion rates, asked against heard", f"r {r:.2f}", "mean of the nine GEMS rates"))
    return figures


def _judge(head: str, test: Mapping[str, Any]) -> Figure:
    note = f"on {test['tracks']} held-out tracks"
    if head == "emotion":
        return Figure("The emotion judge itself", f"r {test['mean_r']:.2f}", f"{note}, mean of the nine rates")
    low, high = test["interval"]
    value = f"{test['accuracy']:.0%} ({low:.0%} to {high:.0%})"
    return Figure("The genre judge itself", value, f"{note}; the commonest genre: {test['majority']:.0%}")


def _ladder(generator: Mapping[str, Any]) -> Ladder:
    test = generator["test"]
    return Ladder(
        title="Bits per sample on held-out tracks",
        note=(
            "How many bits a sample costs under each model, on the same samples; less is better. "
            "Above the best n-gram the clips are noise; below linear prediction the model is ready."
        ),
        rungs=list(test["ladder"].items()),
        model=(generator["kind"], test["bits"]),
        unit="bits",
    )


def _matrices(findings: Findings) -> list[Matrix]:
    matrices = []
    for head in ("genre", "emotion"):
        found = findings.numbers["obedience"][head]
        if found["n"]:
            title = f"Clips: {head} asked for and heard"
            matrices.append(Matrix(title, found["names"], found["names"], found["confusion"]))
    for model in findings.models:
        if model["head"] == "genre":
            counts = model["test"]["confusion"]
            title = "Held-out tracks: genre labelled and heard"
            matrices.append(Matrix(title, model["labels"], model["labels"], counts, row_title="labelled"))
    return matrices


def _curves(findings: Findings) -> list[Curve]:
    generator = findings.library["model"]
    curves = [_curve(generator["kind"], "bits per sample", generator["history"])]
    # A model of two heads stands among the models twice.
    for model in {model["digest"]: model for model in findings.models}.values():
        if model["history"]:
            curves.append(_curve(model["training"]["kind"], "loss, accuracy or r", model["history"]))
    return curves


def _curve(title: str, y_label: str, history: Sequence[Mapping[str, float]]) -> Curve:
    names = [key for key in history[0] if key != "step"]
    series = {name.replace("_", " "): [(point["step"], point[name]) for point in history] for name in names}
    return Curve(title, "step", y_label, series)


def _health(findings: Findings) -> Table:
    rows = [[name, str(count)] for name, count in findings.numbers["health"].items()]
    return Table("Health of the clips", ["status", "clips"], rows, section="summary")


def _files(dataset: Dataset) -> Table:
    """List where every file came from."""
    split_of: dict[str, str] = {}
    for row in dataset.split_rows():
        split_of[row["track_id"]] = ", ".join(filter(None, [split_of.get(row["track_id"]), row["split"]]))
    rows = sorted(dataset.manifest().to_pylist(), key=lambda row: (row["status"] != "rejected", row["path"]))
    cells = [
        [
            row["path"],
            row["genre"] or "",
            split_of.get(row["track_id"], ""),
            f"{row['duration_seconds']:.1f}" if row["duration_seconds"] is not None else "",
            row["codec"] or "",
            row["reason"] or row["status"],
            (row["digest"] or "")[:12],
        ]
        for row in rows[:LISTED_FILES]
    ]
    more = f"; the first {LISTED_FILES} are listed, the rejected ones first" if len(rows) > LISTED_FILES else ""
    return Table(
        "Source files",
        ["path", "genre", "split", "seconds", "codec", "status", "SHA-256"],
        cells,
        note=f"{len(rows)} files below {dataset.root['source']}{more}.",
    )


def _models(findings: Findings) -> Table:
    rows = []
    for model in (findings.library["model"], *findings.models):
        what = f"{model['training']['kind']}, {model.get('head') or 'generator'}"
        size, seconds = f"{model['parameters']:,}", f"{model['train_seconds']:.0f}"
        steps = str(model["training"].get("fit", {}).get("steps", ""))
        rows.append([what, size, steps, seconds, model["digest"][:12], model["uri"]])
    return Table("Models", ["model", "parameters", "steps", "seconds", "digest", "bundle"], rows)


def _settings(findings: Findings, dataset: Dataset) -> Table:
    counts = dataset.root["counts"]
    rejected = ", ".join(f"{reason} {count}" for reason, count in counts["rejected"].items()) or "none"
    rows = [
        ["dataset", dataset.folder.uri],
        ["dataset digest", dataset.digest[:12]],
        ["tracks, hours", f"{counts['tracks']}, {counts['hours']:.2f}"],
        ["rejected files", rejected],
        ["tracks a split", ", ".join(f"{name} {count}" for name, count in counts["splits"].items())],
        ["sample rate", f"{dataset.sample_rate} Hz"],
        ["library", str(findings.numbers["library"]["uri"])],
        ["library digest", findings.numbers["library"]["digest"][:12]],
        *([f"generation: {key}", _text(value)] for key, value in findings.library["settings"].items()),
        ["gmn", findings.library["gmn_version"]],
    ]
    return Table("Settings", ["what", "value"], rows)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "all" if value is None else str(value)

"""The evaluation job: a labelled clip library becomes a report that opens from disk.

library + labels + dataset --> numbers (metrics.json, the root) + pictures + audio + page
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import soundfile
from pydantic import Field

from gmn import __version__, tracking
from gmn.config import Config
from gmn.datasets.dataset import Dataset
from gmn.datasets.library import CLIPS, LABEL_ROWS, LABELS, LABELS_FOLDER, LIBRARY, read_rows
from gmn.errors import InputError
from gmn.evaluation import obedience
from gmn.evaluation.page import ClipCard, write_page
from gmn.evaluation.pictures import write_spectrogram
from gmn.evaluation.report import Findings, compose
from gmn.models.conditioning import Conditions
from gmn.storage import Folder, Format

REPORT = Format("gmn.report", "metrics.json", 1, 0)

TRACKED_CLIPS = 8
"""Clips whose audio and picture go to the tracking store."""

Rows = list[dict[str, Any]]


class EvaluateSettings(Config):
    """What the report shows."""

    show_clips: int = Field(240, ge=1)
    """Clips with a player and a picture, spread evenly over the library; the numbers are of all clips."""


class EvaluateConfig(EvaluateSettings):
    """Measure a clip library and write its report."""

    library: str
    """The clip library; what classifiers said of it is found in its labels folder."""
    dataset: str
    """The dataset that the models learned from."""
    output: str
    """The folder for the report, a local one."""


@dataclass(frozen=True)
class EvaluateSummary:
    """The numbers that matter."""

    clips: int
    healthy: int
    bits: float
    verdict: str
    genre_obedience: float | None
    emotion_obedience: float | None


def evaluate(
    config: EvaluateConfig, progress: Callable[[int, int], None] = lambda done, total: None
) -> EvaluateSummary:
    """Write the report `config.output`.

    `progress` is called with (clips drawn, clips in all). Raises InputError where the library, the dataset or the
    output cannot be used.
    """
    dataset = Dataset(config.dataset)
    library, output = Folder(config.library), Folder(config.output)
    made = LIBRARY.read(library)
    labels = library / LABELS_FOLDER
    told = LABELS.read(labels) if LABELS.whole(labels) else {"models": [], "parts": []}
    if output.local is None:
        raise InputError(f"output {output}: a report is written to a local folder")
    if made["model"]["dataset"]["digest"] != dataset.digest:
        raise InputError(f"dataset {config.dataset}: not the one that the generator of {config.library} learned from")
    request = {
        "library": made["digest"],
        "dataset": dataset.digest,
        "labels": [model["digest"] for model in told["models"]],
        "show_clips": config.show_clips,
    }
    with REPORT.claim(output, request) as whole:
        if not whole:
            tags = {"gmn.library": made["digest"], "gmn.dataset": dataset.digest, "gmn.version": __version__}
            with tracking.start("evaluate", output, config.model_dump(mode="json"), tags) as run:
                clips = read_rows(library, made["clips"], CLIPS)
                findings = _measure(config, dataset, made, told, clips, read_rows(labels, told["parts"], LABEL_ROWS))
                cards = _draw_clips(config, library, output, clips, findings.heard, progress)
                write_page(compose(findings, dataset, cards), output.local)
                _track(run, output, findings, cards)
                REPORT.write(output, {**findings.numbers, "summary": asdict(_summary(findings))})
        return EvaluateSummary(**REPORT.read(output)["summary"])


def _measure(
    config: EvaluateConfig, dataset: Dataset, made: dict[str, Any], told: dict[str, Any], clips: Rows, rows: Rows
) -> Findings:
    heard: dict[str, dict[str, Mapping[str, Any]]] = {"genre": {}, "emotion": {}}
    for row in rows:
        heard[row["head"]][row["input"]] = row
    generator = made["model"]
    conditions = Conditions.from_json(generator["conditions"])
    numbers = {
        "clips": len(clips),
        "health": made["counts"]["health"],
        "bits_per_sample_of_clips": made["counts"]["bits_per_sample"],
        "generator": {key: generator[key] for key in ("digest", "test")},
        "classifiers": {model["head"]: {key: model[key] for key in ("digest", "test")} for model in told["models"]},
        "obedience": {
            "genre": obedience.measure(clips, heard["genre"], "genre", conditions.genres),
            "emotion": obedience.measure(clips, heard["emotion"], "emotion", tuple(conditions.emotions)),
            "emotion_rates_r": obedience.rates_agreement(clips, heard["emotion"], conditions),
        },
        "dataset": {"digest": dataset.digest, "counts": dataset.root["counts"]},
        "library": {"uri": config.library, "digest": made["digest"]},
    }
    return Findings(numbers, made, told["models"], heard)


def _draw_clips(
    config: EvaluateConfig,
    library: Folder,
    output: Folder,
    clips: Rows,
    heard: Mapping[str, Mapping[str, Mapping[str, Any]]],
    progress: Callable[[int, int], None],
) -> list[ClipCard]:
    """Copy the shown clips' audio and draw their spectrograms; returns their cards."""
    shown = sorted({int(i) for i in np.linspace(0, len(clips) - 1, config.show_clips)})
    cards = []
    for done, clip in enumerate((clips[i] for i in shown), 1):
        audio = library.read_bytes(clip["path"])
        path, picture = f"audio/{clip['clip_id']}.flac", f"pictures/{clip['clip_id']}.png"
        output.write_bytes(path, audio)
        assert output.local is not None
        waveform, sample_rate = soundfile.read(output.local / path, dtype="float32")
        write_spectrogram(waveform, sample_rate, output.local / picture)
        genre = heard["genre"].get(clip["clip_id"], {})
        emotion = heard["emotion"].get(clip["clip_id"], {})
        cards.append(
            ClipCard(
                clip_id=clip["clip_id"],
                audio=path,
                spectrogram=picture,
                genre=clip["genre"],
                emotion=clip["emotion"],
                predicted_genre=genre.get("label"),
                genre_confidence=genre.get("confidence"),
                predicted_emotion=emotion.get("label"),
                bits_per_sample=clip["bits_per_sample"],
                health=clip["health"],
                seconds=clip["n_samples"] / clip["sample_rate"],
                seed=clip["seed"],
                index=clip["index"],
            )
        )
        progress(done, len(shown))
    return cards


def _summary(findings: Findings) -> EvaluateSummary:
    numbers = findings.numbers
    return EvaluateSummary(
        clips=numbers["clips"],
        healthy=numbers["health"].get("ok", 0),
        bits=numbers["generator"]["test"]["bits"],
        verdict=numbers["generator"]["test"]["verdict"],
        genre_obedience=numbers["obedience"]["genre"].get("share"),
        emotion_obedience=numbers["obedience"]["emotion"].get("share"),
    )


def _track(run: tracking.Run, output: Folder, findings: Findings, cards: list[ClipCard]) -> None:
    assert output.local is not None
    run.log_results(findings.numbers)
    for card in cards[:: max(1, len(cards) // TRACKED_CLIPS)][:TRACKED_CLIPS]:
        run.log_files(output.local / card.audio, "audio")
        run.log_files(output.local / card.spectrogram, "spectrograms")

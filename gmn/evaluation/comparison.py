"""What predictions of classifiers say about them: each by itself, and each pair on the same tracks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from gmn.datasets.dataset import Dataset, Track
from gmn.datasets.labels import GEMS
from gmn.metrics.paired import mcnemar, reliability, top_quarter_precision
from gmn.metrics.reliability import ceiling, split_half
from gmn.models.classifier import Heads
from gmn.storage import Folder
from gmn.training.labelled import judge_tracks, label_of

Numbers = dict[str, Any]
"""JSON values, as in metrics.json."""

Predicted = Mapping[str, tuple[list[Track], npt.NDArray[np.float64]]]
"""Head -> tracks that have its label, and their probabilities [N, labels]."""


def read_predictions(output: Folder, parts: Sequence[str], tracks: Mapping[str, Track]) -> Predicted:
    """Read the parts of one model; a track that was tested in several folds, by segments, has the mean."""
    rows: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for part in parts:
        for row in output.read_table(part).to_pylist():
            rows[row["head"]][row["track_id"]].append(row["probabilities"])
    found = {}
    for head, of_track in rows.items():
        known = sorted(name for name in of_track if label_of(tracks[name], head) is not None)
        found[head] = [tracks[name] for name in known], np.array([np.mean(of_track[name], axis=0) for name in known])
    return found


def judge(predicted: Predicted, heads: Heads) -> Numbers:
    """Judge one model: each head's figures, for genre with its calibration, for emotion with average precision."""
    judged = {}
    for head, (tracks, probabilities) in predicted.items():
        figures = judge_tracks(tracks, {head: probabilities}, {head: heads[head]})[head]
        if head == "genre":
            right = _right(tracks, probabilities, heads[head])
            figures["calibration"], figures["calibration_error"] = reliability(probabilities.max(1), right)
        else:
            rates = np.array([track.emotion for track in tracks])
            precision = top_quarter_precision(rates, probabilities)
            figures["top_quarter_precision"] = {
                name: round(float(ap), 4) for name, ap in zip(heads[head], precision, strict=True) if np.isfinite(ap)
            }
        judged[head] = figures
    return judged


def compare_pairs(
    names: Sequence[str], predictions: Sequence[Mapping[str, Predicted]], genres: Sequence[str]
) -> list[Numbers]:
    """Compare the genres that each two models heard, track by track, for each way of splitting (McNemar)."""
    pairs = []
    for (first, of_first), (second, of_second) in combinations(zip(names, predictions, strict=True), 2):
        for way in of_first:
            if "genre" not in of_first[way] or "genre" not in of_second[way]:
                continue
            answers = [
                dict(zip((track.track_id for track in tracks), _right(tracks, told, genres), strict=True))
                for tracks, told in (of_first[way]["genre"], of_second[way]["genre"])
            ]
            both = sorted(set(answers[0]) & set(answers[1]))
            only_first, only_second, p = mcnemar(*(np.array([found[name] for name in both]) for found in answers))
            pairs.append(
                {"first": first, "second": second, "way": way, "tracks": len(both)}
                | {"only_first": only_first, "only_second": only_second, "p": p}
            )
    return pairs


def ceilings(dataset: Dataset) -> dict[str, float]:
    """Return the largest r that a perfect model would show for each emotion, from the annotators' agreement.

    Empty where fewer than three tracks have two annotators.
    """
    rated = [track for track in dataset.tracks if track.emotion is not None and (track.n_annotators or 0) >= 2]
    if len(rated) < 3:
        return {}
    rates, annotators = np.array([t.emotion for t in rated]), np.array([t.n_annotators for t in rated])
    top = ceiling(split_half(rates, annotators))
    return {name: round(float(r), 3) for name, r in zip(GEMS, top, strict=True) if np.isfinite(r)}


def _right(
    tracks: Sequence[Track], probabilities: npt.NDArray[np.float64], genres: Sequence[str]
) -> npt.NDArray[np.bool_]:
    return np.array([genres[heard] == t.genre for t, heard in zip(tracks, probabilities.argmax(1), strict=True)])

"""Obedience: whether a classifier hears in a clip what the generator was asked for.

A classifier errs, and was trained on real tracks: read these figures beside its own on held-out tracks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gmn.metrics.agreement import confusion, mean_pearson, wilson_interval
from gmn.models.conditioning import Conditions

Rows = Sequence[Mapping[str, Any]]


def measure(clips: Rows, heard: Mapping[str, Mapping[str, Any]], head: str, names: Sequence[str]) -> dict[str, Any]:
    """Compare what clips were asked for with the label rows of one head, by clip_id.

    Returns n, hits, share with its 95 % Wilson interval, chance (the best constant answer's share), the names and the
    confusion counts [asked, heard]; only n = 0 where no clip was both asked for this head and labelled. A label that
    the generator does not know counts as a miss and follows its names. Clips asked for nameless rates do not count.
    """
    pairs = [
        (clip[head], heard[clip["clip_id"]]["label"])
        for clip in clips
        if clip[head] in names and heard.get(clip["clip_id"], {}).get("label") is not None
    ]
    if not pairs:
        return {"n": 0}
    names = [*names, *sorted({label for _, label in pairs}.difference(names))]
    asked, answered = np.array([[names.index(name) for name in pair] for pair in pairs]).T
    hits = int((asked == answered).sum())
    return {
        "n": len(pairs),
        "hits": hits,
        "share": hits / len(pairs),
        "interval": list(wilson_interval(hits, len(pairs))),
        "chance": float(np.bincount(asked).max() / len(pairs)),
        "names": names,
        "confusion": confusion(asked, answered, len(names)).tolist(),
    }


def rates_agreement(clips: Rows, heard: Mapping[str, Mapping[str, Any]], conditions: Conditions) -> float | None:
    """Return Pearson's r between the nine rates asked for and heard, averaged over the rates; None under 3 clips."""
    both = [clip for clip in clips if clip["emotion"] and heard.get(clip["clip_id"], {}).get("probabilities")]
    if len(both) < 3:
        return None
    asked = np.array([conditions.rates(clip["emotion"]) for clip in both])
    r = mean_pearson(asked, np.array([heard[clip["clip_id"]]["probabilities"] for clip in both]))
    return r if np.isfinite(r) else None

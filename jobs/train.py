"""Train a model on a dataset and write its bundle.

A file after --config names the kind of model and its recipe: configs/train/wavenet.yaml, lstm.yaml,
resnet.yaml, cnn.yaml, knn.yaml.
"""

import sys
from collections.abc import Mapping
from typing import Any

from gmn.training.job import TRAINING, Training, train
from jobs._job import Bar, log_beside, run


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    return run("jobs.train", __doc__, TRAINING, run_train, argv)


def run_train(config: Training) -> str:
    """Train, with a progress bar, and say how good the model is on held-out tracks."""
    log_beside(config.output)
    bar = Bar(f"train {config.kind}", "segments" if config.kind == "knn" else "steps")
    newest = ""

    def tick(step: int, steps: int, values: Mapping[str, float]) -> None:
        nonlocal newest
        newest = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if name != "step") or newest
        bar(step, steps, newest)

    summary = train(config, tick)
    bar.close()
    for line in judgement(summary.test):
        print(f"test      {line}")
    return f"bundle: {config.output} ({summary.digest[:12]}, {summary.parameters:,} parameters)"


def judgement(test: Mapping[str, Any]) -> list[str]:
    """Say what the held-out tracks showed, a line for a generator and for each head of a classifier."""
    if "bits" in test:
        return [str(test["sentence"])]
    lines = []
    if genre := test.get("genre"):
        low, high = genre["interval"]
        found = f"genre accuracy {genre['accuracy']:.3f} ({low:.2f} to {high:.2f})"
        lines.append(f"{found}, always the commonest {genre['majority']:.3f}")
    if emotion := test.get("emotion"):
        lines.append(f"mean r of the nine emotions {emotion['mean_r']:.3f} on {emotion['tracks']} tracks")
    return lines


if __name__ == "__main__":
    sys.exit(main())

"""Train a model on a dataset and write its bundle.

A file after --config names the kind of model and its recipe: configs/train/wavenet.yaml, lstm.yaml,
resnet-genre.yaml, resnet-emotion.yaml.
"""

import sys
from collections.abc import Mapping
from typing import Any

from gmn.training.job import TRAINING, Training, TrainResNet, train
from jobs._job import Bar, log_beside, run


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    return run("jobs.train", __doc__, TRAINING, run_train, argv)


def run_train(config: Training) -> str:
    """Train, with a progress bar, and say how good the model is on held-out tracks."""
    log_beside(config.output)
    bar = Bar(f"train {config.kind}" + (f" {config.head}" if isinstance(config, TrainResNet) else ""), "steps")
    newest = ""

    def tick(step: int, steps: int, values: Mapping[str, float]) -> None:
        nonlocal newest
        newest = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if name != "step") or newest
        bar(step, steps, newest)

    summary = train(config, tick)
    bar.close()
    print(f"test      {judgement(summary.test)}")
    return f"bundle: {config.output} ({summary.digest[:12]}, {summary.parameters:,} parameters)"


def judgement(test: Mapping[str, Any]) -> str:
    """Say in one line what the held-out tracks showed."""
    if "bits" in test:
        return str(test["sentence"])
    if "mean_r" in test:
        return f"mean r of the nine emotions {test['mean_r']:.3f} on {test['tracks']} tracks"
    low, high = test["interval"]
    return f"accuracy {test['accuracy']:.3f} ({low:.2f} to {high:.2f}), always the commonest {test['majority']:.3f}"


if __name__ == "__main__":
    sys.exit(main())

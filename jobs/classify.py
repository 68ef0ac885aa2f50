"""Label an audio file, a directory, a clip library or a dataset with trained classifiers."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gmn.labelling.classify import ClassifyConfig, ClassifySummary, classify
from gmn.labelling.label import Heard
from jobs._job import Bar, log_beside, run

SHOWN = 5


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    return run("jobs.classify", __doc__, ClassifyConfig, run_classify, argv)


def run_classify(config: ClassifyConfig) -> str:
    """Label, with a progress bar, and say what was heard."""
    if config.output is not None or not Path(config.source).is_file():
        log_beside(config.output or config.source)
    bar = Bar("classify", "inputs")
    heard = classify(config, bar)
    bar.close()
    if config.format == "json":
        return json.dumps([asdict(one) for one in heard] if isinstance(heard, list) else asdict(heard), indent=1)
    if isinstance(heard, list):
        return _table(heard)
    return f"{_counts(heard)}\nlabels: {config.output or config.source + '/labels'}"


def _table(heard: Sequence[Heard]) -> str:
    """Lay out what is heard in one file: the labels that stand out most, best first, a line each."""
    lines = []
    for one in heard:
        for i, (label, probability) in enumerate(list(one.probabilities.items())[:SHOWN]):
            lines.append(f"{one.head if i == 0 else '':<9} {label:<20} {probability:4.0%}")
    return "\n".join(lines)


def _counts(heard: ClassifySummary) -> str:
    lines = [
        f"{head:<9} " + ", ".join(f"{label} {count}" for label, count in labels.items())
        for head, labels in heard.labels.items()
    ]
    rejects = ", ".join(f"{reason} {count}" for reason, count in heard.rejected.items())
    return "\n".join([*lines, f"inputs    {heard.inputs}, rejected: {rejects or 'none'}"])


if __name__ == "__main__":
    sys.exit(main())

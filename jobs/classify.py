"""Label an audio file, a directory or a clip library with trained classifiers."""

import sys
from pathlib import Path
from typing import Any

from gmn.labelling.classify import ClassifyConfig, classify
from jobs._job import Bar, log_beside, run


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
    if isinstance(heard, list):
        return "\n".join(map(_line, heard))
    for head, labels in heard.labels.items():
        print(f"{head:<9} " + ", ".join(f"{label} {count}" for label, count in labels.items()))
    rejects = ", ".join(f"{reason} {count}" for reason, count in heard.rejected.items())
    print(f"inputs    {heard.inputs}, rejected: {rejects or 'none'}")
    return f"labels: {config.output or config.source + '/labels'}"


def _line(row: dict[str, Any]) -> str:
    if row["status"] == "rejected":
        return f"{row['head']:<9} rejected: {row['reason']}"
    return f"{row['head']:<9} {row['label']} ({row['confidence']:.0%})"


if __name__ == "__main__":
    sys.exit(main())

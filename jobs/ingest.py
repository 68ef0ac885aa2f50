"""Turn a directory of audio into a dataset of labelled, split segments."""

import sys

from gmn.datasets.ingest import ingest
from gmn.datasets.settings import IngestConfig
from jobs._job import Bar, log_beside, run


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    return run("jobs.ingest", __doc__, IngestConfig, run_ingest, argv)


def run_ingest(config: IngestConfig) -> str:
    """Ingest, with a progress bar, and say what became of the files."""
    log_beside(config.output)
    bar = Bar("ingest", "files")
    summary = ingest(config, bar)
    bar.close()
    print("\n".join(summary.lines()))
    return f"dataset: {config.output}"


if __name__ == "__main__":
    sys.exit(main())

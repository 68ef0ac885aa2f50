"""Turn a directory of audio into a dataset of labelled, split segments."""

import sys

from gmn.datasets.dataset import Dataset
from gmn.datasets.ingest import check_strict, ingest
from gmn.datasets.settings import IngestConfig
from gmn.evaluation.dataset_page import write_summary
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
    page = write_summary(Dataset(config.output))
    check_strict(config, summary)
    return f"dataset: {config.output}" + (f", its summary: {page}" if page else "")


if __name__ == "__main__":
    sys.exit(main())

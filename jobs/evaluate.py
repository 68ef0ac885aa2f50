"""Measure a labelled clip library and write its report, a page that opens from disk."""

import sys

from gmn.evaluation.evaluate import EvaluateConfig, evaluate
from jobs._job import Bar, log_beside, run


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    return run("jobs.evaluate", __doc__, EvaluateConfig, run_evaluate, argv)


def run_evaluate(config: EvaluateConfig) -> str:
    """Evaluate, with a progress bar, and say the numbers that matter."""
    log_beside(config.output)
    bar = Bar("evaluate", "clips")
    summary = evaluate(config, bar)
    bar.close()
    print(f"healthy   {summary.healthy} of {summary.clips} clips")
    print(f"bits      {summary.bits:.2f} a sample on held-out tracks: {summary.verdict}")
    for head, share in (("genre", summary.genre_obedience), ("emotion", summary.emotion_obedience)):
        if share is not None:
            print(f"{head:<9} heard as asked in {share:.0%} of clips")
    return f"report: {config.output}/index.html"


if __name__ == "__main__":
    sys.exit(main())

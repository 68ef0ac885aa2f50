"""Compare classifiers on tracks that they did not learn from, and write a report that opens from disk.

Without folds the bundles are judged as they are, on the test tracks of the dataset that they learned from. With
folds=5 each bundle's recipe is trained anew on every fold; by=group,track,random shows what careless folds would claim.
"""

import sys

from gmn.evaluation.compare import CompareConfig, compare
from jobs._job import Bar, log_beside, run


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    return run("jobs.compare", __doc__, CompareConfig, run_compare, argv)


def run_compare(config: CompareConfig) -> str:
    """Compare, with a progress bar, and say a line for each model and way of splitting."""
    log_beside(config.output)
    bar = Bar("compare", "segments" if config.folds is None else "steps")
    numbers = compare(config, bar)
    bar.close()
    for model in numbers["models"]:
        for way, judged in model["judged"].items():
            said = []
            if genre := judged.get("genre"):
                low, high = genre["interval"]
                said.append(f"genre accuracy {genre['accuracy']:.3f} ({low:.2f} to {high:.2f})")
            if emotion := judged.get("emotion"):
                said.append(f"emotion mean r {emotion['mean_r']:.3f}")
            print(f"{model['name']:<10} {way:<7} {', '.join(said)}")
    return f"report: {config.output}/index.html"


if __name__ == "__main__":
    sys.exit(main())

"""Generate a library of clips from a trained generator."""

import sys

from gmn.generation.library import generate_library
from gmn.generation.settings import GenerateConfig
from jobs._job import Bar, log_beside, run


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    return run("jobs.generate", __doc__, GenerateConfig, run_generate, argv)


def run_generate(config: GenerateConfig) -> str:
    """Generate, with a progress bar, and say how the clips are."""
    log_beside(config.output)
    bar = Bar("generate", "samples")
    summary = generate_library(config, bar)
    bar.close()
    health = ", ".join(f"{name} {count}" for name, count in summary.health.items())
    print(f"clips     {summary.clips} of {summary.seconds:g} s, {summary.bits_per_sample:.2f} bits per sample")
    print(f"health    {health}")
    if summary.prime:
        print(f"prime     {summary.prime}")
    return f"library: {config.output}"


if __name__ == "__main__":
    sys.exit(main())

"""Compose and render gmn's own small labelled collection of music, the demo's default input."""

import sys

from pydantic import Field

from gmn.config import Config
from gmn.corpus.write import write_corpus
from gmn.errors import InputError
from gmn.storage import Folder
from jobs._job import Bar, log_beside, run


class CorpusSettings(Config):
    """What is composed."""

    tracks: int = Field(96, ge=4)
    """Number of tracks, spread evenly over genres and emotions."""
    seconds: float = Field(10.0, ge=1, le=600)
    """Length of each."""
    seed: int = Field(0, ge=0)
    """Another seed, other music."""


class CorpusConfig(CorpusSettings):
    """Write the synthetic collection."""

    output: str
    """The folder for the audio files and labels.csv."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    return run("jobs.corpus", __doc__, CorpusConfig, run_corpus, argv)


def run_corpus(config: CorpusConfig) -> str:
    """Compose and render, with a progress bar."""
    folder = Folder(config.output).local
    if folder is None:
        raise InputError(f"output {config.output}: the collection is written to a local folder")
    log_beside(config.output)
    bar, done = Bar("corpus", "tracks"), 0

    def count(tracks: int) -> None:
        nonlocal done
        done += tracks
        bar(done, config.tracks)

    write_corpus(folder, config.tracks, config.seconds, config.seed, progress=count)
    bar.close()
    return f"corpus: {config.output} ({config.tracks} tracks of {config.seconds:g} s)"


if __name__ == "__main__":
    sys.exit(main())

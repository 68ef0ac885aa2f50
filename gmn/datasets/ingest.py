"""Ingest: a source of audio becomes a dataset of labelled, split segments.

    source --listing--> chunks --[plain Ray tasks: stage.ingest_chunk]--> manifest, segments --commit--> dataset.json

Audio never crosses the object store: a task writes the segments that it cut and returns counts.
"""

from collections.abc import Callable, Iterator, Sequence

from gmn import runtime
from gmn.audio.decode import SUFFIXES
from gmn.datasets.commit import commit
from gmn.datasets.groups import check_rule
from gmn.datasets.labels import Labeller
from gmn.datasets.listing import Chunk, Known, write_listing
from gmn.datasets.schemas import DATASET, MANIFEST
from gmn.datasets.settings import IngestConfig
from gmn.datasets.split_lists import SplitLists
from gmn.datasets.stage import ingest_chunk
from gmn.datasets.summary import IngestSummary
from gmn.datasets.walk import AudioSource
from gmn.errors import InputError, RejectedError
from gmn.storage import Folder, writable

Progress = Callable[[int, int], None]
"""Called with (files done, files in all)."""


def ingest(config: IngestConfig, progress: Progress = lambda done, total: None) -> IngestSummary:
    """Write the dataset `config.output` from the audio in `config.source`, or finish one that was interrupted.

    Raises InputError before any worker starts where the source, the labels or the output cannot be used, afterwards
    where no file could be read. `strict` is for `check_strict`, once the summary has been shown.
    """
    output = Folder(config.output)
    source = AudioSource(config.source)
    check_rule(config.split.group)
    _check_apart(config.source, output)
    labeller = _labeller(config)
    lists = SplitLists(config.split.lists) if config.split.lists is not None else None
    if config.update or not DATASET.whole(output):
        _check_source(config, source, labeller, lists)
    request = config.model_dump(exclude={"output", "update", "strict"})
    with DATASET.claim(output, request) as whole:
        if whole and not config.update:
            return IngestSummary(**DATASET.read(output)["counts"])
        try:
            return _ingest(config, output, whole, labeller, lists, progress)
        except InputError:
            # The request may be what is wrong. Parts are named by what they are made of: a corrected one goes on.
            if not whole:
                DATASET.release(output)
            raise


def check_strict(config: IngestConfig, summary: IngestSummary) -> None:
    """Raise RejectedError where `strict` was asked for and a file was rejected."""
    if config.strict and summary.rejected:
        listed = ", ".join(f"{reason} {count}" for reason, count in summary.rejected.items())
        raise RejectedError(f"strict: {sum(summary.rejected.values())} of {summary.files} files rejected ({listed})")


def _labeller(config: IngestConfig) -> Labeller:
    group = config.split.group
    return Labeller(config.labels, group.removeprefix("column:") if group.startswith("column:") else None)


def _check_source(config: IngestConfig, source: AudioSource, labeller: Labeller, lists: SplitLists | None) -> None:
    """Check that the source holds audio which the labels and the lists know; walks it to the first such file."""
    first = next(source.walk(), None)
    if first is None:
        raise InputError(f"source {config.source}: no audio in it (looked for {' '.join(SUFFIXES)})")
    labeller.check(found.path for found in source.walk())
    if lists is not None and all(lists.name(found.path) is None for found in source.walk()):
        raise InputError(f"{lists.title}: names none of the audio files in {config.source} (first: {first.path!r})")


def _ingest(
    config: IngestConfig,
    output: Folder,
    whole: bool,
    labeller: Labeller,
    lists: SplitLists | None,
    progress: Progress,
) -> IngestSummary:
    known = _known(output) if whole else {}
    n_known, key = len(known), [Folder(config.source).address, config.sample_rate, config.segment_seconds]
    chunks = list(write_listing(config.source, output, labeller, key, known))
    n_files = sum(chunk.files for chunk in chunks)
    labeller.compare(n_files + n_known - len(known))
    done = set((output / "manifest").names())
    todo = [chunk for chunk in chunks if f"{chunk.stem}.parquet" not in done]
    n_done = n_files - sum(chunk.files for chunk in todo)
    progress(n_done, n_files)
    for count in _run_chunks(todo, config):
        n_done += count
        progress(n_done, n_files)
    return commit(output, [chunk.stem for chunk in chunks], config, known.keys(), labeller.warnings, lists)


def _run_chunks(todo: Sequence[Chunk], config: IngestConfig) -> Iterator[int]:
    """Run the map stage on Ray Data; yields the number of files of each chunk that is done."""
    if not todo:
        return
    runtime.connect()
    # A worker may run in another directory, where a relative path would mean something else.
    source, output = Folder(config.source).address, Folder(config.output).address
    rate, samples = config.sample_rate, config.segment_samples

    def run(row: dict[str, int]) -> dict[str, int | str]:
        try:
            with writable(config.output):
                return {"files": ingest_chunk(todo[row["id"]], source, Folder(output), rate, samples), "error": ""}
        except InputError as error:  # what Ray Data makes of it does not bring back the message
            return {"files": 0, "error": str(error)}

    for row in runtime.ray_data().range(len(todo), override_num_blocks=len(todo)).map(run).iter_rows():
        if row["error"]:
            raise InputError(row["error"])
        yield row["files"]


def _check_apart(source: str, output: Folder) -> None:
    inside = Folder(source)
    if output.local is None or inside.local is None:
        return
    within, around = output.local.resolve(), inside.local.resolve()
    if within.is_relative_to(around):
        raise InputError(f"output {output}: lies inside the source {source}, whose files it would join")
    if around.is_relative_to(within):
        raise InputError(f"source {source}: lies inside the output {output}")


def _known(output: Folder) -> dict[str, Known]:
    """Return what a dataset says of the files that it has seen, by path."""
    known = {}
    for name in DATASET.read(output)["manifest"]:
        columns = output.read_table(name, ["path", "bytes", "mtime_ns", "digest"], MANIFEST).to_pydict()
        for path, size, mtime_ns, digest in zip(*columns.values(), strict=True):
            known[path] = Known(name, size, mtime_ns, digest is not None)
    return known

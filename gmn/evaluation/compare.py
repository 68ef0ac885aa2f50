"""The comparison job: classifiers side by side on tracks that none of them learned from.

bundles + dataset --> predictions, a row a track --> numbers (metrics.json, the root) + page
"""

from collections.abc import Callable, Sequence

from pydantic import Field

from gmn import __version__
from gmn.config import Config
from gmn.datasets.dataset import Dataset
from gmn.errors import InputError
from gmn.evaluation.comparison import Numbers, Predicted, ceilings, compare_pairs, judge, read_predictions
from gmn.evaluation.comparison_page import compose
from gmn.evaluation.folds import By, make_fold
from gmn.evaluation.page import write_page
from gmn.evaluation.predictions import Work, labelled, make_parts
from gmn.models.bundle import LoadedBundle, load_bundle
from gmn.storage import Folder, Format

COMPARISON = Format("gmn.comparison", "metrics.json", 1, 0)


class CompareConfig(Config):
    """Compare classifiers."""

    models: tuple[str, ...] = Field(min_length=1)
    """The classifiers' bundles, separated by commas."""
    dataset: str
    """The dataset whose tracks they are judged on."""
    output: str
    """The folder for the report, a local one."""
    folds: int | None = Field(None, ge=3)
    """Trains each bundle's recipe anew on so many folds; none: judges the bundles themselves on the test tracks."""
    by: tuple[By, ...] = Field(("group",), min_length=1)
    """How folds are made: group: whole groups (artists); track: whole tracks; random: segments, to show what leaks."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Decides the folds."""


def compare(config: CompareConfig, progress: Callable[[int, int], None] = lambda done, total: None) -> Numbers:
    """Write the comparison `config.output` and return its numbers.

    `progress` is called with (steps taken or segments judged, in all). Raises InputError before any worker starts where
    the models, the dataset or the output cannot be used.
    """
    dataset, output = Dataset(config.dataset), Folder(config.output)
    bundles = [load_bundle(uri, "classifier") for uri in config.models]
    if output.local is None:
        raise InputError(f"output {output}: a report is written to a local folder")
    for bundle in bundles:
        _check(config, dataset, bundle)
    request = {
        "models": [bundle.digest for bundle in bundles],
        "dataset": dataset.digest,
        **config.model_dump(mode="json", include={"folds", "by", "seed"}),
    }
    with COMPARISON.claim(output, request) as whole:
        if not whole:
            numbers = _compare(config, dataset, bundles, output, progress)
            write_page(compose(numbers, dataset), output.local)
            COMPARISON.write(output, {**numbers, "gmn_version": __version__})
        return COMPARISON.read(output)


def _check(config: CompareConfig, dataset: Dataset, bundle: LoadedBundle) -> None:
    if bundle.sample_rate != dataset.sample_rate:
        raise InputError(
            f"{bundle.uri}: hears audio at {bundle.sample_rate} Hz, dataset {dataset.folder} has {dataset.sample_rate}"
        )
    if bundle.heads.get("genre", dataset.genres) != dataset.genres:
        raise InputError(
            f"{bundle.uri}: knows the genres {', '.join(bundle.heads['genre'])}, dataset {dataset.folder} has "
            f"{', '.join(dataset.genres)}"
        )
    if not labelled(dataset, bundle):
        raise InputError(f"dataset {dataset.folder}: no track has a label for {' or '.join(bundle.heads)}")
    if config.folds is None:
        if bundle.facts.get("dataset", {}).get("digest") != dataset.digest:
            raise InputError(
                f"{bundle.uri}: learned from another dataset, which may hold these test tracks; folds=5 trains anew"
            )
        return
    for by in config.by:
        make_fold(dataset, labelled(dataset, bundle), by, config.folds, 0, config.seed)


def _compare(
    config: CompareConfig,
    dataset: Dataset,
    bundles: Sequence[LoadedBundle],
    output: Folder,
    progress: Callable[[int, int], None],
) -> Numbers:
    address, folds = dataset.folder.address, config.folds or 1
    ways: Sequence[By | None] = config.by if config.folds else (None,)
    parts: dict[tuple[str | None, int], list[str]] = {}
    works = []
    for by in ways:
        for number, bundle in enumerate(bundles):
            of_model = [
                Work(Folder(bundle.uri).address, address, by, folds, fold, config.seed) for fold in range(folds)
            ]
            parts[by, number] = [work.part(bundle, dataset) for work in of_model]
            works += [(work, work.part(bundle, dataset), work.size(bundle, dataset)) for work in of_model]
    make_parts(works, output, progress)
    tracks = {track.track_id: track for track in dataset.tracks}
    predictions: list[dict[str, Predicted]] = [
        {by or "test": read_predictions(output, parts[by, number], tracks) for by in ways}
        for number in range(len(bundles))
    ]
    names = [f"{number} {bundle.model.kind}" for number, bundle in enumerate(bundles, 1)]
    models = [
        {
            "name": name,
            "uri": bundle.uri,
            "digest": bundle.digest,
            "parameters": bundle.facts.get("parameters"),
            "judged": {way: judge(found, bundle.heads) for way, found in of_model.items()},
        }
        for name, bundle, of_model in zip(names, bundles, predictions, strict=True)
    ]
    return {
        "dataset": dataset.digest,
        "folds": config.folds,
        "models": models,
        "ceilings": ceilings(dataset),
        "pairs": compare_pairs(names, predictions, dataset.genres),
    }

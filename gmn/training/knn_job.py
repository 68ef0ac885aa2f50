"""Training a k-NN on a cluster: its windows are described by plain Ray tasks, all else takes no time."""

from collections.abc import Callable
from typing import Any

from gmn import runtime
from gmn.datasets.dataset import Dataset
from gmn.models.conditioning import Conditions
from gmn.models.knn import KNN
from gmn.training.knn import KNNSettings, Window, fit_windows, predict, window_samples, windows_of
from gmn.training.labelled import judge_tracks, open_readers

CHUNK_SEGMENTS = 32


def learn_knn(
    dataset: Dataset, settings: KNNSettings, progress: Callable[[int, int], None]
) -> tuple[KNN, dict[str, Any]]:
    """Return a k-NN of the training tracks and what is known of it, judged on the test tracks.

    `progress` is called with (segments described, in all). Raises InputError as `open_readers` and `fit_windows` do.
    """
    readers = open_readers(dataset, settings.heads)
    todo = [
        (split, range(start, min(start + CHUNK_SEGMENTS, len(readers[split]))))
        for split in ("train", "test")
        for start in range(0, len(readers[split]), CHUNK_SEGMENTS)
    ]
    total = sum(len(items) for _, items in todo)
    runtime.connect()
    import ray

    address, length = dataset.folder.address, window_samples(dataset, settings)

    @ray.remote(num_cpus=1, max_retries=3)
    def task(number: int, split: str, items: range) -> tuple[int, list[Window]]:
        there = Dataset(address)
        return number, windows_of(open_readers(there, settings.heads)[split], items, there.sample_rate, length)

    done, found = 0, dict[int, list[Window]]()
    progress(0, total)
    for number, windows in runtime.results(task.remote(number, *chunk) for number, chunk in enumerate(todo)):
        found[number] = windows
        done += len(todo[number][1])
        progress(done, total)
    train, test = (
        [window for number, (of, _) in enumerate(todo) if of == split for window in found[number]]
        for split in ("train", "test")
    )
    model = fit_windows(dataset, settings, train)
    tracks = {window.track.track_id: window.track for window in train}.values()
    conditions = Conditions.fit(dataset.genres, [(track.genre, track.emotion) for track in tracks])
    return model, {
        "test": judge_tracks(*predict(model, test), model.heads),
        "history": [],
        "conditions": conditions.to_json(),
        "temperatures": {},
        "bf16": {},
    }

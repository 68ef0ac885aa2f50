"""Ways to ingest: a bare process pool, gmn, Ray with librosa by the book, Hugging Face datasets.

Each is a function to start with, and one that fills a folder with 16-bit mono sound at 16 kHz. What they need beside
gmn stands in benchmarks/requirements.txt.
"""

import hashlib
import io
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._warm import tree_cpu_seconds
from gmn import runtime
from gmn.audio.decode import read_mono, to_pcm16
from gmn.audio.fingerprint import fingerprint, to_bytes
from gmn.datasets import ingest as ingest_module
from gmn.datasets import stage
from gmn.datasets.ingest import ingest
from gmn.datasets.labels import Labeller, LabelsConfig
from gmn.datasets.listing import write_listing
from gmn.datasets.settings import IngestConfig
from gmn.storage import Folder

RATE = 16000
NICENESS = 15
"""Ray gives its workers this; the others take it too, so that a busy machine treats all alike."""

_pools: list[ProcessPoolExecutor] = []


def start_pool() -> None:
    """Start a worker for each core, and wait for them."""
    cores = os.cpu_count() or 1
    _pools.append(ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=_be_nice))
    list(_pools[0].map(_floor_part, [[]] * cores, [""] * cores))


def _be_nice() -> None:
    os.nice(NICENESS)


def floor(files: list[str], parts: int, output: str) -> None:
    """Decode, digest and fingerprint every file in the pool; each task writes one part."""
    Path(output).mkdir()
    cuts = [files[i::parts] for i in range(parts)]
    list(_pools[0].map(_floor_part, cuts, [f"{output}/{i}.parquet" for i in range(parts)]))


def _floor_part(files: list[str], part: str) -> None:
    rows = []
    for name in files:
        with Path(name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            pcm = read_mono(file, RATE).pcm
        rows.append({"path": name, "digest": digest, "fingerprint": to_bytes(fingerprint(pcm, RATE)), "pcm": pcm.data})
    if rows:
        pq.write_table(pa.Table.from_pylist(rows), part, compression="none", use_dictionary=False)


def start_ray() -> None:
    """Start a Ray of this process alone, as gmn's jobs do."""
    os.environ["RAY_ADDRESS"] = "local"
    runtime.connect()


def ingest_in_steps(source: str, output: str) -> dict[str, float]:
    """Ingest by gmn; returns the CPU-seconds of listing the source, of the stage on Ray, and of the commit."""
    marks = [tree_cpu_seconds(os.getpid())]

    def mark(done: int, total: int) -> None:
        if done in (0, total):
            marks.append(tree_cpu_seconds(os.getpid()))

    ingest(IngestConfig(source=source, output=output, sample_rate=RATE), mark)
    marks.append(tree_cpu_seconds(os.getpid()))
    return {step: marks[i + 1] - marks[i] for i, step in enumerate(("listing", "stage", "commit"))}


def listing(source: str, output: str) -> int:
    """List a source as ingest does; returns the number of files."""
    chunks = list(write_listing(source, Folder(output), Labeller(LabelsConfig()), None, set()))
    return sum(chunk.files for chunk in chunks)


def start_without_fingerprints() -> None:
    """Start Ray, and leave the fingerprints out of gmn's ingest in this process."""
    start_ray()
    ingest_module.ingest_chunk = _chunk_without_fingerprints


def _chunk_without_fingerprints(*given: Any) -> int:
    """Ingest one chunk in a worker that makes no fingerprints."""
    stage.fingerprint = lambda pcm, rate: np.empty((0, 2), np.uint32)
    return stage.ingest_chunk(*given)


def ray_and_librosa(source: str, as_16_bits: bool, output: str) -> None:
    """Read the files as bytes, decode them with librosa in a map, write what it gives: floats, or 16 bits of them."""

    def decode(row: dict[str, Any]) -> dict[str, Any]:
        import librosa

        waveform, _ = librosa.load(io.BytesIO(row["bytes"]), sr=RATE)
        return {"path": row["path"], "sound": to_pcm16(waveform).tobytes() if as_16_bits else waveform}

    runtime.ray_data().read_binary_files(source, include_paths=True).map(decode).write_parquet(output)


def start_hugging_face() -> None:
    """Import the library, quietly, without its cache of earlier results."""
    import datasets

    _be_nice()
    datasets.disable_progress_bars()
    datasets.disable_caching()


def hugging_face(files: list[str], output: str) -> None:
    """Decode by the Audio feature, map to 16 bits with a process for each core, save."""
    from datasets import Audio, Dataset

    def stored(row: dict[str, Any]) -> dict[str, Any]:
        return {"pcm": to_pcm16(row["audio"]["array"].astype(np.float32)).tobytes()}

    listed = Dataset.from_dict({"audio": files, "path": files}).cast_column("audio", Audio(RATE))
    listed.map(stored, remove_columns="audio", num_proc=os.cpu_count()).save_to_disk(output)


def leave() -> None:
    """End the pool and Ray, where they were started."""
    for pool in _pools:
        pool.shutdown()
    import ray

    ray.shutdown()

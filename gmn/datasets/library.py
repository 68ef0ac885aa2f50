"""The clip library and label formats: their roots, tables and columns.

library.json                  root: the model, the settings, counts, and the parts that count
clips/part-*.parquet          one row a clip
audio/ab/CLIP_ID.flac         the clips, with their provenance in their own tags
labels/                       what classifiers said of them, a labels folder:

labels.json                   root: the models, counts, and the parts that count
MODEL/part-*.parquet          one row for every input and head, MODEL being the first digits of the model's digest
"""

from typing import Any

import pyarrow as pa

from gmn.storage import Folder, Format

LIBRARY = Format("gmn.library", "library.json", 1, 1)
LABELS = Format("gmn.labels", "labels.json", 1, 0)

LABELS_FOLDER = "labels"
"""Where a library keeps what classifiers said of its clips."""

CLIPS = pa.schema(
    [
        ("clip_id", pa.string()),  # 16 hexadecimal digits from all that the samples depend on
        ("path", pa.string()),  # relative to the library
        ("model", pa.string()),  # the generator's digest
        ("genre", pa.string()),  # asked for; null where none was
        ("emotion", pa.string()),  # asked for, by name or as nine rates; null where none was
        ("seed", pa.int64()),
        ("index", pa.int64()),
        ("attempt", pa.int32()),
        ("temperature", pa.float32()),
        ("backend", pa.string()),
        ("precision", pa.string()),
        ("slots", pa.int32()),  # streams side by side, part of the backend's identity
        ("prime", pa.string()),  # digest of the codes that the clip goes on from; null where none were given
        ("sample_rate", pa.int32()),
        ("n_samples", pa.int64()),
        ("bits_per_sample", pa.float32()),  # of the drawn codes under the model at temperature 1
        ("health", pa.string()),  # ok, or what is wrong, from metrics.health.Status
        ("digest", pa.string()),  # SHA-256 of the audio file
        ("top_k", pa.int32()),  # since 1.1, as the next two; null where all codes were drawn from
        ("top_p", pa.float32()),
        ("guidance", pa.float32()),  # 1 for none
    ]
)

LABEL_ROWS = pa.schema(
    [
        ("input", pa.string()),  # clip_id of a library's clip, else the path relative to the source
        ("model", pa.string()),  # the classifier's digest
        ("head", pa.string()),  # genre | emotion
        ("label", pa.string()),  # the top label; null where the input was rejected
        ("confidence", pa.float32()),  # the top label's probability
        ("probabilities", pa.list_(pa.float32())),  # in the order of the model's labels
        ("status", pa.string()),  # ok | rejected
        ("reason", pa.string()),
    ]
)


def read_rows(folder: Folder, parts: list[str], schema: pa.Schema) -> list[dict[str, Any]]:
    """Read the rows of some parts."""
    return [row for part in parts for row in folder.read_table(part, schema=schema).to_pylist()]

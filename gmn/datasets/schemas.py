"""The dataset format: its root, its tables and their columns.

dataset.json                root: settings, label vocabularies, digest, counts, and the parts that count
manifest/part-*.parquet     one row for every file seen in the source
segments/part-*.parquet     one row for every segment of an accepted track
splits/NAME.parquet         track -> train | validation | test
"""

import pyarrow as pa

from gmn.storage import Format

DATASET = Format("gmn.dataset", "dataset.json", 1, 1)

MANIFEST = pa.schema(
    [
        ("track_id", pa.string()),  # 16 hexadecimal digits from path and content
        ("path", pa.string()),  # relative to the source, with forward slashes
        ("bytes", pa.int64()),
        ("mtime_ns", pa.int64()),  # when the file was last written, ns since 1970; null where not known, and before 1.1
        ("digest", pa.string()),  # SHA-256 of the file; null where it could not be read
        ("codec", pa.string()),
        ("native_rate", pa.int32()),  # Hz
        ("channels", pa.int16()),
        ("duration_seconds", pa.float64()),
        ("n_samples", pa.int64()),  # at the dataset's rate
        ("loudness_dbfs", pa.float32()),  # RMS of the mono signal
        ("fingerprint", pa.binary()),  # landmarks by audio.fingerprint; null where rejected
        ("artist", pa.string()),  # from the file's own tags, normalised
        ("genre", pa.string()),
        ("emotion", pa.list_(pa.float32())),  # nine GEMS rates in [0, 1], in the order of labels.GEMS
        ("n_annotators", pa.int32()),
        ("group", pa.string()),  # the value of the label table's column that split.group names
        ("status", pa.string()),  # ok | rejected
        ("reason", pa.string()),  # of a rejection, from audio.rejection.Rejection
        ("detail", pa.string()),  # for people: of a rejection, or why a file could not be read again
    ]
)

SEGMENTS = pa.schema(
    [
        ("track_id", pa.string()),
        ("segment_index", pa.int32()),
        ("n_valid_samples", pa.int32()),
        ("pcm", pa.binary()),  # int16, little-endian, mono, n_valid_samples of them
    ]
)

SPLIT = pa.schema(
    [
        ("track_id", pa.string()),
        ("group", pa.string()),  # tracks of one group never stand in two splits, unless published lists put them there
        ("split", pa.string()),  # train | validation | test
        ("first_segment", pa.int32()),  # of a recording that is itself cut into splits; else 0
        ("end_segment", pa.int32()),  # one past the last; null: to the end
    ]
)

LISTING = pa.schema(
    [
        ("path", pa.string()),
        ("bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("known", pa.string()),  # the manifest part that holds the file's row already; null for a new file
        ("genre", pa.string()),
        ("emotion", pa.list_(pa.float32())),
        ("n_annotators", pa.int32()),
        ("group", pa.string()),
        ("reason", pa.string()),  # why the walk could not reach it; null for a file
        ("detail", pa.string()),
    ]
)

SPLITS = ("train", "validation", "test")

"""A store as a Parquet file."""

from __future__ import annotations

from pathlib import Path

from shotsmith.completions.store import Store
from shotsmith.completions.stored import batches, snapshot
from shotsmith.files import replacing
from shotsmith.progress import Progress, Silent


def export(store: Store, out: Path, progress: Progress | None = None) -> int:
    """Write every completion to `out`, ordered by key; returns how many.

    Columns: `key` (64 hex digits), `text` (null where none was asked for), `log_probs` (a map from answers to natural
    logarithms), `origin`, `truncated` (whether a server cut the text off). The file is whole or absent and holds the
    store as it is at the beginning; a bounded number of rows is in memory. Raises StoreError for a damaged store.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("text", pa.string()),
            pa.field("log_probs", pa.map_(pa.string(), pa.float64()), nullable=False),
            pa.field("origin", pa.string(), nullable=False),
            pa.field("truncated", pa.bool_(), nullable=False),
        ]
    )
    store.verify()
    with snapshot(store), replacing(out) as temporary:
        total = store.completions()
        with pq.ParquetWriter(temporary, schema) as writer, (progress or Silent()).task("export", total) as advance:
            for batch in batches(store):
                columns = [
                    [one.key.hex() for one in batch],
                    [one.text for one in batch],
                    [list(one.log_probs.items()) for one in batch],
                    [one.origin for one in batch],
                    [one.truncated for one in batch],
                ]
                arrays = [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
                advance(len(batch))
    return total

"""Keep a memo in a file, so that the next run starts warm: an Arrow file of segments and their ids.

It is taken only if it says that it belongs to this very tokenizer, if its checksum is right, and if `tokenizers` gives
the same ids for a sample of it; else the memo starts empty, and says why.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xxhash

from bmtool.artifacts.files import fsync_folder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.data.segments.encoder import SegmentEncoder

FORMAT = b"1"

#: Segments of a file whose ids are asked of `tokenizers` before the file is taken.
NUM_SAMPLED = 500


def tokenizer_hash(tokenizer: Tokenizer) -> bytes:
    """What decides the ids, as sha256 in hex."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest().encode()


def write_memo(path: Path, encoder: SegmentEncoder, tokenizer: Tokenizer) -> None:
    """Write all segments and their ids, atomically; missing folders are made."""
    text, offsets, ids, counts = encoder.memo.contents()
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    segments = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(counts), buffers)
    lists = pa.LargeListArray.from_arrays(np.concatenate([[0], np.cumsum(counts)]), pa.array(ids))
    batch = pa.record_batch([segments, lists], names=["segment", "ids"])
    metadata = {"format": FORMAT, "tokenizer": tokenizer_hash(tokenizer), "checksum": _checksum(batch)}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")  # workers may write at the same time; the last one stays
    with new.open("wb") as handle:
        with pa.ipc.new_file(handle, batch.schema.with_metadata(metadata)) as writer:
            writer.write_batch(batch.replace_schema_metadata(metadata))
        handle.flush()
        os.fsync(handle.fileno())
    new.rename(path)
    fsync_folder(path.parent)


def _arrays(batch: pa.RecordBatch) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """(bytes, offsets of segments, offsets of ids, ids) of a batch that wasn't sliced."""
    segments, lists = batch.column(0), batch.column(1)
    _, places, text = segments.buffers()
    offsets = np.frombuffer(places, np.int64)[: len(segments) + 1]
    data = np.zeros(0, np.uint8) if text is None else np.frombuffer(text, np.uint8)[: offsets[-1]]
    return data, offsets, lists.offsets.to_numpy(), lists.values.to_numpy()


def _checksum(batch: pa.RecordBatch) -> bytes:
    state = xxhash.xxh3_128()
    for array in _arrays(batch):
        state.update(f"{array.dtype}{len(array)}".encode())
        state.update(array.data)
    return state.hexdigest().encode()


def read_memo(path: Path, encoder: SegmentEncoder, tokenizer: Tokenizer) -> str:
    """Fill an empty memo from a file; returns why the file wasn't taken, or nothing."""
    try:
        with pa.OSFile(str(path)) as source:
            reader = pa.ipc.open_file(source)
            metadata = reader.schema.metadata or {}
            if metadata.get(b"format") != FORMAT or metadata.get(b"tokenizer") != tokenizer_hash(tokenizer):
                return "it belongs to another tokenizer or version"
            batch = reader.get_batch(0)
            batch.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"it can't be read ({type(error).__name__})"
    types = [pa.large_binary(), pa.large_list(pa.from_numpy_dtype(encoder.memo.dtype))]
    if batch.schema.types != types or _checksum(batch) != metadata.get(b"checksum"):
        return "it is damaged"
    if not _sample_is_right(batch, encoder):
        return "`tokenizers` gives other ids for some of its segments"
    encoder.remember(*_arrays(batch))
    return ""


def _sample_is_right(batch: pa.RecordBatch, encoder: SegmentEncoder) -> bool:
    rows = np.unique(np.linspace(0, max(batch.num_rows - 1, 0), min(NUM_SAMPLED, batch.num_rows)).astype(np.int64))
    sample = batch.take(pa.array(rows))
    try:
        texts = [segment.decode() for segment in sample.column(0).to_pylist()]
    except UnicodeDecodeError:
        return False
    counts, ids = encoder.ask(texts)
    values = sample.column(1).flatten().to_numpy()
    return np.array_equal(counts, sample.column(1).value_lengths().to_numpy()) and np.array_equal(ids, values)

"""Second pass of prepare: draw rows, give labels their ids, encode a corpus, and write the dataset as it stays."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.artifacts.faults import fault
from bmtool.artifacts.files import write_json
from bmtool.data.dataset import TOKENS
from bmtool.data.encode import encode, ids_dtype
from bmtool.data.rows import text_bytes
from bmtool.data.split import Draw, share_of_ids, sorted_labels
from bmtool.data.storage import SplitWriter, features, write_split_info
from bmtool.errors import DataError, stopped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.console import Progress
    from bmtool.contracts import Job
    from bmtool.data.collect import Collected, Rules

NOT_DRAWN = "not drawn"

#: A tokenizer learns from no more than this: its counts have settled long before, and its memory is bounded.
TOKENIZER_BYTES = 1024**3

#: More distinct labels than this are no labels.
MAX_LABELS = 10_000


@dataclass
class Written:
    """What a split holds."""

    rows: int = 0
    text_bytes: int = 0
    tokens: int = 0
    without_tokens: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    lengths: list[NDArray[np.int64]] = field(default_factory=list)
    """Of each row's tokens in a corpus, else of its text in bytes"""

    def length_summary(self) -> dict[str, int]:
        """The spread of lengths: median, 90th and 99th percentile, the longest."""
        lengths = np.concatenate([np.zeros(0, np.int64), *self.lengths])
        if not len(lengths):
            return {}
        p50, p90, p99 = np.quantile(lengths, [0.5, 0.9, 0.99], method="higher").tolist()
        return {"p50": int(p50), "p90": int(p90), "p99": int(p99), "max": int(lengths.max())}


class SampledTexts:
    """The train texts a tokenizer learns from; may be iterated more than once."""

    def __init__(self, collected: Collected, column: str, max_bytes: int = TOKENIZER_BYTES) -> None:
        self.collected = collected
        self.column = column
        total = sum(int(text_bytes(batch, [column]).sum()) for batch in collected.batches("train"))
        self.share = min(1.0, max_bytes / max(total, 1))

    def __iter__(self) -> Iterator[str]:
        for batch in self.collected.batches("train"):
            texts = batch.column(self.column)
            if self.share < 1:
                texts = texts.filter(share_of_ids(batch.column("id"), self.share))
            yield from texts.to_pylist()


def draw(
    rules: Rules, collected: Collected, per_label: Mapping[str, int | None], *, seed: int | None
) -> dict[str, NDArray[np.bool_]]:
    """For each split that is drawn from: (rows,) True for the rows drawn; counts the others in the ledger."""
    column = rules.of_kind("label")[0]
    masks: dict[str, NDArray[np.bool_]] = {}
    for split, wanted in per_label.items():
        if wanted is None or split not in collected.rows:
            continue
        # Another seed draws other rows to learn from; what is tested on stays.
        lottery = Draw(wanted, seed if split == "train" else None)
        for batch in collected.batches(split):
            lottery.add(batch.column("id"), batch.column(column))
        masks[split] = lottery.drawn()
        dropped = int((~masks[split]).sum())
        collected.ledger.drop(NOT_DRAWN, dropped)
        collected.ledger.rows_out -= dropped
    return masks


def publish(
    rules: Rules,
    collected: Collected,
    job: Job,
    *,
    masks: Mapping[str, NDArray[np.bool_]],
    tokenizer: Tokenizer | None,
) -> Published:
    """Write every split: rows that were drawn (`masks`, by `draw`), labels as ids, token ids if there is a tokenizer.

    Raises:
        DataError: the labels are none.
        TryAgainError, StoppedError: the run was asked to stop.
    """
    columns = rules.of_kind("label", "tags")
    counts = {
        split: count_labels(rows_of(collected, split, masks.get(split)), columns, most=MAX_LABELS)
        for split in collected.rows
    }
    labels = find_labels(rules, counts)
    splits = Publisher(rules, collected, job, masks, labels, tokenizer).write()
    return Published(splits, labels, counts, tokenizer)


def count_labels(batches: Iterator[pa.RecordBatch], columns: Sequence[str], *, most: int) -> Counter[str]:
    """How often each label occurs in the named columns, list columns member by member.

    Counting stops where there are more than `most` different ones: these are no labels.
    """
    counts: Counter[str] = Counter()
    for batch in batches:
        if len(counts) > most:
            break
        for name in columns:
            column = batch.column(name)
            flat = pc.list_flatten(column) if pa.types.is_list(column.type) else column
            counts.update({str(one["values"]): int(one["counts"]) for one in pc.value_counts(flat).to_pylist()})
    return counts


def find_labels(rules: Rules, counts: Mapping[str, Counter[str]]) -> tuple[str, ...]:
    """The labels by id: the task's own order, else the sorted distinct values of all splits; () for a corpus.

    Raises:
        DataError: there are too many, or fewer than two.
    """
    if not rules.of_kind("label", "tags"):
        return ()
    labels = rules.labels or sorted_labels({label for one in counts.values() for label in one})
    column = rules.of_kind("label", "tags")[0]
    if len(labels) > MAX_LABELS:
        raise DataError(
            f"column '{column}' has {len(labels):,} different values (such as '{labels[0]}' and '{labels[-1]}'): "
            f"more than {MAX_LABELS:,}, so these are no labels. Map the right one, as in columns: {{{column}: NAME}}"
        )
    if len(labels) < 2:
        raise DataError(f"column '{column}' has one value only, '{labels[0]}': there is nothing to tell apart")
    return labels


def rows_of(collected: Collected, split: str, mask: NDArray[np.bool_] | None) -> Iterator[pa.RecordBatch]:
    """The rows of a split that were drawn (all of them without a mask)."""
    start = 0
    for batch in collected.batches(split):
        kept = batch if mask is None else batch.filter(pa.array(mask[start : start + batch.num_rows]))
        start += batch.num_rows
        yield kept


@dataclass(frozen=True)
class Published:
    """What was written, for the report."""

    splits: dict[str, Written]
    labels: tuple[str, ...]
    label_counts: dict[str, Counter[str]]
    tokenizer: Tokenizer | None


@dataclass(frozen=True)
class Publisher:
    """Writes the splits of one dataset."""

    rules: Rules
    collected: Collected
    job: Job
    masks: Mapping[str, NDArray[np.bool_]]
    labels: tuple[str, ...]
    tokenizer: Tokenizer | None

    def schema(self) -> pa.Schema:
        """The columns on disk."""
        fields = [pa.field("id", pa.string())]
        for one in self.rules.schema:
            kind = self.rules.kinds[one.name]
            stored = {"label": pa.int64(), "tags": pa.list_(pa.int64())}.get(kind, one.type)
            fields.append(pa.field(one.name, stored))
        if self.tokenizer is not None:
            dtype = pa.from_numpy_dtype(ids_dtype(self.tokenizer.get_vocab_size()))
            fields.append(pa.field(TOKENS, pa.list_(dtype)))
        return pa.schema(fields)

    def write(self) -> dict[str, Written]:
        """Write every split with a share above zero, also one that happens to be empty."""
        schema = self.schema()
        described = features(schema, dict.fromkeys(self.rules.of_kind("label", "tags"), self.labels))
        total = sum(self.collected.rows.values())
        written = {}
        with self.job.console.progress("writing rows", total) as progress:
            for split in self.collected.rows:
                written[split] = self._write_split(split, schema, described, progress)
        write_json(self.job.folder / "dataset_dict.json", {"splits": list(written)})
        return written

    def _write_split(self, split: str, schema: pa.Schema, described: Mapping[str, Any], progress: Progress) -> Written:
        folder = self.job.folder / split
        shutil.rmtree(folder, ignore_errors=True)
        writer, result = SplitWriter(folder, schema), Written()
        with ExitStack() as stack:
            stack.callback(writer.abandon)
            for batch in rows_of(self.collected, split, self.masks.get(split)):
                if self.job.stop.reason:
                    raise stopped(self.job.stop.reason, "all rows are read and kept")
                fault("prepare:write")
                writer.write(self._finished(batch, schema, result))
                progress.advance(batch.num_rows)
            shards = writer.close()
        result.rows = writer.num_rows
        write_split_info(folder, shards, result.rows, described=described, fingerprint=self.job.fingerprint)
        return result

    def _finished(self, batch: pa.RecordBatch, schema: pa.Schema, result: Written) -> pa.RecordBatch:
        """A batch as it goes to disk; `result` counts."""
        names = self.rules.of_kind("text", "words")
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for name in self.rules.of_kind("label", "tags"):
            columns[name] = self._label_ids(columns[name])
        if self.tokenizer is not None:
            ids, offsets = encode(columns["text"], self.tokenizer)
            lengths = np.diff(offsets)
            columns[TOKENS] = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(ids))
            has_tokens = lengths > 0
            result.without_tokens += int((~has_tokens).sum())
            result.tokens = result.tokens + len(ids)
            finished = pa.record_batch([columns[name] for name in schema.names], schema=schema)
            finished = finished.filter(pa.array(has_tokens))
            result.lengths.append(lengths[has_tokens])
            result.text_bytes += int(text_bytes(finished, names).sum())
            return finished
        sizes = text_bytes(batch, names)
        result.lengths.append(sizes)
        result.text_bytes += int(sizes.sum())
        return pa.record_batch([columns[name] for name in schema.names], schema=schema)

    def _label_ids(self, column: pa.Array) -> pa.Array:
        known = pa.array(self.labels, pa.string())
        if pa.types.is_list(column.type):
            flat = pc.index_in(pc.list_flatten(column), known).cast(pa.int64())
            lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            return pa.ListArray.from_arrays(pa.array(offsets), flat)
        return pc.index_in(column, known).cast(pa.int64())

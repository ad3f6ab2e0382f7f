"""Write the splits of a dataset from what is kept of its units, shard by shard."""

from __future__ import annotations

import hashlib
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
from bmtool.data.encode import ids_dtype
from bmtool.data.passes.shards import Finished, Shard, Share, shards_of
from bmtool.data.rows import schema_of, text_bytes
from bmtool.data.storage import SplitWriter, features, write_split_info
from bmtool.errors import stopped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.console import Progress
    from bmtool.contracts import Job
    from bmtool.data.passes.collect import KeptUnit, RowRules
    from bmtool.data.passes.decide import Decisions
    from bmtool.data.passes.encode_pass import UnitTokens

NO_TOKENS = "no tokens"


@dataclass
class Written:
    """What a split holds."""

    rows: int = 0
    text_bytes: int = 0
    tokens: int = 0
    lengths: list[NDArray[np.int64]] = field(default_factory=list)
    """Of each row's tokens in a corpus, else of its text in bytes"""
    shards: list[Shard] = field(default_factory=list)

    def length_summary(self) -> dict[str, int]:
        """The spread of lengths: median, 90th and 99th percentile, the longest."""
        lengths = np.concatenate([np.zeros(0, np.int64), *self.lengths])
        if not len(lengths):
            return {}
        p50, p90, p99 = np.quantile(lengths, [0.5, 0.9, 0.99], method="higher").tolist()
        return {"p50": int(p50), "p90": int(p90), "p99": int(p99), "max": int(lengths.max())}

    def length_histogram(self) -> list[list[int]]:
        """[lower edge, rows] for lengths from each power of two to the next; lengths of 0 have an edge of their own."""
        counts: Counter[int] = Counter()
        for lengths in self.lengths:
            bits = np.frexp(lengths.astype(np.float64))[1]  # binary digits of n; 0 for 0
            counts.update(dict(zip(*(one.tolist() for one in np.unique(bits, return_counts=True)), strict=True)))
        return [[0 if bits == 0 else 1 << (bits - 1), counts[bits]] for bits in sorted(counts)]


@dataclass(frozen=True)
class Piece:
    """A record batch of a unit, and which tokens belong to its rows."""

    batch: pa.RecordBatch
    rows: slice
    """In the unit"""
    has_tokens: NDArray[np.bool_]
    """Rows that were encoded"""
    first_encoded: int
    """How many rows of the unit before it were encoded"""


@dataclass(frozen=True)
class Writing:
    """Writes the splits of one dataset."""

    rules: RowRules
    units: Sequence[KeptUnit]
    decisions: Decisions
    splits: Sequence[str]
    job: Job
    labels: tuple[str, ...]
    tokenizer: Tokenizer | None
    tokens: Sequence[UnitTokens]
    finished: Finished

    def schema(self) -> pa.Schema:
        """The columns on disk."""
        fields = [pa.field("id", pa.string())]
        for one in schema_of(self.rules.kinds):
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
        written, shares = self._measure()
        with self.job.console.progress("writing rows", int(self.decisions.keep.sum())) as progress:
            for split in self.splits:
                written[split].shards = shards_of(shares[split], schema, self.labels)
                names = self._write_split(split, schema, written[split], progress)
                write_split_info(
                    self.job.folder / split,
                    names,
                    written[split].rows,
                    described=described,
                    fingerprint=self.job.fingerprint,
                )
        write_json(self.job.folder / "dataset_dict.json", {"splits": list(self.splits)})
        return written

    # ---------------------------------------------------------------- what there is to write

    def _measure(self) -> tuple[dict[str, Written], dict[str, list[Share]]]:
        """Count what each split holds, and say what each unit gives to it; of texts only the lengths are read."""
        written = {split: Written() for split in self.splits}
        shares: dict[str, list[Share]] = {split: [] for split in self.splits}
        names = self.rules.of_kind("text", "words")
        for index, unit in enumerate(self.units):
            lengths = np.diff(self.tokens[index].offsets()) if self.tokenizer is not None else None
            before = {split: one.text_bytes for split, one in written.items()}
            for piece in self._pieces(unit):
                sizes = text_bytes(piece.batch, names)
                tokens = None if lengths is None else _token_lengths(lengths, piece)
                for split, out in written.items():
                    mask = self._mask(unit, piece, split)
                    out.rows += int(mask.sum())
                    out.text_bytes += int(sizes[mask].sum())
                    out.lengths.append((sizes if tokens is None else tokens)[mask])
                    out.tokens += 0 if tokens is None else int(tokens[mask].sum())
            for split, out in written.items():
                content = self._content(index, unit, split)
                shares[split].append(Share(unit.key, content, out.text_bytes - before[split]))
        return written, shares

    def _content(self, index: int, unit: KeptUnit, split: str) -> str:
        bits = np.packbits(self.decisions.of_split(split, unit.rows)).tobytes()
        tokens = self.tokens[index].folder.name if self.tokenizer is not None else ""
        return f"{unit.key}/{tokens}/{hashlib.sha256(bits).hexdigest()}"

    def _pieces(self, unit: KeptUnit) -> Iterator[Piece]:
        encoded = self._encoded(unit)
        start = at = 0
        for batch in unit.batches():
            rows = slice(start, start + batch.num_rows)
            yield Piece(batch, rows, encoded[rows], at)
            start = rows.stop
            at += int(encoded[rows].sum())

    def _encoded(self, unit: KeptUnit) -> NDArray[np.bool_]:
        """Which rows of a unit have ids: those that stayed when it was encoded, so also those without any token."""
        encoded = self.decisions.keep[unit.rows].copy()
        for loss in self.decisions.losses:
            if loss.reason == NO_TOKENS:
                first, end = np.searchsorted(loss.rows, [unit.start, unit.rows.stop])
                encoded[loss.rows[first:end] - unit.start] = True
        return encoded

    def _mask(self, unit: KeptUnit, piece: Piece, split: str) -> NDArray[np.bool_]:
        rows = slice(unit.start + piece.rows.start, unit.start + piece.rows.stop)
        return self.decisions.of_split(split, rows)

    # ---------------------------------------------------------------- writing it

    def _write_split(self, split: str, schema: pa.Schema, out: Written, progress: Progress) -> list[str]:
        folder = self.job.folder / split
        shutil.rmtree(folder, ignore_errors=True)
        writer = SplitWriter(folder, schema)
        made: list[tuple[str, slice]] = []
        with ExitStack() as stack:
            stack.callback(writer.abandon)
            for shard in out.shards:
                first = len(writer.shards)
                files = None if self.job.is_fresh else self.finished.find(shard.key)
                if files is None or not writer.adopt(files):
                    for index in range(shard.first, shard.end):
                        self._write_unit(index, split, writer)
                    writer.cut()
                    made.append((shard.key, slice(first, len(writer.shards))))
                rows = slice(self.units[shard.first].start, self.units[shard.end - 1].rows.stop)
                progress.advance(int(self.decisions.of_split(split, rows).sum()))
            names = writer.close()
        for key, places in made:
            self.finished.keep(key, [folder / name for name in names[places]])
        return names

    def _write_unit(self, index: int, split: str, writer: SplitWriter) -> None:
        unit = self.units[index]
        if not self.decisions.of_split(split, unit.rows).any():
            return
        ids = self.tokens[index].ids() if self.tokenizer is not None else None
        offsets = self.tokens[index].offsets() if self.tokenizer is not None else None
        for piece in self._pieces(unit):
            if self.job.stop.reason:
                raise stopped(self.job.stop.reason, "all rows are read and kept")
            fault("prepare:write")
            mask = self._mask(unit, piece, split)
            if mask.any():
                lists = None if ids is None or offsets is None else _spread(ids, offsets, piece)
                writer.write(self._as_stored(piece.batch, lists, mask, writer.schema))

    def _as_stored(
        self, batch: pa.RecordBatch, lists: pa.Array | None, mask: NDArray[np.bool_], schema: pa.Schema
    ) -> pa.RecordBatch:
        """The rows of a batch as they go to disk."""
        columns: Mapping[str, pa.Array] = dict(zip(batch.schema.names, batch.columns, strict=True))
        stored = {name: self._label_ids(columns[name]) for name in self.rules.of_kind("label", "tags")}
        if lists is not None:
            stored[TOKENS] = lists
        columns = {**columns, **stored}
        finished = pa.record_batch([columns[name] for name in schema.names], schema=schema)
        return finished if mask.all() else finished.filter(pa.array(mask))

    def _label_ids(self, column: pa.Array) -> pa.Array:
        known = pa.array(self.labels, pa.string())
        if pa.types.is_list(column.type):
            flat = pc.index_in(pc.list_flatten(column), known).cast(pa.int64())
            lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            return pa.ListArray.from_arrays(pa.array(offsets), flat)
        return pc.index_in(column, known).cast(pa.int64())


def _token_lengths(lengths: NDArray[np.int64], piece: Piece) -> NDArray[np.int64]:
    """(rows,) tokens of each row of a batch; 0 for rows that weren't encoded. `lengths` are the unit's."""
    own = np.zeros(len(piece.has_tokens), np.int64)
    own[piece.has_tokens] = lengths[piece.first_encoded : piece.first_encoded + int(piece.has_tokens.sum())]
    return own


def _spread(ids: NDArray[Any], offsets: NDArray[np.int64], piece: Piece) -> pa.Array:
    """A list of ids for each row of a batch; an empty one for rows that weren't encoded."""
    own = offsets[piece.first_encoded : piece.first_encoded + int(piece.has_tokens.sum()) + 1]
    lengths = np.zeros(len(piece.has_tokens), np.int64)
    lengths[piece.has_tokens] = np.diff(own)
    borders = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(borders), pa.array(np.asarray(ids[own[0] : own[-1]])))

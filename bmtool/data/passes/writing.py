"""Write the splits of a dataset: count what is in them, have their shards written, and put these in their places."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bmtool.artifacts.files import write_json
from bmtool.contracts.kinds import LABELS, LISTS, READABLE
from bmtool.data.dataset import TOKENS
from bmtool.data.passes.earlier import FOLDER as SKETCHES_FOLDER
from bmtool.data.passes.earlier import sketches_path
from bmtool.data.passes.shard_pass import Part, Piece, ShardTask, pieces_of, write_shard
from bmtool.data.passes.shards import Finished, Shard, Share, shards_of
from bmtool.data.passes.workers import num_workers, run_tasks
from bmtool.data.rows import schema_of, text_bytes
from bmtool.data.storage import SplitWriter, features, write_split_info
from bmtool.data.tokenizing.plain_encoding import ids_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bmtool.data.passes.clock import Clock
    from bmtool.data.passes.collected import KeptUnit
    from bmtool.data.passes.draft import Draft

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
class Writing:
    """Writes the splits of one dataset."""

    draft: Draft
    splits: Sequence[str]
    labels: tuple[str, ...]
    finished: Finished
    has_sketches: bool
    """Whether the rows' sketches are written, too"""

    @property
    def units(self) -> Sequence[KeptUnit]:
        """What the rows are read from."""
        return self.draft.collected.units

    def schema(self) -> pa.Schema:
        """The columns on disk."""
        fields = [pa.field("id", pa.string())]
        for one in schema_of(self.draft.rules.kinds):
            kind = self.draft.rules.kinds[one.name]
            stored = one.type if kind not in LABELS else pa.list_(pa.int64()) if kind in LISTS else pa.int64()
            fields.append(pa.field(one.name, stored))
        if self.draft.tokenizer is not None:
            dtype = pa.from_numpy_dtype(ids_dtype(self.draft.tokenizer.get_vocab_size()))
            fields.append(pa.field(TOKENS, pa.list_(dtype)))
        return pa.schema(fields)

    def write(self) -> dict[str, Written]:
        """Write every split with a share above zero, also one that happens to be empty."""
        schema = self.schema()
        described = features(schema, dict.fromkeys(self.draft.rules.of_kind(*LABELS), self.labels))
        written, shares = self._measure()
        for split, out in written.items():
            out.shards = shards_of(shares[split], schema, self.labels, has_sketches=self.has_sketches)
        self._make(schema, written)
        job = self.draft.job
        shutil.rmtree(job.folder / SKETCHES_FOLDER, ignore_errors=True)
        if self.has_sketches:
            (job.folder / SKETCHES_FOLDER).mkdir()
        for split, out in written.items():
            names = self._put_together(split, schema, out)
            write_split_info(job.folder / split, names, out.rows, described=described, fingerprint=job.fingerprint)
        write_json(job.folder / "dataset_dict.json", {"splits": list(self.splits)})
        return written

    # ---------------------------------------------------------------- what there is to write

    def _measure(self) -> tuple[dict[str, Written], dict[str, list[Share]]]:
        """Count what each split holds, and say what each unit gives to it; of texts only the lengths are read."""
        written = {split: Written() for split in self.splits}
        shares: dict[str, list[Share]] = {split: [] for split in self.splits}
        names = self.draft.rules.of_kind(*READABLE)
        for index, unit in enumerate(self.units):
            lengths = np.diff(self.draft.tokens[index].offsets()) if self.draft.tokenizer is not None else None
            before = {split: one.text_bytes for split, one in written.items()}
            for piece in pieces_of(unit, self._encoded(unit)):
                sizes = text_bytes(piece.batch, names)
                tokens = None if lengths is None else _token_lengths(lengths, piece)
                for split, out in written.items():
                    mask = self.draft.decisions.of_split(split, unit.rows)[piece.rows]
                    out.rows += int(mask.sum())
                    out.text_bytes += int(sizes[mask].sum())
                    out.lengths.append((sizes if tokens is None else tokens)[mask])
                    out.tokens += 0 if tokens is None else int(tokens[mask].sum())
            for split, out in written.items():
                content = self._content(index, unit, split)
                shares[split].append(Share(unit.key, content, out.text_bytes - before[split]))
        return written, shares

    def _content(self, index: int, unit: KeptUnit, split: str) -> str:
        bits = np.packbits(self.draft.decisions.of_split(split, unit.rows)).tobytes()
        tokens = self.draft.tokens[index].folder.name if self.draft.tokenizer is not None else ""
        return f"{unit.key}/{tokens}/{hashlib.sha256(bits).hexdigest()}"

    def _encoded(self, unit: KeptUnit) -> NDArray[np.bool_]:
        """Which rows of a unit have ids: those that stayed when it was encoded, so also those without any token."""
        encoded = self.draft.decisions.keep[unit.rows].copy()
        for loss in self.draft.decisions.losses:
            if loss.reason == NO_TOKENS:
                first, end = np.searchsorted(loss.rows, [unit.start, unit.rows.stop])
                encoded[loss.rows[first:end] - unit.start] = True
        return encoded

    # ---------------------------------------------------------------- writing it

    def _make(self, schema: pa.Schema, written: Mapping[str, Written]) -> None:
        """Have all shards written that aren't there already."""
        tasks = []
        rows = int(self.draft.decisions.keep.sum())
        with self.draft.job.console.progress("writing rows", rows) as progress:
            for split, out in written.items():
                for shard in out.shards:
                    if self.draft.job.is_fresh or self.finished.find(shard.key) is None:
                        tasks.append(self._task(split, shard, schema))
                    else:
                        span = slice(self.units[shard.first].start, self.units[shard.end - 1].rows.stop)
                        progress.advance(int(self.draft.decisions.of_split(split, span).sum()))
            size = sum(out.text_bytes for out in written.values())
            workers = min(num_workers(self.draft.job.runtime.workers, size)[0], max(len(tasks), 1))
            shards = run_tasks(write_shard, tasks, workers=workers, stop=self.draft.job.stop, advance=progress.advance)
            self._sync(shards)

    def _sync(self, shards: Iterator[tuple[str, Clock]]) -> None:
        """Have shards reach the disk as they are finished: else it waits for the last one, and then all wait for it."""
        disk = ThreadPoolExecutor(1)
        try:
            waiting = []
            for key, clock in shards:
                self.draft.collected.took(clock)
                waiting.append(disk.submit(self.finished.sync, key))
            for one in waiting:
                one.result()
        finally:
            disk.shutdown(cancel_futures=True)

    def _task(self, split: str, shard: Shard, schema: pa.Schema) -> ShardTask:
        parts = []
        for index in range(shard.first, shard.end):
            unit = self.units[index]
            chosen, encoded = self.draft.decisions.of_split(split, unit.rows), self._encoded(unit)
            tokens = self.draft.tokens[index] if self.draft.tokenizer is not None else None
            parts.append(Part(unit, np.packbits(chosen).tobytes(), np.packbits(encoded).tobytes(), tokens))
        columns = tuple(self.draft.rules.of_kind(*LABELS))
        shelf = self.finished.shelf.folder
        return ShardTask(shard.key, shelf, schema, columns, self.labels, tuple(parts), self.has_sketches)

    def _put_together(self, split: str, schema: pa.Schema, out: Written) -> list[str]:
        """Put the shards of a split into its folder; their names there."""
        folder = self.draft.job.folder / split
        shutil.rmtree(folder, ignore_errors=True)
        writer = SplitWriter(folder, schema)
        for number, shard in enumerate(out.shards):
            self.finished.put(shard.key, writer, sketches_path(self.draft.job.folder, split, number))
        return writer.close()


def _token_lengths(lengths: NDArray[np.int64], piece: Piece) -> NDArray[np.int64]:
    """(rows,) tokens of each row of a batch; 0 for rows that weren't encoded. `lengths` are the unit's."""
    own = np.zeros(len(piece.has_tokens), np.int64)
    own[piece.has_tokens] = lengths[piece.first_encoded : piece.first_encoded + piece.num_encoded]
    return own

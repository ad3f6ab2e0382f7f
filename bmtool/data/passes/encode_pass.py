"""Second pass of prepare, over a corpus's units: the token ids of every row that stays, kept beside the rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bmtool.artifacts.files import sha256_of
from bmtool.data.compiled import compiling_once
from bmtool.data.kept import FACTS, Shelf, read_array, unsealed, write_array
from bmtool.data.passes.clock import Clock
from bmtool.data.passes.unit_pass import ROWS
from bmtool.data.passes.workers import num_workers, run_tasks
from bmtool.data.storage import read_stream
from bmtool.data.tokenizing.encode import Encoder
from bmtool.data.tokenizing.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.contracts import Job
    from bmtool.data.passes.collected import Collected, KeptUnit
    from bmtool.data.passes.workers import Tick

#: Raised when the same text and tokenizer give other ids than before.
VERSION = 1

IDS, OFFSETS = "ids.npy", "offsets.npy"

#: Reading a memo of half a million segments takes half a second, which it saves in as much text (measured: 50 MB/s with
#: an empty memo, 124 MB/s with a filled one).
MEMO_FROM_BYTES = 40_000_000


@dataclass(frozen=True)
class EncodeTask:
    """What a worker needs to know."""

    key: str
    unit: Path
    keep: bytes
    """packed bits, one a row"""
    num_rows: int
    tokenizer: Path
    shelf: Path
    memo: Path | None
    """where the memo of segments is kept from run to run; None: it isn't"""
    by_memo: bool
    """whether to use one at all"""
    is_last: bool = False
    """whether to keep the memo behind it"""


@dataclass(frozen=True)
class UnitTokens:
    """The token ids of the rows of a unit that stay. K rows."""

    folder: Path

    def ids(self) -> NDArray[Any]:
        """(T,) memory-mapped, read-only."""
        values: NDArray[Any] = np.load(self.folder / IDS, mmap_mode="r", allow_pickle=False)
        return values

    def offsets(self) -> NDArray[np.int64]:
        """(K + 1,) where each row's tokens start."""
        return read_array(self.folder / OFFSETS)

    def how(self) -> dict[str, Any]:
        """By what it was encoded, how many texts, and how many of them `tokenizers` encoded too."""
        facts = unsealed((self.folder / FACTS).read_text(encoding="utf-8"))
        return dict(facts.get("how", {"method": "an earlier version", "texts": 0, "checked": 0}))


def encode_units(
    collected: Collected, keep: NDArray[np.bool_], tokenizer: Path, job: Job, root: Path
) -> list[UnitTokens]:
    """Have every unit encoded, or take up what is kept of it.

    If a memo fails its check, nothing that it made is used: all is encoded again by `tokenizers` alone.

    Raises:
        TryAgainError, StoppedError: the run was asked to stop.
    """
    work = _Encoding(collected, keep, tokenizer, job, root)
    tokens = work.tokens(by_memo=True)
    if tokens is None:
        job.console.warn("a memo of segments gave wrong ids; everything is encoded again without. Please report it")
        tokens = work.tokens(by_memo=False)
    if tokens is None:
        raise AssertionError("encoding without a memo can't fail its check")
    return tokens


@dataclass(frozen=True)
class _Encoding:
    """Encoding all units of a dataset."""

    collected: Collected
    keep: NDArray[np.bool_]
    tokenizer: Path
    job: Job
    root: Path

    def tokens(self, *, by_memo: bool) -> list[UnitTokens] | None:
        """Where each unit's ids are; None if a memo failed its check."""
        shelf = Shelf(self.root / "tokens")
        known = sha256_of(self.tokenizer / "tokenizer.json")
        memo = self.root / "memos" / f"{known[:32]}.memo" if by_memo else None
        if memo is not None and self.job.is_fresh:
            memo.unlink(missing_ok=True)
        tasks, keys = [], []
        is_sure = True  # an earlier run may have been ended between a failed check and what follows from it
        for unit in self.collected.units:
            bits = np.packbits(self.keep[unit.rows]).tobytes()
            plain = f"{VERSION}/{unit.key}/{known}/{hashlib.sha256(bits).hexdigest()}/{by_memo}"
            keys.append(hashlib.sha256(plain.encode()).hexdigest()[:32])
            facts = None if self.job.is_fresh else shelf.find(keys[-1])
            is_sure = is_sure and (facts is None or facts.get("is_sure", True))
            if facts is None:
                task = EncodeTask(
                    keys[-1], unit.folder, bits, unit.num_rows, self.tokenizer, shelf.folder, memo, by_memo
                )
                tasks.append(task)
        if not is_sure or not self._run(tasks):
            for key in keys:
                shelf.remove(key)
            return None
        return [UnitTokens(shelf.path(key)) for key in keys]

    def _run(self, tasks: list[EncodeTask]) -> bool:
        """Do the tasks; False if a memo failed its check."""
        if not tasks:
            return True
        job, collected = self.job, self.collected
        num_bytes = sum((task.unit / ROWS).stat().st_size for task in tasks)
        workers = min(num_workers(job.runtime.workers, num_bytes)[0], len(tasks))
        if num_bytes < workers * MEMO_FROM_BYTES:
            tasks = [replace(task, memo=None) for task in tasks]
        # The last tasks are likely to be with different workers: each keeps its memo, and the last one stays.
        tasks[-workers:] = [replace(task, is_last=True) for task in tasks[-workers:]]
        notes: dict[str, None] = {}
        is_sure = True
        with job.console.progress("encoding", sum(task.num_rows for task in tasks)) as progress:
            for result in run_tasks(encode_unit, tasks, workers=workers, stop=job.stop, advance=progress.advance):
                collected.seconds.update(result["seconds"])
                collected.worked_bytes.update(result["worked_bytes"])
                notes.update(dict.fromkeys(result["notes"]))
                is_sure = is_sure and result["is_sure"]
        for note in notes:
            job.console.detail(f"encoding: {note}")
        return is_sure


@lru_cache(maxsize=1)
def _encoder(tokenizer: Path, memo: Path | None, *, by_memo: bool) -> Encoder:
    """One memo a process, warm from earlier runs where there were some."""
    known = load_tokenizer(tokenizer)
    return Encoder(known, by_memo=by_memo) if memo is None or not by_memo else Encoder.load(memo, known)


def encode_unit(task: EncodeTask, tick: Tick) -> dict[str, Any]:
    """Encode the rows of a unit that stay, and keep the ids under the task's key."""
    clock = Clock()
    encoder = _encoder(task.tokenizer, task.memo, by_memo=task.by_memo)
    keep = np.unpackbits(np.frombuffer(task.keep, np.uint8), count=task.num_rows).astype(bool)
    ids: list[NDArray[Any]] = []
    lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    start = 0
    texts_before, checked_before = encoder.num_texts, encoder.num_checked
    once = compiling_once(["encode", encoder.method], tick)
    with once, Shelf(task.shelf).filling(task.key) as (folder, facts), clock.step("encode"):
        for batch in read_stream(task.unit / ROWS):
            tick(batch.num_rows)
            texts = batch.column("text").filter(pa.array(keep[start : start + batch.num_rows]))
            start += batch.num_rows
            clock.bytes["encode"] += texts.nbytes
            some, offsets = encoder.encode(texts)
            ids.append(some)
            lengths.append(np.diff(offsets))
        write_array(folder / IDS, np.concatenate(ids) if ids else np.zeros(0, np.uint16))
        write_array(folder / OFFSETS, np.cumsum(np.concatenate(lengths)))
        num_texts, num_checked = encoder.num_texts - texts_before, encoder.num_checked - checked_before
        facts["is_sure"] = encoder.is_sure
        facts["how"] = {"method": encoder.method, "texts": num_texts, "checked": num_checked}
    if task.is_last and task.memo is not None:
        encoder.save(task.memo)
    worked = {"seconds": dict(clock.seconds), "worked_bytes": dict(clock.bytes)}
    return {**worked, "notes": [encoder.method, *encoder.notes], "is_sure": encoder.is_sure}


def encoded_by(tokens: Sequence[UnitTokens]) -> dict[str, dict[str, int]]:
    """By method: how many texts, and how many of them `tokenizers` encoded too; their ids were equal."""
    found: dict[str, dict[str, int]] = {}
    for how in (one.how() for one in tokens):
        counts = found.setdefault(how.pop("method"), {"texts": 0, "checked": 0})
        for name, count in how.items():
            counts[name] += count
    return found


def without_tokens(units: list[KeptUnit], tokens: list[UnitTokens], keep: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The rows that stay but left no token."""
    found = [np.zeros(0, np.int64)]
    for unit, one in zip(units, tokens, strict=True):
        kept = np.flatnonzero(keep[unit.rows]) + unit.start
        found.append(kept[np.diff(one.offsets()) == 0])
    return np.concatenate(found)

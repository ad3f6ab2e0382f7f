"""The right answers of a question, as rows hold them: found in their text, and scrubbed as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.data.rows import ANSWERS
from bmtool.data.text.scrub import scrub, stand_ins

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bmtool.contracts import Scrubber

    Spans = list[tuple[int, int, bytes]]


def right_texts(answers: pa.Array | pa.ChunkedArray) -> list[list[str]]:
    """The right answers of each row; none where there is no answer."""
    return [one["text"] for one in answers.to_pylist()]


def nearest(text: str, answer: str, start: int) -> int:
    """Where `answer` occurs in `text`, in characters, closest to `start`, the first of equals; -1: nowhere.

    Cleaning moves texts, so that places given before it hold only nearly.
    """
    if not answer:
        return -1
    start = max(start, 0)
    before, behind = text.rfind(answer, 0, start + len(answer)), text.find(answer, start)
    if before < 0 or behind < 0:
        return max(before, behind)
    return before if start - before <= behind - start else behind


def placed_in(table: pa.Table, texts: pa.ChunkedArray) -> pa.Table:
    """`table` has the columns `answer` and `start` of cleaned texts; the same with places in `texts` as they came.

    A place is null where the given text doesn't hold the answer as it is.
    """
    rows = zip(texts.to_pylist(), *(table.column(name).to_pylist() for name in ("answer", "start")), strict=True)
    places = [-1 if start is None else nearest(text, answer, start) for text, answer, start in rows]
    starts = pa.array([None if place < 0 else place for place in places], pa.int64())
    return table.set_column(table.column_names.index("start"), "start", starts)


def with_texts(answers: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`answers` (of type ANSWERS) with the texts that `change` makes of all of theirs, (A,) to (A,)."""
    texts, starts = answers.flatten()
    lengths = pc.list_value_length(texts).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    changed = pa.ListArray.from_arrays(pa.array(offsets), change(pc.list_flatten(texts)))
    return pa.StructArray.from_arrays([changed, starts], fields=list(ANSWERS))


def scrub_answers(
    answers: pa.Array, texts: pa.Array, scrubbed: pa.Array, scrubbers: Sequence[Scrubber], key: bytes | None
) -> pa.Array:
    """`answers` (N,) to `texts` (N,) as they stand in `scrubbed`, these texts without private data.

    Scrubbers look at what is around a value, so an answer by itself might keep what its text loses: a part of a number,
    say. One that isn't in its text is scrubbed by itself.
    """
    flat_rows = np.repeat(np.arange(len(answers)), pc.list_value_length(answers.field("text")).to_numpy())
    places = pc.list_flatten(answers.field("answer_start")).to_pylist()
    changed = pc.not_equal(texts, scrubbed).to_pylist()
    known: dict[int, tuple[str, Spans]] = {}

    def change(flat: pa.Array) -> pa.Array:
        alone = scrub(flat, scrubbers, key).texts.to_pylist()
        out = []
        for row, answer, start, other in zip(flat_rows.tolist(), flat.to_pylist(), places, alone, strict=True):
            if row not in known:
                text = texts[row].as_py()
                known[row] = text, stand_ins(text.encode(), scrubbers, key) if changed[row] else []
            text, spans = known[row]
            place = nearest(text, answer, start)
            out.append(other if place < 0 else _replaced(text, place, place + len(answer), spans))
        return pa.array(out, flat.type)

    return with_texts(answers, change)


def _replaced(text: str, start: int, end: int, spans: Spans) -> str:
    """The characters `start` to `end` of `text` with what stands in for `spans` (in bytes), also for parts of them."""
    data = text.encode()
    place, last = len(text[:start].encode()), len(text[:end].encode())
    parts = []
    for first, behind, stand_in in spans:
        if first < last and behind > place:
            parts += [data[place:first], stand_in]
            place = behind
    return b"".join([*parts, data[place:last]]).decode()

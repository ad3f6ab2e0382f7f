"""What is done to a batch of rows in the first pass, step by step; who counts is in `unit_pass`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.contracts import LINE
from bmtool.contracts.kinds import READABLE, TEXTS
from bmtool.data.examples.right_answers import scrub_answers, with_texts
from bmtool.data.messages import MESSAGES, as_text, contents, with_contents
from bmtool.data.rows import row_ids, schema_of
from bmtool.data.text.scrub import scrub

if TYPE_CHECKING:
    from collections import Counter

    from bmtool.contracts import Cleaner
    from bmtool.data.passes.units import RowRules

#: A column of rows that are kept: which of the unit's pieces a row came from.
PIECE = "#piece"

#: What RE2 finds in a text that isn't empty.
SOMETHING = r"[^\s\v\x{85}\pZ]"


def kept_schema(rules: RowRules) -> pa.Schema:
    """The columns of rows that are kept between the passes."""
    own = [pa.field(one.name, one.type) for one in schema_of(rules.kinds)]
    return pa.schema([pa.field("id", pa.string()), *own, pa.field(LINE, pa.int64()), pa.field(PIECE, pa.int32())])


def with_ids(batch: pa.RecordBatch, piece: int, schema: pa.Schema) -> pa.RecordBatch:
    """Rows as a source gives them, with their ids and where they are from; `schema` is `kept_schema`'s."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    lines = columns.pop(LINE)
    ids = row_ids(pa.record_batch(list(columns.values()), names=list(columns)))
    pieces = pa.array(np.full(batch.num_rows, piece, np.int32))
    return pa.record_batch([ids, *columns.values(), lines, pieces], schema=schema)


def clean(batch: pa.RecordBatch, rules: RowRules, counts: Counter[str]) -> pa.RecordBatch:
    """Rewrite the texts with all cleaners; how many texts each of them changed is added to `counts`."""

    def cleaned(texts: pa.Array, cleaner: Cleaner) -> pa.Array:
        after = cleaner.clean(texts)
        if after is not texts:
            counts[cleaner.name()] += pc.sum(pc.not_equal(texts, after)).as_py() or 0
        return after

    for name in rules.of_kind(*TEXTS):
        texts = batch.column(name)
        for cleaner in rules.cleaners:
            texts = cleaned(texts, cleaner)
        batch = _replaced(batch, name, texts)
    for kind, change in (("answers", with_texts), ("messages", with_contents)):
        for name in rules.of_kind(kind):
            for cleaner in rules.cleaners:
                batch = _replaced(batch, name, change(batch.column(name), partial(cleaned, cleaner=cleaner)))
    return batch


def without_private(batch: pa.RecordBatch, rules: RowRules, counts: Counter[str]) -> pa.RecordBatch:
    """Take private data out of texts and words; what is found is added to `counts`."""
    if not rules.scrubbers:
        return batch

    def scrubbed(texts: pa.Array) -> pa.Array:
        without, found, _ = scrub(texts, rules.scrubbers, rules.scrub_key)
        counts.update(found)
        return without

    before = batch
    for name in rules.of_kind(*READABLE):
        column = batch.column(name)
        if column.type == MESSAGES:
            texts = with_contents(column, scrubbed)
        elif pa.types.is_list(column.type):
            lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            texts = pa.ListArray.from_arrays(pa.array(offsets), scrubbed(pc.list_flatten(column)))
        else:
            texts = scrubbed(column)
        batch = _replaced(batch, name, texts)
    for name in rules.of_kind("answers"):
        text = rules.of_kind("text")[-1]
        answers = scrub_answers(
            batch.column(name), before.column(text), batch.column(text), rules.scrubbers, rules.scrub_key
        )
        batch = _replaced(batch, name, answers)
    return batch


def _replaced(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    """The batch with other values in one column."""
    return batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), values)


def not_empty(batch: pa.RecordBatch, rules: RowRules) -> pa.Array:
    """True for rows that have something to read in every text column, and in every message."""
    mask = pa.array(np.ones(batch.num_rows, dtype=bool))
    for name in rules.of_kind(*TEXTS):
        mask = pc.and_(mask, pc.match_substring_regex(batch.column(name), SOMETHING))
    for name in rules.of_kind("words"):
        mask = pc.and_(mask, pc.greater(pc.list_value_length(batch.column(name)), 0))
    for name in rules.of_kind("messages"):
        said = contents(batch.column(name))
        is_blank = pc.invert(pc.match_substring_regex(pc.list_flatten(said), SOMETHING))
        blank = np.zeros(batch.num_rows, dtype=bool)
        blank[pc.list_parent_indices(said).filter(is_blank).to_numpy()] = True
        mask = pc.and_(mask, pa.array(~blank))
    return mask


def listed(batch: pa.RecordBatch, rules: RowRules) -> pa.Array:
    """True for rows all of whose labels are allowed."""
    allowed = pa.array(rules.labels, pa.string())
    mask = np.ones(batch.num_rows, dtype=bool)
    for name in rules.of_kind("label"):
        mask &= pc.is_in(batch.column(name), allowed).to_numpy(zero_copy_only=False)
    for name in rules.of_kind("tags", "labels"):
        column = batch.column(name)
        strange = pc.invert(pc.is_in(pc.list_flatten(column), allowed))
        mask[pc.list_parent_indices(column).filter(strange).to_numpy()] = False
    return pa.array(mask)


def joined_texts(batch: pa.RecordBatch, names: list[str]) -> pa.Array:
    """The named columns (text, or lists of words joined by a space) of each row as one text."""
    columns = []
    for name in names:
        column = as_text(batch.column(name))
        columns.append(pc.binary_join(column, " ") if pa.types.is_list(column.type) else column)
    return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "\x1f")

"""Cuts one segment (what stands between two white spaces) into words and marks, as spaCy's English tokenizer does.

A segment that is an exception is cut as the table says. Else prefixes and suffixes are taken off its ends until none is
left or the rest is an exception; a rest that is a web address stays whole, another is cut at its infixes; last, runs of
tokens that are an exception as a whole (an emoticon such as `:)`) are joined again. From `spacy/tokenizer.pyx`,
`spacy/lang/punctuation.py` and `spacy/lang/tokenizer_exceptions.py` (MIT License, see `bmtool.data.quality.english`).

spaCy looks for emoticons across single spaces too, but only joins those without one; the one difference is that such a
run can hide a shorter emoticon that overlaps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bmtool.data.quality.addresses import is_address
from bmtool.data.quality.affixes import infix, prefix, suffix
from bmtool.data.quality.english import place_of
from bmtool.data.quality.hashing import OFFSET, PRIME, finished, hash_of
from bmtool.data.quality.native import compiled, inlined, spliced
from bmtool.data.text.words import code_point

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Scratch(NamedTuple):
    """Where a segment is worked on; room for its bytes."""

    codes: NDArray[np.int32]
    flags: NDArray[np.int32]
    places: NDArray[np.int64]
    """where each code point starts"""
    tokens: NDArray[np.int64]
    """(n, 2) first code point and end of each token"""
    suffixes: NDArray[np.int64]
    """(n, 2) the same of suffixes; later, how long the run of tokens to be joined at each is, and what it gives"""
    joined: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    hidden: NDArray[np.bool_]


def scratch(num_bytes: int) -> Scratch:
    """Room for segments of at most `num_bytes`."""
    size = num_bytes + 1
    numbers = (np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int64))
    spans = (np.empty((size, 2), np.int64), np.empty((size, 2), np.int64), np.empty((size, 2), np.int64))
    return Scratch(*numbers, *spans, np.empty(size, np.uint64), np.empty(size, np.bool_))


@compiled
def _number(h, table, data, start, end, texts):  # type: ignore[no-untyped-def]
    """The number of the exception with this hash and these bytes, or -1."""
    mask = len(table) - 1
    place = np.int64(h >> np.uint64(1)) & mask
    while table[place, 0] != 0:
        number = np.int64(table[place, 1])
        if table[place, 0] == h and texts[number, 0] == end - start:
            k = start
            while k < end and data[k] == texts[number, k - start + 1]:
                k += 1
            if k == end:
                return number
        place = (place + 1) & mask
    return np.int64(-1)


@spliced
def exception(data, start, end, tables):  # type: ignore[no-untyped-def]
    """The number of the exception that these bytes are, or -1."""
    size = end - start
    if size > 31 or size < 1 or not (tables.lengths[data[start]] >> np.uint32(size)) & np.uint32(1):
        return np.int64(-1)
    return _number(hash_of(data, start, end), tables.exceptions, data, start, end, tables.texts)


@spliced
def _cut_inside(room, a, b, n):  # type: ignore[no-untyped-def]
    """Append the tokens of what has neither prefix nor suffix; how many there are then."""
    codes, flags, tokens = room.codes, room.flags, room.tokens
    has_dot = False
    for i in range(a, b):
        has_dot |= codes[i] == 46
    if not (has_dot and is_address(codes, flags, a, b)):
        start = i = a
        while i < b:
            size = infix(codes, flags, i, a, b)
            if size and i > a:
                if i > start:
                    tokens[n, 0], tokens[n, 1] = start, i
                    n += 1
                tokens[n, 0], tokens[n, 1] = i, i + size
                n += 1
                start = i + size
            i += max(size, 1)
        a = start
    if a < b:
        tokens[n, 0], tokens[n, 1] = a, b
        n += 1
    return n


@spliced
def _put_parts(room, a, number, tables, n):  # type: ignore[no-untyped-def]
    for k in range(tables.parts[number, 0]):
        size = tables.parts[number, k + 1]
        room.tokens[n, 0], room.tokens[n, 1] = a, a + size
        a += size
        n += 1
    return n


@compiled
def cut_without_merges(data, length, room, tables):  # type: ignore[no-untyped-def]
    """Exceptions, affixes, address, infixes: the tokens of a segment of `length` code points; how many there are."""
    codes, flags, at = room.codes, room.flags, room.places
    a, b, n, num_suffixes, last = 0, length, 0, 0, -1
    number = exception(data, at[a], at[b], tables)
    while number < 0 and a < b and b - a != last:
        last = b - a
        pre = prefix(codes, flags, a, b)
        if pre:
            number = exception(data, at[a + pre], at[b], tables)
            if number >= 0:
                room.tokens[n, 0], room.tokens[n, 1] = a, a + pre
                n += 1
                a += pre
                break
        suf = suffix(codes, flags, a + pre, b, tables.units)
        if suf:
            number = exception(data, at[a], at[b - suf], tables)
            room.suffixes[num_suffixes, 0], room.suffixes[num_suffixes, 1] = b - suf, b
            num_suffixes += 1
            b -= suf
            if number >= 0:
                break
        if pre:
            room.tokens[n, 0], room.tokens[n, 1] = a, a + pre
            n += 1
            a += pre
        number = exception(data, at[a], at[b], tables)
    if number >= 0:
        n = _put_parts(room, a, number, tables, n)
    elif a < b:
        n = _cut_inside(room, a, b, n)
    for k in range(num_suffixes - 1, -1, -1):
        room.tokens[n, 0], room.tokens[n, 1] = room.suffixes[k, 0], room.suffixes[k, 1]
        n += 1
    return n


@inlined
def run_hash(hashes, i, size):  # type: ignore[no-untyped-def]
    """The hash of the tokens from `i` on, of `size` tokens."""
    h = OFFSET
    for k in range(size):
        h = (h ^ hashes[i + k]) * PRIME
    return finished(h)


@spliced
def hash_tokens(data, n, room):  # type: ignore[no-untyped-def]
    """Set the hashes of the first `n` tokens."""
    for i in range(n):
        room.hashes[i] = hash_of(data, room.places[room.tokens[i, 0]], room.places[room.tokens[i, 1]])


@compiled
def _mark_merges(data, n, room, tables):  # type: ignore[no-untyped-def]
    """Find the runs of tokens that are an exception: the longest first, then the leftmost; whether there is any."""
    hashes, hidden, runs = room.hashes, room.hidden, room.suffixes
    may_start = False
    for i in range(n):
        hidden[i] = False
        runs[i, 0] = 0
        may_start |= tables.merge_starts[hashes[i] & np.uint64(4095)]
    found = False
    if not may_start:
        return found
    for size in range(min(tables.longest_merge, n), 1, -1):
        for i in range(n - size + 1):
            if not tables.merge_starts[hashes[i] & np.uint64(4095)]:
                continue
            start, end = room.places[room.tokens[i, 0]], room.places[room.tokens[i + size - 1, 1]]
            number = _number(run_hash(hashes, i, size), tables.merges, data, start, end, tables.texts)
            if number < 0:
                continue
            if not hidden[i] and not hidden[i + size - 1]:
                runs[i, 0], runs[i, 1] = size, number
                found = True
            for k in range(i, i + size):
                hidden[k] = True
    return found


@compiled
def _merge(data, n, room, tables):  # type: ignore[no-untyped-def]
    """Replace runs of tokens that are an exception as a whole; how many tokens there are then."""
    if not _mark_merges(data, n, room, tables):
        return n
    tokens, joined, runs = room.tokens, room.joined, room.suffixes
    m, i = 0, 0
    while i < n:
        if runs[i, 0] == 0:
            joined[m, 0], joined[m, 1] = tokens[i, 0], tokens[i, 1]
            m += 1
            i += 1
            continue
        a, number = tokens[i, 0], runs[i, 1]
        for part in range(tables.parts[number, 0]):
            joined[m, 0], joined[m, 1] = a, a + tables.parts[number, part + 1]
            a = joined[m, 1]
            m += 1
        i += runs[i, 0]
    for i in range(m):
        tokens[i, 0], tokens[i, 1] = joined[i, 0], joined[i, 1]
    hash_tokens(data, m, room)
    return m


@spliced
def decode(data, start, end, room, flags):  # type: ignore[no-untyped-def]
    """Spread the bytes of a segment into code points and their flags; how many there are."""
    n, i = 0, start
    while i < end:
        code, size = code_point(data, i)
        room.codes[n], room.flags[n], room.places[n] = code, flags[place_of(code)], i
        n += 1
        i += size
    room.places[n] = end
    return n


@compiled
def cut(data, length, room, tables):  # type: ignore[no-untyped-def]
    """Cut the decoded segment of `length` code points into `room.tokens`, and hash them; how many tokens there are."""
    n = cut_without_merges(data, length, room, tables)
    hash_tokens(data, n, room)
    return n if n < 2 else _merge(data, n, room, tables)

"""Cuts one segment (what stands between two white spaces) into words and marks, as spaCy's English tokenizer does.

A segment that is an exception is cut as the table says. Else prefixes and suffixes are taken off its ends until none is
left or the rest is an exception; a rest that is a web address stays whole, another is cut at its infixes; last, runs of
tokens that are an exception as a whole (an emoticon such as `:)`) are joined again. From `spacy/tokenizer.pyx`,
`spacy/lang/punctuation.py` and `spacy/lang/tokenizer_exceptions.py` (MIT License, see `bmtool.data.quality.english`);
the address rule is Diego Perini's (MIT License, https://gist.github.com/dperini/729294).

spaCy looks for emoticons across single spaces too, but only joins those without one; the one difference is that such a
run can hide a shorter emoticon that overlaps it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numba as nb
import numpy as np

from bmtool.data.quality import english
from bmtool.data.quality.english import (
    ALPHA,
    CURRENCY,
    DECIMAL,
    DIGIT,
    ENDS_BEFORE_DOT,
    HOST,
    ICON,
    LAST,
    LOWER,
    PREFIX,
    QUOTE,
    SUFFIX,
    UPPER,
    WORD,
)
from bmtool.data.words import code_point

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OFFSET, _PRIME, _MIX = np.uint64(14695981039346656037), np.uint64(1099511628211), np.uint64(0xFF51AFD7ED558CCD)


class Tables(NamedTuple):
    """What the rule looks up, as arrays for the kernels."""

    flags: NDArray[np.int32]
    """(LAST + 1,) `bmtool.data.quality.english.characters`"""
    lengths: NDArray[np.uint32]
    """(256,) bit n is set where an exception of n bytes starts with this byte"""
    exceptions: NDArray[np.uint64]
    """(2^m, 2) open addressing: hash of an exception, its number"""
    parts: NDArray[np.int32]
    """(E, 4) how many tokens each exception is, and their code points"""
    merges: NDArray[np.uint64]
    """(2^m, 2) the same for the hash of the tokens that an exception falls into by the other rules"""
    longest_merge: int
    units: NDArray[np.uint64]
    """(U,) units such as `km`, twelve bits a code point"""
    stop_words: NDArray[np.uint64]
    """(8,) hashes"""


class Scratch(NamedTuple):
    """Where a segment is worked on; room for its bytes."""

    codes: NDArray[np.int32]
    flags: NDArray[np.int32]
    places: NDArray[np.int64]
    """where each code point starts"""
    tokens: NDArray[np.int64]
    """(n, 2) first code point and end of each token"""
    suffixes: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    hidden: NDArray[np.bool_]


def scratch(num_bytes: int) -> Scratch:
    """Room for segments of at most `num_bytes`."""
    size = num_bytes + 1
    numbers = (np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int64))
    spans = (np.empty((size, 2), np.int64), np.empty((size, 2), np.int64))
    return Scratch(*numbers, *spans, np.empty(size, np.uint64), np.empty(size, np.bool_))


@nb.njit(inline="always")
def finished(h):  # type: ignore[no-untyped-def]
    """A hash whose bits are mixed, never 0 (which means an empty place)."""
    h = (h ^ (h >> np.uint64(32))) * _MIX
    return (h ^ (h >> np.uint64(29))) | np.uint64(1)


@nb.njit(inline="always")
def hash_of(data, start, end):  # type: ignore[no-untyped-def]
    """FNV-1a of bytes, mixed. The seed is fixed: results must not depend on the process."""
    h = _OFFSET
    for i in range(start, end):
        h = (h ^ np.uint64(data[i])) * _PRIME
    return finished(h)


@nb.njit(inline="always")
def _number(h, table):  # type: ignore[no-untyped-def]
    mask = len(table) - 1
    place = np.int64(h >> np.uint64(1)) & mask
    while table[place, 0] != 0:
        if table[place, 0] == h:
            return np.int64(table[place, 1])
        place = (place + 1) & mask
    return np.int64(-1)


@nb.njit(nogil=True, cache=True)
def exception(data, start, end, tables):  # type: ignore[no-untyped-def]
    """The number of the exception that these bytes are, or -1."""
    size = end - start
    if size > 31 or size < 1 or not (tables.lengths[data[start]] >> np.uint32(size)) & np.uint32(1):
        return np.int64(-1)
    return _number(hash_of(data, start, end), tables.exceptions)


@nb.njit(nogil=True, cache=True)
def _prefix(codes, flags, a, b):  # type: ignore[no-untyped-def]
    x = codes[a]
    if flags[a] & PREFIX:
        return 1
    if x == 46:  # two dots or more
        n = a
        while n < b and codes[n] == 46:
            n += 1
        return n - a if n - a > 1 else 0
    if x == 43:  # + unless a digit follows
        return 0 if a + 1 < b and flags[a + 1] & DIGIT else 1
    if x == 85 and a + 2 < b and codes[a + 1] == 83 and codes[a + 2] == 36:  # US$
        return 3
    if (x == 67 or x == 65) and a + 1 < b and codes[a + 1] == 36:  # C$, A$
        return 2
    return 0


@nb.njit(nogil=True, cache=True)
def _unit(codes, flags, a, b, units):  # type: ignore[no-untyped-def]
    packed, shift = np.uint64(0), np.uint64(0)
    for n in range(1, 6):
        if b - n <= a or codes[b - n] >= 4096:
            return 0
        packed |= np.uint64(codes[b - n]) << shift
        shift += np.uint64(12)
        if flags[b - n - 1] & DIGIT:
            for unit in units:
                if unit == packed:
                    return n
            return 0
    return 0


@nb.njit(nogil=True, cache=True)
def _dot_suffix(codes, flags, a, b):  # type: ignore[no-untyped-def]
    n = b
    while n > a and codes[n - 1] == 46:
        n -= 1
    if b - n > 1:
        return b - n
    if n == a:
        return 0
    if flags[n - 1] & ENDS_BEFORE_DOT:
        return 1
    if n - 2 < a:
        return 0
    y = codes[n - 1]
    is_degree = codes[n - 2] == 0xB0 and (y == 70 or y == 102 or y == 67 or y == 99 or y == 75 or y == 107)
    return 1 if is_degree or (flags[n - 1] & UPPER and flags[n - 2] & UPPER) else 0


@nb.njit(nogil=True, cache=True)
def _suffix(codes, flags, a, b, units):  # type: ignore[no-untyped-def]
    if a >= b:
        return 0
    x = codes[b - 1]
    if x == 46:
        return _dot_suffix(codes, flags, a, b)
    y = codes[b - 2] if b - 2 >= a else np.int32(0)
    if flags[b - 1] & SUFFIX:
        return 2 if x == 0x2026 and y == 0x2026 else 1
    if (x == 115 or x == 83) and (y == 39 or y == 0x2019):  # 's
        return 2
    if y == 0:
        return 0
    after_digit = flags[b - 2] & DIGIT
    if after_digit and (x == 43 or flags[b - 1] & CURRENCY):
        return 1
    if x == 36:
        if b - 4 >= a and codes[b - 3] == 85 and y == 83 and flags[b - 4] & DIGIT:  # US$
            return 3
        if b - 3 >= a and (y == 67 or y == 65) and flags[b - 3] & DIGIT:
            return 2
    return _unit(codes, flags, a, b, units)


@nb.njit(nogil=True, cache=True)
def _hyphen(codes, flags, i, b):  # type: ignore[no-untyped-def]
    x = codes[i]
    n = 1
    if x == 45:
        while n < 3 and i + n < b and codes[i + n] == 45:
            n += 1
    elif x == 0x2014 and i + 1 < b and codes[i + 1] == 0x2014:
        n = 2
    return n if i + n < b and flags[i + n] & ALPHA else 0


@nb.njit(nogil=True, cache=True)
def _infix(codes, flags, i, a, b):  # type: ignore[no-untyped-def]
    x = codes[i]
    if flags[i] & ICON or x == 0x2026:
        return 1
    if x == 46 and i + 1 < b and codes[i + 1] == 46:
        n = i
        while n < b and codes[n] == 46:
            n += 1
        return n - i
    if flags[i] & (ALPHA | DIGIT) or i == a or i + 1 >= b:
        return 0
    before, after = flags[i - 1], flags[i + 1]
    if (x == 43 or x == 45 or x == 42 or x == 94) and before & DIGIT and (after & DIGIT or codes[i + 1] == 45):
        return 1
    if x == 46:
        return 1 if before & (LOWER | QUOTE) and after & (UPPER | QUOTE) else 0
    if x == 44:
        return 1 if before & ALPHA and after & ALPHA else 0
    if not before & (ALPHA | DIGIT):
        return 0
    if x == 58 or x == 60 or x == 62 or x == 61 or x == 47:
        return 1 if after & ALPHA else 0
    if x == 45 or x == 126 or x == 0x2013 or x == 0x2014:
        return _hyphen(codes, flags, i, b)
    return 0


@nb.njit(nogil=True, cache=True)
def _ends_address(codes, flags, i, b):  # type: ignore[no-untyped-def]
    """Whether an address may end behind its host: at `i`, with a port, or with a path."""
    if i < b and codes[i] == 58:
        n = i + 1
        while n < b and flags[n] & DECIMAL:
            n += 1
        if not 2 <= n - i - 1 <= 5:
            return False
        i = n
    return i == b or codes[i] == 47 or codes[i] == 63 or codes[i] == 35


@nb.njit(nogil=True, cache=True)
def _is_public_ip(codes, flags, a, b):  # type: ignore[no-untyped-def]
    """Four numbers that are no private, local or reserved network."""
    numbers = np.zeros(4, np.int64)
    i = a
    for k in range(4):
        first = i
        while i < b and flags[i] & DIGIT and i - first < 4:
            numbers[k] = numbers[k] * 10 + codes[i] - 48
            i += 1
        if not 1 <= i - first <= 3 or numbers[k] > 255:
            return False
        if codes[first] == 48 and (k == 0 or k == 3 or i - first == 3):
            return False
        if k < 3:
            if i >= b or codes[i] != 46:
                return False
            i += 1
    x, y = numbers[0], numbers[1]
    if x > 223 or numbers[3] > 254 or x == 10 or x == 127 or (x == 169 and y == 254) or (x == 192 and y == 168):
        return False
    return not (x == 172 and 16 <= y <= 31) and _ends_address(codes, flags, i, b)


@nb.njit(nogil=True, cache=True)
def _is_host(codes, flags, a, b):  # type: ignore[no-untyped-def]
    """Whether an address without scheme and user starts at `a`: labels, each with its dot, and a top-level domain."""
    label = a
    i = a
    while i < b:
        x = codes[i]
        if x == 46:
            if not 1 <= i - label <= 64 or not flags[label] & HOST or not flags[i - 1] & HOST:
                return False
            n = i + 1
            while n < b and flags[n] & LOWER and n - i <= 64:
                n += 1
            if 2 <= n - i - 1 <= 63 and _ends_address(codes, flags, n, b):
                return True
            label = i + 1
        elif not (flags[i] & HOST or x == 95 or x == 45):
            return False
        i += 1
    return False


@nb.njit(nogil=True, cache=True)
def _is_address(codes, flags, a, b):  # type: ignore[no-untyped-def]
    start = a
    while start < b:
        if _is_host(codes, flags, start, b) or (flags[start] & DIGIT and _is_public_ip(codes, flags, start, b)):
            return True
        if start == a:  # a scheme
            i = a
            while i < b and (flags[i] & WORD or codes[i] == 43 or codes[i] == 45 or codes[i] == 46):
                i += 1
            if i - a >= 2 and i + 3 < b and codes[i] == 58 and codes[i + 1] == 47 and codes[i + 2] == 47:
                i += 3
                if _is_host(codes, flags, i, b) or _is_public_ip(codes, flags, i, b):
                    return True
            start += 1
        while start < b and codes[start] != 64:  # else behind the next @
            start += 1
        start += 1
    return False


@nb.njit(nogil=True, cache=True)
def _cut_inside(room, a, b, n):  # type: ignore[no-untyped-def]
    """Append the tokens of what has neither prefix nor suffix; how many there are then."""
    codes, flags, tokens = room.codes, room.flags, room.tokens
    has_dot = False
    for i in range(a, b):
        has_dot |= codes[i] == 46
    if not (has_dot and _is_address(codes, flags, a, b)):
        start = i = a
        while i < b:
            size = _infix(codes, flags, i, a, b)
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


@nb.njit(nogil=True, cache=True)
def _put_parts(room, a, number, tables, n):  # type: ignore[no-untyped-def]
    for k in range(tables.parts[number, 0]):
        size = tables.parts[number, k + 1]
        room.tokens[n, 0], room.tokens[n, 1] = a, a + size
        a += size
        n += 1
    return n


@nb.njit(nogil=True, cache=True)
def _cut(data, length, room, tables):  # type: ignore[no-untyped-def]
    """Exceptions, affixes, address, infixes: the tokens of a segment of `length` code points; how many there are."""
    codes, flags, at = room.codes, room.flags, room.places
    a, b, n, num_suffixes, last = 0, length, 0, 0, -1
    number = exception(data, at[a], at[b], tables)
    while number < 0 and a < b and b - a != last:
        last = b - a
        pre = _prefix(codes, flags, a, b)
        if pre:
            number = exception(data, at[a + pre], at[b], tables)
            if number >= 0:
                room.tokens[n, 0], room.tokens[n, 1] = a, a + pre
                n += 1
                a += pre
                break
        suf = _suffix(codes, flags, a + pre, b, tables.units)
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


@nb.njit(inline="always")
def _run_hash(hashes, i, size):  # type: ignore[no-untyped-def]
    h = _OFFSET
    for k in range(size):
        h = (h ^ hashes[i + k]) * _PRIME
    return finished(h)


@nb.njit(nogil=True, cache=True)
def _merge(data, n, room, tables):  # type: ignore[no-untyped-def]
    """Replace runs of tokens that are an exception: the longest first, then the leftmost; how many tokens are left."""
    tokens, hashes, hidden, chosen = room.tokens, room.hashes, room.hidden, room.suffixes
    found = 0
    for i in range(n):
        hashes[i] = hash_of(data, room.places[tokens[i, 0]], room.places[tokens[i, 1]])
        hidden[i] = False
    for size in range(min(tables.longest_merge, n), 1, -1):
        for i in range(n - size + 1):
            number = _number(_run_hash(hashes, i, size), tables.merges)
            if number < 0:
                continue
            if not hidden[i] and not hidden[i + size - 1]:
                chosen[found, 0], chosen[found, 1] = i << 8 | size, number
                found += 1
            hidden[i : i + size] = True
    if found == 0:
        return n
    order = np.argsort(chosen[:found, 0])
    replaced = np.empty((n * 3, 2), np.int64)
    m, i, k = 0, 0, 0
    while i < n:
        if k < found and chosen[order[k], 0] >> 8 == i:
            a, number = tokens[i, 0], chosen[order[k], 1]
            for part in range(tables.parts[number, 0]):
                replaced[m, 0], replaced[m, 1] = a, a + tables.parts[number, part + 1]
                a = replaced[m, 1]
                m += 1
            i += chosen[order[k], 0] & 255
            k += 1
        else:
            replaced[m, 0], replaced[m, 1] = tokens[i, 0], tokens[i, 1]
            m += 1
            i += 1
    tokens[:m] = replaced[:m]
    return m


@nb.njit(nogil=True, cache=True)
def decode(data, start, end, room, flags):  # type: ignore[no-untyped-def]
    """Spread the bytes of a segment into code points and their flags; how many there are."""
    n, i = 0, start
    while i < end:
        code, size = code_point(data, i)
        room.codes[n], room.flags[n], room.places[n] = code, flags[min(code, LAST)], i
        n += 1
        i += size
    room.places[n] = end
    return n


@nb.njit(nogil=True, cache=True)
def cut(data, length, room, tables):  # type: ignore[no-untyped-def]
    """Cut the decoded segment of `length` code points into `room.tokens`; how many tokens there are."""
    n = _cut(data, length, room, tables)
    return n if n < 2 else _merge(data, n, room, tables)


# ---------------------------------------------------------------- tables


def _table(pairs: dict[int, int]) -> NDArray[np.uint64]:
    size = 1 << (4 * max(len(pairs), 1)).bit_length()
    table = np.zeros((size, 2), np.uint64)
    for key, number in pairs.items():
        place = key >> 1 & size - 1
        while table[place, 0]:
            place = place + 1 & size - 1
        table[place] = key, number
    return table


def _hash(text: str) -> int:
    data = np.frombuffer(text.encode(), np.uint8)
    return int(hash_of(data, 0, len(data)))


def _packed(unit: str) -> int:
    return sum(ord(character) << 12 * place for place, character in enumerate(reversed(unit)))


def _merges(words: list[str], plain: Tables) -> tuple[dict[int, int], int]:
    """What each exception falls into by the rules without exceptions, where that is more than one token."""
    merges, longest = {}, 1
    for number, word in enumerate(words):
        data = np.frombuffer(word.encode(), np.uint8)
        room = scratch(len(data))
        n = _cut(data, decode(data, 0, len(data), room, plain.flags), room, plain)
        if n > 1:
            for i in range(n):
                room.hashes[i] = hash_of(data, room.places[room.tokens[i, 0]], room.places[room.tokens[i, 1]])
            merges[int(_run_hash(room.hashes, 0, n))] = number
            longest = max(longest, n)
    return merges, longest


@cache
def tables() -> Tables:
    """The tables of English, built once a process."""
    words = english.exceptions()
    parts = np.zeros((len(words), 4), np.int32)
    lengths = np.zeros(256, np.uint32)
    for number, (word, tokens) in enumerate(words.items()):
        parts[number, : len(tokens) + 1] = [len(tokens), *map(len, tokens)]
        lengths[word.encode()[0]] |= np.uint32(1 << len(word.encode()))
    plain = Tables(
        flags=english.characters(),
        lengths=np.zeros(256, np.uint32),
        exceptions=_table({}),
        parts=parts,
        merges=_table({}),
        longest_merge=1,
        units=np.array([_packed(unit) for unit in english.UNITS.split()], np.uint64),
        stop_words=np.array([_hash(word) for word in english.STOP_WORDS], np.uint64),
    )
    merges, longest = _merges(list(words), plain)
    known = _table({_hash(word): number for number, word in enumerate(words)})
    return plain._replace(lengths=lengths, exceptions=known, merges=_table(merges), longest_merge=longest)

"""Prefixes, suffixes and infixes: what spaCy's English tokenizer cuts off a segment, and where.

From `spacy/lang/punctuation.py` and `spacy/lang/en/punctuation.py` (MIT License, see `bmtool.data.quality.english`). A
segment comes as code points and their flags from `a` to `b`.
"""

from __future__ import annotations

import numpy as np

from bmtool.data.quality.english import (
    ALPHA,
    CURRENCY,
    DIGIT,
    ENDS_BEFORE_DOT,
    ICON,
    LOWER,
    PREFIX,
    QUOTE,
    SUFFIX,
    UPPER,
)
from bmtool.data.quality.native import compiled, spliced


@spliced
def prefix(codes, flags, a, b):  # type: ignore[no-untyped-def]
    """Code points of the prefix; 0: there is none."""
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


@compiled
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


@compiled
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


@spliced
def suffix(codes, flags, a, b, units):  # type: ignore[no-untyped-def]
    """Code points of the suffix, the longest that there is; 0: there is none."""
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


@compiled
def _hyphen(codes, flags, i, b):  # type: ignore[no-untyped-def]
    x = codes[i]
    n = 1
    if x == 45:
        while n < 3 and i + n < b and codes[i + n] == 45:
            n += 1
    elif x == 0x2014 and i + 1 < b and codes[i + 1] == 0x2014:
        n = 2
    return n if i + n < b and flags[i + n] & ALPHA else 0


@spliced
def infix(codes, flags, i, a, b):  # type: ignore[no-untyped-def]
    """Code points of the infix at `i`; 0: there is none."""
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

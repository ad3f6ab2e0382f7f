"""Tells web addresses from other segments with a dot, as spaCy does.

The rule is Diego Perini's (MIT License, https://gist.github.com/dperini/729294) with the changes of
`spacy/lang/tokenizer_exceptions.py` (MIT License, see `bmtool.data.quality.english`).
"""

from __future__ import annotations

import numpy as np

from bmtool.data.quality.english import DECIMAL, DIGIT, HOST, LOWER, WORD
from bmtool.data.quality.native import compiled


@compiled
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


@compiled
def _is_public_ip(codes, flags, a, b):  # type: ignore[no-untyped-def]
    """Four numbers that are no private, local or reserved network."""
    address, number, i = np.int64(0), np.int64(0), a
    for k in range(4):
        first, number = i, np.int64(0)
        while i < b and flags[i] & DIGIT and i - first < 4:
            number = number * 10 + codes[i] - 48
            i += 1
        if not 1 <= i - first <= 3 or number > 255:
            return False
        if codes[first] == 48 and (k == 0 or k == 3 or i - first == 3):
            return False
        address = address << 8 | number
        if k < 3:
            if i >= b or codes[i] != 46:
                return False
            i += 1
    x, y = address >> 24, address >> 16 & 255
    if x > 223 or number > 254 or x == 10 or x == 127 or (x == 169 and y == 254) or (x == 192 and y == 168):
        return False
    return not (x == 172 and 16 <= y <= 31) and _ends_address(codes, flags, i, b)


@compiled
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


@compiled
def is_address(codes, flags, a, b):  # type: ignore[no-untyped-def]
    """Whether all from `a` to `b` is an address: maybe a scheme or a user, then a host or public IP, a port, a path."""
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

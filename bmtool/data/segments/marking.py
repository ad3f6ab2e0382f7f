"""Texts that can't be split as they are: which ones, and the space that some tokenizers put in front."""

from __future__ import annotations

from bmtool.data.compiled import nb
from bmtool.data.segments.splitting import UNKNOWN, decoded


@nb.njit(nogil=True, cache=True)
def mark_risky(data, offsets, document, risky, marked):  # type: ignore[no-untyped-def]
    """Set `marked[n]` where text n, from `document` on, has a code point that `risky` (0x110000,) says 1 of.

    Returns:
        (document, code point that isn't known yet or -1).
    """
    while document < len(offsets) - 1:
        end = offsets[document + 1]
        place = offsets[document]
        while place < end and not marked[document]:
            code, size = decoded(data[place], data[place + 1], data[place + 2], data[place + 3])
            if risky[code] == UNKNOWN:
                return document, code
            marked[document] = risky[code]
            place += size
        document += 1
    return document, -1


@nb.njit(nogil=True, cache=True)
def prefix_space(data, offsets, out, places):  # type: ignore[no-untyped-def]
    """Copy texts into `out`, behind a space where they don't start with one; `places` are their offsets there."""
    written = 0
    for document in range(len(offsets) - 1):
        place, end = offsets[document], offsets[document + 1]
        if place < end and data[place] != 32:
            out[written] = 32
            written += 1
        out[written : written + end - place] = data[place:end]
        written += end - place
        places[document + 1] = written
    return written


@nb.njit(nogil=True, cache=True)
def mark_literals(data, offsets, first, second, marked):  # type: ignore[no-untyped-def]
    """Set `marked[n]` where text n may hold an added token: a byte of `first` (256,), then one of `second` (256,)."""
    for document in range(len(offsets) - 1):
        end = offsets[document + 1]
        for place in range(offsets[document], end):
            if first[data[place]] and (place + 1 == end or second[data[place + 1]]):
                marked[document] = 1
                break

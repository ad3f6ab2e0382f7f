"""Lines and paragraphs of a document, and which of them came before.

They are compared by 64-bit hashes of what stands in them. Equal hashes of different ones would need crafted text, and
change the verdict on that one document only.
"""

from __future__ import annotations

import numpy as np

from bmtool.data.quality.hashing import OFFSET, PRIME, finished
from bmtool.data.quality.native import compiled, spliced
from bmtool.data.quality.numbers import (
    CHARS,
    DUPLICATE_FULL_LINE_CHARS,
    DUPLICATE_LINE_CHARS,
    DUPLICATE_LINES,
    DUPLICATE_PARAGRAPH_CHARS,
    DUPLICATE_PARAGRAPHS,
    FULL_LINES,
    LINES,
    NEWLINES,
    PARAGRAPHS,
    SHORT_LINES,
    TERMINAL_LINES,
    is_unspaced,
)
from bmtool.data.quality.rows import ENDS_WITH_TERMINAL
from bmtool.data.quality.sets import is_seen

SHORT_LINE_CHARS = 30  # FineWeb


@spliced
def _count_line(h, chars, is_full, is_terminal, is_short, seen, mask, numbers):  # type: ignore[no-untyped-def]
    is_copy, _ = is_seen(h, seen, mask)
    numbers[LINES] += 1
    if is_copy:
        numbers[DUPLICATE_LINES] += 1
        numbers[DUPLICATE_LINE_CHARS] += chars
    if is_full:
        numbers[FULL_LINES] += 1
        numbers[TERMINAL_LINES] += is_terminal
        numbers[SHORT_LINES] += is_short
        if is_copy:
            numbers[DUPLICATE_FULL_LINE_CHARS] += chars


@compiled
def count_lines(data, begin, end, segments, briefs, num, runs, seen, mask, numbers):  # type: ignore[no-untyped-def]
    """Lines that end with a line feed: FineWeb's (those that aren't blank) and Gopher's repetition (not empty)."""
    seen.epoch[0] += 1
    line, line_chars, is_full, is_terminal, wide = OFFSET, 0, False, False, 0
    counts_wide = is_unspaced(numbers)
    all_chars = 0
    for r in range(num + 1):
        i = segments.ends[runs.firsts[r] - 1] if r > 0 else begin
        stop = segments.starts[runs.firsts[r]] if r < num else end
        while i < stop or (i == stop and r == num):
            if i < stop and data[i] != 10:
                line = (line ^ np.uint64(data[i])) * PRIME
                line_chars += (data[i] & 0xC0) != 0x80
                is_terminal = False
                i += 1
                continue
            if line_chars:
                is_short = line_chars + (wide if counts_wide else 0) <= SHORT_LINE_CHARS
                _count_line(finished(line), line_chars, is_full, is_terminal, is_short, seen, mask, numbers)
                all_chars += line_chars
                line, line_chars, is_full, is_terminal, wide = OFFSET, 0, False, False, 0
            numbers[NEWLINES] += i < stop
            i += 1
        if r < num:
            line = (line ^ runs.hashes[r]) * PRIME
            line_chars += runs.chars[r]
            last = briefs[segments.rows[runs.firsts[r + 1] - 1]]
            is_full, is_terminal = True, (last & ENDS_WITH_TERMINAL) != 0
            wide += runs.wide[r]
    # Gopher splits at runs of line feeds: one at either end leaves an empty string there
    if end > begin:
        num_empty = (data[begin] == 10) + (data[end - 1] == 10)
        numbers[LINES] += num_empty
        numbers[DUPLICATE_LINES] += num_empty == 2
    numbers[CHARS] = all_chars + numbers[NEWLINES]


@compiled
def count_paragraphs(data, segments, num, runs, seen, mask, numbers):  # type: ignore[no-untyped-def]
    """What stands between runs of two line feeds or more, white space at both ends of the text left out."""
    seen.epoch[0] += 1
    paragraph, chars = OFFSET, 0
    for r in range(num + 1):
        feeds = 0
        if r > 0:
            i = segments.ends[runs.firsts[r] - 1]
            stop = segments.starts[runs.firsts[r]] if r < num else i
            while i <= stop:
                x = data[i] if i < stop else np.uint8(0)
                if i < stop and x == 10:
                    feeds += 1
                else:
                    if feeds > 1 or (i == stop and r == num):
                        numbers[PARAGRAPHS] += 1
                        is_copy, _ = is_seen(finished(paragraph), seen, mask)
                        if is_copy:
                            numbers[DUPLICATE_PARAGRAPHS] += 1
                            numbers[DUPLICATE_PARAGRAPH_CHARS] += chars
                        paragraph, chars = OFFSET, 0
                    elif feeds == 1:
                        paragraph = (paragraph ^ np.uint64(10)) * PRIME
                        chars += 1
                    feeds = 0
                    if i < stop:
                        paragraph = (paragraph ^ np.uint64(x)) * PRIME
                        chars += (x & 0xC0) != 0x80
                i += 1
        if r < num:
            paragraph = (paragraph ^ runs.hashes[r]) * PRIME
            chars += runs.chars[r]
    if num == 0:
        numbers[PARAGRAPHS] = 1

"""Lines as C4 judges them, and the sentences in those that it keeps; bullets and ellipses for Gopher besides."""

from __future__ import annotations

import numpy as np

from bmtool.data.quality.native import compiled, inlined
from bmtool.data.quality.numbers import BULLETS, CURLY_BRACKET, ELLIPSIS_LINES, LOREM_IPSUM, PIECES, SENTENCES
from bmtool.data.quality.rows import (
    CLOSES_NOTE,
    ENDS_LINE,
    ENDS_SENTENCE,
    ENDS_WITH_ELLIPSIS,
    HAS_BRACE,
    IS_LONG,
    LEAVES_SENTENCE_ENDED,
    MAY_BE_CITATION,
    MAY_BE_POLICY,
    OPENS_NOTE,
    STARTS_SENTENCE,
    STARTS_WITH_BULLET,
)

MIN_LINE_WORDS = 3  # C4
MAX_NOTE_WORDS = 40


@compiled
def _find(data, a, b, phrases, phrase):  # type: ignore[no-untyped-def]
    size = np.int64(phrases[phrase, 0])
    for i in range(a, b - size + 1):
        k = 0
        while k < size:
            x = data[i + k]
            if (x | 32 if 65 <= x <= 90 else x) != phrases[phrase, k + 1]:
                break
            k += 1
        if k == size:
            return True
    return False


@compiled
def _line_flags(segment_rows, rows, lo, hi):  # type: ignore[no-untyped-def]
    flags = 0
    for k in range(lo, hi):
        flags |= rows[segment_rows[k]].flags
    return flags


@compiled
def _ends_well(segment_rows, rows, lo, hi):  # type: ignore[no-untyped-def]
    """Whether a line ends as C4 wants it; a note in full-width brackets behind the full stop doesn't count."""
    last = rows[segment_rows[hi - 1]].flags
    if last & ENDS_LINE or not last & CLOSES_NOTE:
        return (last & ENDS_LINE) != 0
    for k in range(hi - 2, max(lo, hi - MAX_NOTE_WORDS) - 1, -1):
        flags = rows[segment_rows[k]].flags
        if flags & OPENS_NOTE or flags & CLOSES_NOTE:
            return (flags & OPENS_NOTE) != 0
    return False


@compiled
def _sentences(data, lo, hi, segments, rows):  # type: ignore[no-untyped-def]
    """Sentences of a line: a word or a white space behind a mark that ends one starts the next.

    White space counts unless it is one blank: spaCy's tokenizer makes a token of it.
    """
    sentences, has_ended = 1, False
    for k in range(lo, hi):
        if has_ended and k > lo and segments.starts[k] > segments.ends[k - 1]:
            gap = segments.starts[k] - segments.ends[k - 1]
            if gap > 1 or data[segments.ends[k - 1]] != 32:
                sentences += 1
                has_ended = False
        row = rows[segments.rows[k]]
        sentences += row.sentences + (has_ended and (row.flags & STARTS_SENTENCE) != 0)
        if row.flags & (STARTS_SENTENCE | ENDS_SENTENCE):
            has_ended = (row.flags & LEAVES_SENTENCE_ENDED) != 0
    return sentences


@compiled
def _judge_line(data, lo, hi, segments, rows, flags, phrases, numbers):  # type: ignore[no-untyped-def]
    """C4 on a line that ends well and has enough words: add its sentences, unless it speaks of Javascript or cookies.

    Phrase 0 is `lorem ipsum`, 1 is `javascript`, the others are policies.
    """
    is_policy = False
    a, b = segments.starts[lo], segments.ends[hi - 1]
    if flags & MAY_BE_POLICY:
        if _find(data, a, b, phrases, 0):
            numbers[LOREM_IPSUM] = 1
        if _find(data, a, b, phrases, 1):
            return
        for p in range(2, len(phrases)):
            is_policy |= _find(data, a, b, phrases, p)
    if flags & HAS_BRACE:
        numbers[CURLY_BRACKET] = 1
    if not is_policy:
        numbers[SENTENCES] += _sentences(data, lo, hi, segments, rows)


@inlined
def _break_size(data, i):  # type: ignore[no-untyped-def]
    """Bytes of the line boundary (`str.splitlines`) at white space `i`; 0 where there is none."""
    x = data[i]
    if x < 128:
        if x == 13 and i + 1 < len(data) and data[i + 1] == 10:
            return 2
        return 1 if 10 <= x <= 13 or 28 <= x <= 30 else 0
    if x == 0xC2:
        return 2 if data[i + 1] == 0x85 else 0
    return 3 if x == 0xE2 and data[i + 1] == 0x80 and (data[i + 2] == 0xA8 or data[i + 2] == 0xA9) else 0


@compiled
def count_pieces(data, begin, end, lo, hi, segments, rows, phrases, waiting, num_waiting, document, numbers):  # type: ignore[no-untyped-def]
    """Lines as `str.splitlines` cuts them: bullets, ellipses, C4. Those that may hold citations are left for later."""
    first, is_open = lo, False
    for k in range(lo, hi + 1):
        i = segments.ends[k - 1] if k > lo else begin
        stop = segments.starts[k] if k < hi else end
        if k < hi and i + 1 == stop and data[i] == 32:
            is_open = True
            continue
        while i < stop or (i == stop and k == hi):
            size = _break_size(data, i) if i < stop else 1
            if size == 0:
                is_open = True
                i += 1
                continue
            if i == stop and not (is_open or first < k):  # nothing behind the last boundary
                break
            i += size
            numbers[PIECES] += 1
            is_open = False
            if first == k:
                continue
            start, last = rows[segments.rows[first]].flags, rows[segments.rows[k - 1]].flags
            numbers[BULLETS] += (start & STARTS_WITH_BULLET) != 0
            numbers[ELLIPSIS_LINES] += (last & ENDS_WITH_ELLIPSIS) != 0
            if k - first >= MIN_LINE_WORDS and last & (ENDS_LINE | CLOSES_NOTE | MAY_BE_CITATION):
                flags = _line_flags(segments.rows, rows, first, k)
                if flags & MAY_BE_CITATION and not flags & IS_LONG:
                    waiting[num_waiting, 0], waiting[num_waiting, 1] = segments.starts[first], segments.ends[k - 1]
                    waiting[num_waiting, 2] = document
                    num_waiting += 1
                elif not flags & IS_LONG and _ends_well(segments.rows, rows, first, k):
                    _judge_line(data, first, k, segments, rows, flags, phrases, numbers)
            first = k
    return num_waiting


@compiled
def judge_clean_lines(data, offsets, documents, segments, memo, phrases, out):  # type: ignore[no-untyped-def]
    """C4 on lines whose citations are gone, text by text; each adds to the numbers of its document."""
    for line in range(len(offsets) - 1):
        lo, hi = segments.firsts[line], segments.firsts[line + 1]
        if lo == hi or segments.ends[hi - 1] != offsets[line + 1]:
            continue  # nothing is left, or a blank is the last character
        if _ends_well(segments.rows, memo.rows, lo, hi):
            flags = _line_flags(segments.rows, memo.rows, lo, hi)
            _judge_line(data, lo, hi, segments, memo.rows, flags, phrases, out[documents[line]])

"""Lines as C4 judges them, and the sentences in those that it keeps; bullets and ellipses for Gopher besides."""

from __future__ import annotations

import numpy as np

from bmtool.data.quality.native import compiled, inlined, spliced
from bmtool.data.quality.numbers import BULLETS, CURLY_BRACKET, ELLIPSIS_LINES, LOREM_IPSUM, PIECES, SENTENCES
from bmtool.data.quality.rows import (
    CLOSES_NOTE,
    ENDS_LINE,
    ENDS_SENTENCE,
    ENDS_WITH_ELLIPSIS,
    FLAGS,
    HAS_BRACE,
    IS_LONG,
    IS_WORD,
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
def _line_flags(segment_rows, briefs, lo, hi):  # type: ignore[no-untyped-def]
    flags = 0
    for k in range(lo, hi):
        flags |= briefs[segment_rows[k]]
    return flags & FLAGS


@compiled
def _ends_well(segment_rows, briefs, lo, hi):  # type: ignore[no-untyped-def]
    """Whether a line ends as C4 wants it; a note in full-width brackets behind the full stop doesn't count."""
    last = briefs[segment_rows[hi - 1]]
    if last & ENDS_LINE or not last & CLOSES_NOTE:
        return (last & ENDS_LINE) != 0
    for k in range(hi - 2, max(lo, hi - MAX_NOTE_WORDS) - 1, -1):
        flags = briefs[segment_rows[k]]
        if flags & OPENS_NOTE or flags & CLOSES_NOTE:
            return (flags & OPENS_NOTE) != 0
    return False


@compiled
def _sentences(data, lo, hi, segments, memo):  # type: ignore[no-untyped-def]
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
        number = segments.rows[k]
        brief = memo.briefs[number]
        sentences += has_ended and (brief & STARTS_SENTENCE) != 0
        if not brief & IS_WORD:
            sentences += memo.rows[number].sentences
        if brief & (STARTS_SENTENCE | ENDS_SENTENCE):
            has_ended = (brief & LEAVES_SENTENCE_ENDED) != 0
    return sentences


@compiled
def _judge_line(data, lo, hi, segments, memo, flags, phrases, numbers):  # type: ignore[no-untyped-def]
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
        numbers[SENTENCES] += _sentences(data, lo, hi, segments, memo)


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


@spliced
def _judge_piece(data, lo, hi, segments, memo, flags, phrases, waiting, num_waiting, document, numbers):  # type: ignore[no-untyped-def]
    """C4 on a line of the segments `lo` to `hi`; how many lines wait then because they may hold citations."""
    last = memo.briefs[segments.rows[hi - 1]]
    if hi - lo < MIN_LINE_WORDS or flags & IS_LONG or not last & (ENDS_LINE | CLOSES_NOTE | MAY_BE_CITATION):
        return num_waiting
    if flags & MAY_BE_CITATION:
        waiting[num_waiting, 0], waiting[num_waiting, 1] = segments.starts[lo], segments.ends[hi - 1]
        waiting[num_waiting, 2] = document
        return num_waiting + 1
    if _ends_well(segments.rows, memo.briefs, lo, hi):
        _judge_line(data, lo, hi, segments, memo, flags, phrases, numbers)
    return num_waiting


@compiled
def count_pieces(data, begin, end, segments, memo, num, runs, phrases, waiting, num_waiting, document, numbers):  # type: ignore[no-untyped-def]
    """Lines as `str.splitlines` cuts them: bullets, ellipses, C4. Those that may hold citations are left for later."""
    first, flags, is_open = 0, 0, False
    for r in range(num + 1):
        i = segments.ends[runs.firsts[r] - 1] if r > 0 else begin
        stop = segments.starts[runs.firsts[r]] if r < num else end
        while i < stop or (i == stop and r == num):
            size = _break_size(data, i) if i < stop else 1
            if size == 0:
                is_open = True
                i += 1
                continue
            if i == stop and not (is_open or first < r):  # nothing behind the last boundary
                break
            i += size
            numbers[PIECES] += 1
            is_open = False
            if first == r:
                continue
            lo, hi = runs.firsts[first], runs.firsts[r]
            numbers[BULLETS] += (memo.briefs[segments.rows[lo]] & STARTS_WITH_BULLET) != 0
            numbers[ELLIPSIS_LINES] += (memo.briefs[segments.rows[hi - 1]] & ENDS_WITH_ELLIPSIS) != 0
            num_waiting = _judge_piece(
                data, lo, hi, segments, memo, flags, phrases, waiting, num_waiting, document, numbers
            )
            first, flags = r, 0
        if r < num:
            flags |= runs.flags[r]
    return num_waiting


@compiled
def judge_clean_lines(data, offsets, documents, segments, memo, phrases, out):  # type: ignore[no-untyped-def]
    """C4 on lines whose citations are gone, text by text; each adds to the numbers of its document."""
    for line in range(len(offsets) - 1):
        lo, hi = segments.firsts[line], segments.firsts[line + 1]
        if lo == hi or segments.ends[hi - 1] != offsets[line + 1]:
            continue  # nothing is left, or a blank is the last character
        if _ends_well(segments.rows, memo.briefs, lo, hi):
            flags = _line_flags(segments.rows, memo.briefs, lo, hi)
            _judge_line(data, lo, hi, segments, memo, flags, phrases, out[documents[line]])

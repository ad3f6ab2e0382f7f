"""The loops that turn the segments of a document into numbers: words, lines, paragraphs, sentences, repeated n-grams.

Each goes over the document's segments and the white space between them; bytes of words are not read again, what is
known of a segment stands in its row. One kernel a question, for readability: a document's segments stay in the cache.

Lines, paragraphs and n-grams are compared by 64-bit hashes (a document's lines by what their segments' hashes give).
Equal hashes of different ones would need crafted text, and change the verdict on that one document only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numba as nb
import numpy as np

from bmtool.data.quality.segments import (
    ENDS_LINE,
    ENDS_SENTENCE,
    ENDS_WITH_ELLIPSIS,
    ENDS_WITH_TERMINAL,
    HAS_BRACE,
    IS_LONG,
    IS_UNSPACED,
    IS_UNSTOPPED,
    IS_WIDE,
    LEAVES_SENTENCE_ENDED,
    MAY_BE_CITATION,
    MAY_BE_POLICY,
    STARTS_SENTENCE,
    STARTS_WITH_BULLET,
    STOP_WORD,
    Arrays,
    Segments,
)
from bmtool.data.quality.tokens import _OFFSET, _PRIME, finished

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Columns of the numbers of a document.
(
    CHARS, TOKENS, WORDS, UNSPACED, WIDE, UNSTOPPED, WORD_CHARS, ALPHA, HASHES, ELLIPSES, STOP_WORDS,
    PIECES, BULLETS, ELLIPSIS_LINES, SENTENCES, LOREM_IPSUM, CURLY_BRACKET,
    NEWLINES, LINES, DUPLICATE_LINES, DUPLICATE_LINE_CHARS,
    FULL_LINES, TERMINAL_LINES, SHORT_LINES, DUPLICATE_FULL_LINE_CHARS,
    PARAGRAPHS, DUPLICATE_PARAGRAPHS, DUPLICATE_PARAGRAPH_CHARS,
) = range(28)  # fmt: skip
TOP_GRAMS = 28  # three columns: characters in the most frequent 2-, 3-, 4-gram
DUPLICATE_GRAMS = 31  # six: characters in repeated 5- to 10-grams
NUM_COLUMNS = 37

SHORT_LINE_CHARS = 30  # FineWeb
MIN_LINE_WORDS = 3  # C4
MAX_SCALE = 4  # Characters a word in scripts without spaces, see `scale_of`.

_GRAM_KEYS = np.random.default_rng(5).integers(1, 2**63, 10 * MAX_SCALE, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


class Seen(NamedTuple):
    """A set of hashes that is emptied by counting on: a place counts only if it holds the current epoch."""

    keys: NDArray[np.uint64]
    """(2^m,) 40 bits of a hash, 24 bits of the epoch; the other 24 bits of the hash say where to look"""
    counts: NDArray[np.int32]
    epoch: NDArray[np.int64]
    """(1,)"""


class Room(NamedTuple):
    """Work space for the n-grams of one document of T tokens."""

    hashes: NDArray[np.uint64]
    places: NDArray[np.int64]
    """(T + 1,) characters before each token"""
    grams: NDArray[np.uint64]
    candidates: NDArray[np.int64]
    slots: NDArray[np.int64]


@nb.njit(inline="always")
def _seen(h, seen, mask):  # type: ignore[no-untyped-def]
    """(whether the hash was in the set, its place); it is in it afterwards."""
    epoch = np.uint64(seen.epoch[0])
    place = np.int64(h >> np.uint64(40)) & mask
    value = h << np.uint64(24) | epoch
    while seen.keys[place] != value and seen.keys[place] & np.uint64(0xFFFFFF) == epoch:
        place = (place + 1) & mask
    if seen.keys[place] == value:
        return True, place
    seen.keys[place] = value
    return False, place


@nb.njit(nogil=True, cache=True)
def _mask(num):  # type: ignore[no-untyped-def]
    """One less than the power of two that holds `num` entries half full."""
    size = 64
    while size < 2 * num:
        size *= 2
    return size - 1


@nb.njit(nogil=True, cache=True)
def count_words(firsts, segment_rows, rows, out):  # type: ignore[no-untyped-def]
    """Sums over the segments of each document."""
    for document in range(len(firsts) - 1):
        flags = 0
        tokens = words = unspaced = wide = unstopped = chars = alpha = hashes = ellipses = 0
        for k in range(firsts[document], firsts[document + 1]):
            row = rows[segment_rows[k]]
            tokens += row.tokens
            words += row.words
            chars += row.word_chars
            alpha += row.alpha
            hashes += row.hashes
            ellipses += row.ellipses
            unspaced += (row.flags & IS_UNSPACED) != 0
            wide += (row.flags & IS_WIDE) != 0
            unstopped += (row.flags & IS_UNSTOPPED) != 0
            flags |= row.flags
        stop_words = 0
        for bit in range(STOP_WORD, STOP_WORD + 8):
            stop_words += flags >> bit & 1
        numbers = out[document]
        numbers[TOKENS], numbers[WORDS], numbers[WORD_CHARS], numbers[ALPHA] = tokens, words, chars, alpha
        numbers[HASHES], numbers[ELLIPSES], numbers[STOP_WORDS] = hashes, ellipses, stop_words
        numbers[UNSPACED], numbers[WIDE], numbers[UNSTOPPED] = unspaced, wide, unstopped


@nb.njit(inline="always")
def _is_unspaced(numbers):  # type: ignore[no-untyped-def]
    return numbers[UNSPACED] * 2 > numbers[WORDS]


@nb.njit(inline="always")
def scale_of(numbers):  # type: ignore[no-untyped-def]
    """How many tokens of the document stand for one word: 1, or in scripts without spaces 2 (Han, kana) or 4."""
    if not _is_unspaced(numbers):
        return 1
    return 2 if numbers[WIDE] * 2 >= numbers[UNSPACED] else MAX_SCALE


@nb.njit(nogil=True, cache=True)
def _lines(data, begin, end, lo, hi, segments, rows, seen, mask, numbers):  # type: ignore[no-untyped-def]
    """Lines that end with a line feed: FineWeb's (those that aren't blank) and Gopher's repetition (not empty)."""
    seen.epoch[0] += 1
    line, line_chars, is_full, is_terminal, wide = _OFFSET, 0, False, False, 0
    counts_wide = _is_unspaced(numbers)
    all_chars = 0
    for k in range(lo, hi + 1):
        i = segments.ends[k - 1] if k > lo else begin
        stop = segments.starts[k] if k < hi else end
        while i < stop or (i == stop and k == hi):
            if i < stop and data[i] != 10:
                line = (line ^ np.uint64(data[i])) * _PRIME
                line_chars += (data[i] & 0xC0) != 0x80
                is_terminal = False
                i += 1
                continue
            if line_chars:
                is_copy, _ = _seen(finished(line), seen, mask)
                numbers[LINES] += 1
                if is_copy:
                    numbers[DUPLICATE_LINES] += 1
                    numbers[DUPLICATE_LINE_CHARS] += line_chars
                if is_full:
                    numbers[FULL_LINES] += 1
                    numbers[TERMINAL_LINES] += is_terminal
                    numbers[SHORT_LINES] += line_chars + (wide if counts_wide else 0) <= SHORT_LINE_CHARS
                    if is_copy:
                        numbers[DUPLICATE_FULL_LINE_CHARS] += line_chars
                all_chars += line_chars
                line, line_chars, is_full, is_terminal, wide = _OFFSET, 0, False, False, 0
            numbers[NEWLINES] += i < stop
            i += 1
        if k < hi:
            row = rows[segments.rows[k]]
            line = (line ^ row.hash) * _PRIME
            line_chars += row.chars
            is_full, is_terminal = True, (row.flags & ENDS_WITH_TERMINAL) != 0
            wide += (row.flags & IS_WIDE) != 0
    # Gopher splits at runs of line feeds: one at either end leaves an empty string there
    if end > begin:
        num_empty = (data[begin] == 10) + (data[end - 1] == 10)
        numbers[LINES] += num_empty
        numbers[DUPLICATE_LINES] += num_empty == 2
    numbers[CHARS] = all_chars + numbers[NEWLINES]


@nb.njit(nogil=True, cache=True)
def _paragraphs(data, lo, hi, segments, rows, seen, mask, numbers):  # type: ignore[no-untyped-def]
    """What stands between runs of two line feeds or more, white space at both ends of the text left out."""
    seen.epoch[0] += 1
    paragraph, chars = _OFFSET, 0
    for k in range(lo, hi + 1):
        feeds = 0
        if k > lo:
            i = segments.ends[k - 1]
            stop = segments.starts[k] if k < hi else i
            while i <= stop:
                x = data[i] if i < stop else np.uint8(0)
                if i < stop and x == 10:
                    feeds += 1
                else:
                    if feeds > 1 or (i == stop and k == hi):
                        numbers[PARAGRAPHS] += 1
                        is_copy, _ = _seen(finished(paragraph), seen, mask)
                        if is_copy:
                            numbers[DUPLICATE_PARAGRAPHS] += 1
                            numbers[DUPLICATE_PARAGRAPH_CHARS] += chars
                        paragraph, chars = _OFFSET, 0
                    elif feeds == 1:
                        paragraph = (paragraph ^ np.uint64(10)) * _PRIME
                        chars += 1
                    feeds = 0
                    if i < stop:
                        paragraph = (paragraph ^ np.uint64(x)) * _PRIME
                        chars += (x & 0xC0) != 0x80
                i += 1
        if k < hi:
            row = rows[segments.rows[k]]
            paragraph = (paragraph ^ row.hash) * _PRIME
            chars += row.chars
    if hi == lo:
        numbers[PARAGRAPHS] = 1


@nb.njit(nogil=True, cache=True)
def _find(data, a, b, phrase):  # type: ignore[no-untyped-def]
    for i in range(a, b - len(phrase) + 1):
        k = 0
        while k < len(phrase):
            x = data[i + k]
            if (x | 32 if 65 <= x <= 90 else x) != phrase[k]:
                break
            k += 1
        if k == len(phrase):
            return True
    return False


@nb.njit(nogil=True, cache=True)
def _line_flags(segment_rows, rows, lo, hi):  # type: ignore[no-untyped-def]
    flags = 0
    for k in range(lo, hi):
        flags |= rows[segment_rows[k]].flags
    return flags


@nb.njit(nogil=True, cache=True)
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


@nb.njit(nogil=True, cache=True)
def _judge_line(data, lo, hi, segments, rows, flags, phrases, numbers):  # type: ignore[no-untyped-def]
    """C4 on a line that ends well and has enough words: add its sentences, unless it speaks of Javascript or cookies.

    Phrase 0 is `lorem ipsum`, 1 is `javascript`, the others are policies.
    """
    is_policy = False
    a, b = segments.starts[lo], segments.ends[hi - 1]
    if flags & MAY_BE_POLICY:
        if _find(data, a, b, phrases[0, 1 : 1 + phrases[0, 0]]):
            numbers[LOREM_IPSUM] = 1
        if _find(data, a, b, phrases[1, 1 : 1 + phrases[1, 0]]):
            return
        for p in range(2, len(phrases)):
            is_policy |= _find(data, a, b, phrases[p, 1 : 1 + phrases[p, 0]])
    if flags & HAS_BRACE:
        numbers[CURLY_BRACKET] = 1
    if not is_policy:
        numbers[SENTENCES] += _sentences(data, lo, hi, segments, rows)


@nb.njit(inline="always")
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


@nb.njit(nogil=True, cache=True)
def _pieces(data, begin, end, lo, hi, segments, rows, phrases, waiting, num_waiting, document, numbers):  # type: ignore[no-untyped-def]
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
            if k - first >= MIN_LINE_WORDS and last & (ENDS_LINE | MAY_BE_CITATION):
                flags = _line_flags(segments.rows, rows, first, k)
                if flags & MAY_BE_CITATION and not flags & IS_LONG:
                    waiting[num_waiting, 0], waiting[num_waiting, 1] = segments.starts[first], segments.ends[k - 1]
                    waiting[num_waiting, 2] = document
                    num_waiting += 1
                elif last & ENDS_LINE and not flags & IS_LONG:
                    _judge_line(data, first, k, segments, rows, flags, phrases, numbers)
            first = k
    return num_waiting


@nb.njit(nogil=True, cache=True)
def _tokens(lo, hi, segment_rows, memo, room):  # type: ignore[no-untyped-def]
    n, chars = 0, np.int64(0)
    for k in range(lo, hi):
        row = memo.rows[segment_rows[k]]
        for token in range(row.first, row.first + row.tokens):
            room.hashes[n], room.places[n] = memo.token_hashes[token], chars
            chars += memo.token_chars[token]
            n += 1
    room.places[n] = chars
    return n


@nb.njit(nogil=True, cache=True)
def _widen(m, start, width, n, room, keys):  # type: ignore[no-untyped-def]
    """Make grams of `start` tokens at the candidates into grams of `width`; how many candidates have room for that."""
    while m and room.candidates[m - 1] + width > n:
        m -= 1
    for k in range(m):
        t = room.candidates[k]
        for j in range(start, width):
            room.grams[t] += room.hashes[t + j] * keys[j]
    return m


@nb.njit(nogil=True, cache=True)
def _top_grams(n, scale, room, seen, mask, keys, numbers):  # type: ignore[no-untyped-def]
    """Characters in the most frequent 2-, 3-, 4-gram (blanks between its words included); the first of equals counts.

    A gram can repeat only where a shorter one does: what is left at the end are the places where 4-grams repeat.
    """
    m = n
    for t in range(n):
        room.candidates[t], room.grams[t] = t, np.uint64(0)
    for size in range(2, 5):
        width = size * scale
        if n < width:
            return 0
        m = _widen(m, width - scale if size > 2 else 0, width, n, room, keys)
        seen.epoch[0] += 1
        best, top = 1, 0
        for k in range(m):
            is_copy, slot = _seen(finished(room.grams[room.candidates[k]]), seen, mask)
            room.slots[k] = slot
            seen.counts[slot] = seen.counts[slot] + 1 if is_copy else 1
            best = max(best, seen.counts[slot])
        kept, is_found = 0, best == 1
        for k in range(m):
            count = seen.counts[room.slots[k]]
            if count > 1:
                if count == best and not is_found:
                    top, is_found = room.candidates[k], True
                room.candidates[kept] = room.candidates[k]
                kept += 1
        m = kept
        chars = room.places[top + width] - room.places[top] + (size - 1 if scale == 1 else 0)
        numbers[TOP_GRAMS + size - 2] = best * chars
    return m


@nb.njit(nogil=True, cache=True)
def _duplicate_grams(n, m, scale, room, seen, mask, keys, numbers):  # type: ignore[no-untyped-def]
    """Characters in 5- to 10-grams that came before, each counted once: behind a repeated one the search goes on."""
    for size in range(5, 11):
        width = size * scale
        m = _widen(m, width - scale, width, n, room, keys)
        seen.epoch[0] += 1
        chars, after = 0, 0
        for k in range(m):
            t = room.candidates[k]
            if t >= after:
                is_copy, _ = _seen(finished(room.grams[t]), seen, mask)
                if is_copy:
                    chars += room.places[t + width] - room.places[t]
                    after = t + width
        numbers[DUPLICATE_GRAMS + size - 5] = chars
        if chars == 0:
            return


@nb.njit(nogil=True, cache=True)
def measure_documents(data, offsets, segments, memo, seen, room, phrases, keys, waiting, out):  # type: ignore[no-untyped-def]
    """Fill `out` for each document; `waiting` gets (start, end, document) of lines with citations: how many."""
    num_waiting = 0
    for document in range(len(offsets) - 1):
        begin, end = offsets[document], offsets[document + 1]
        lo, hi = segments.firsts[document], segments.firsts[document + 1]
        numbers = out[document]
        mask = _mask(max(np.int64(numbers[TOKENS]), segments.newlines[document] + 1))
        _lines(data, begin, end, lo, hi, segments, memo.rows, seen, mask, numbers)
        _paragraphs(data, lo, hi, segments, memo.rows, seen, mask, numbers)
        num_waiting = _pieces(
            data, begin, end, lo, hi, segments, memo.rows, phrases, waiting, num_waiting, document, numbers
        )
        n = _tokens(lo, hi, segments.rows, memo, room)
        scale = scale_of(numbers)
        m = _top_grams(n, scale, room, seen, mask, keys, numbers)
        if m:
            _duplicate_grams(n, m, scale, room, seen, mask, keys, numbers)
    return num_waiting


@nb.njit(nogil=True, cache=True)
def judge_clean_lines(data, offsets, documents, segments, memo, phrases, out):  # type: ignore[no-untyped-def]
    """C4 on lines whose citations are gone, text by text; each adds to the numbers of its document."""
    for line in range(len(offsets) - 1):
        lo, hi = segments.firsts[line], segments.firsts[line + 1]
        if lo == hi or segments.ends[hi - 1] != offsets[line + 1]:
            continue  # nothing is left, or a blank is the last character
        if memo.rows[segments.rows[hi - 1]].flags & ENDS_LINE:
            flags = _line_flags(segments.rows, memo.rows, lo, hi)
            _judge_line(data, lo, hi, segments, memo.rows, flags, phrases, out[documents[line]])


def gram_keys() -> NDArray[np.uint64]:
    """Odd factors, one a place in an n-gram."""
    return _GRAM_KEYS


__all__ = ["Arrays", "Room", "Seen", "Segments", "count_words", "gram_keys", "judge_clean_lines", "measure_documents"]

"""The loop over documents that fills their numbers: words, lines, paragraphs, sentences, repeated n-grams.

Each of these goes over the document's segments and the white space between them; bytes of words are not read again,
what is known of a segment stands in its row. One kernel a question, for readability: a document's segments stay in the
cache.
"""

from __future__ import annotations

import numpy as np

from bmtool.data.quality.grams import count_duplicate_grams, count_top_grams, take_tokens
from bmtool.data.quality.lines import count_lines, count_paragraphs
from bmtool.data.quality.native import compiled
from bmtool.data.quality.numbers import (
    ALPHA,
    ELLIPSES,
    HASHES,
    STOP_WORDS,
    TOKENS,
    UNSPACED,
    UNSTOPPED,
    WIDE,
    WORD_CHARS,
    WORDS,
    scale_of,
)
from bmtool.data.quality.rows import IS_UNSPACED, IS_UNSTOPPED, IS_WIDE, STOP_WORD
from bmtool.data.quality.sentences import count_pieces
from bmtool.data.quality.sets import mask_of


@compiled
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


@compiled
def measure_documents(data, offsets, segments, memo, seen, room, phrases, keys, waiting, out):  # type: ignore[no-untyped-def]
    """Fill `out` for each document; `waiting` gets (start, end, document) of lines with citations: how many."""
    num_waiting = 0
    for document in range(len(offsets) - 1):
        begin, end = offsets[document], offsets[document + 1]
        lo, hi = segments.firsts[document], segments.firsts[document + 1]
        numbers = out[document]
        mask = mask_of(max(np.int64(numbers[TOKENS]), segments.newlines[document] + 1))
        count_lines(data, begin, end, lo, hi, segments, memo.rows, seen, mask, numbers)
        count_paragraphs(data, lo, hi, segments, memo.rows, seen, mask, numbers)
        num_waiting = count_pieces(
            data, begin, end, lo, hi, segments, memo.rows, phrases, waiting, num_waiting, document, numbers
        )
        n = take_tokens(lo, hi, segments.rows, memo, room)
        scale = scale_of(numbers)
        m = count_top_grams(n, scale, room, seen, mask, keys, numbers)
        if m:
            count_duplicate_grams(n, m, scale, room, seen, mask, keys, numbers)
    return num_waiting

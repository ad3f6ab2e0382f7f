"""The loop over documents that fills their numbers: words, lines, paragraphs, sentences, repeated n-grams.

Two kernels go over a document's segments, the others over the runs and tokens that these leave and the white space
between runs; bytes of words are not read again. One kernel a question, for readability: a document stays in the cache.
"""

from __future__ import annotations

from bmtool.data.quality.grams import count_duplicate_grams, count_top_grams
from bmtool.data.quality.lines import count_lines, count_paragraphs
from bmtool.data.quality.native import compiled
from bmtool.data.quality.numbers import scale_of
from bmtool.data.quality.runs import join_segments, take_tokens
from bmtool.data.quality.sentences import count_pieces
from bmtool.data.quality.sets import mask_of


@compiled
def count_tokens(segments, memo):  # type: ignore[no-untyped-def]
    """How many tokens the segments of all texts have."""
    tokens = 0
    for k in range(segments.firsts[-1]):
        tokens += memo.rows[segments.rows[k]].tokens
    return tokens


@compiled
def measure_documents(data, offsets, segments, memo, seen, runs, room, phrases, keys, waiting, out):  # type: ignore[no-untyped-def]
    """Fill `out` for each document; `waiting` gets (start, end, document) of lines with citations: how many."""
    num_waiting = 0
    for document in range(len(offsets) - 1):
        begin, end = offsets[document], offsets[document + 1]
        lo, hi = segments.firsts[document], segments.firsts[document + 1]
        numbers = out[document]
        num = join_segments(data, lo, hi, segments, memo.briefs, runs, numbers)
        n = take_tokens(lo, hi, segments, memo, room, numbers)
        mask = mask_of(max(n, segments.newlines[document] + 1))
        count_lines(data, begin, end, segments, memo.briefs, num, runs, seen, mask, numbers)
        count_paragraphs(data, segments, num, runs, seen, mask, numbers)
        num_waiting = count_pieces(
            data, begin, end, segments, memo, num, runs, phrases, waiting, num_waiting, document, numbers
        )
        scale = scale_of(numbers)
        m = count_top_grams(n, scale, room, seen, mask, keys, numbers)
        if m:
            count_duplicate_grams(n, m, scale, room, seen, mask, keys, numbers)
    return num_waiting

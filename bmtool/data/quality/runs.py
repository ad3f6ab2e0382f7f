"""Sums up the segments of a document, and joins those with one blank or nothing between them to runs.

Most of what is asked of lines, paragraphs and sentences is known of a run at once, and about ten segments are a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bmtool.data.quality.hashing import OFFSET, PRIME
from bmtool.data.quality.native import compiled, inlined
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
)
from bmtool.data.quality.rows import CHARS, FLAGS, IS_UNSPACED, IS_UNSTOPPED, IS_WIDE, IS_WORD, STOP_WORD

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Runs(NamedTuple):
    """The runs of one document. No line, paragraph or sentence of C4 ends inside one."""

    firsts: NDArray[np.int64]
    """(R + 1,) the first segment of each"""
    hashes: NDArray[np.uint64]
    chars: NDArray[np.int64]
    """blanks included"""
    wide: NDArray[np.int64]
    """characters of Han and kana"""
    flags: NDArray[np.int64]
    """of any of its segments"""


def runs_of(num_segments: int) -> Runs:
    """Room for the runs of a document of so many segments."""
    firsts, chars, wide, flags = (np.empty(num_segments + 1, np.int64) for _ in range(4))
    return Runs(firsts, np.empty(num_segments + 1, np.uint64), chars, wide, flags)


@inlined
def _close(runs, num, h, chars, wide, flags):  # type: ignore[no-untyped-def]
    runs.hashes[num], runs.chars[num], runs.wide[num], runs.flags[num] = h, chars, wide, flags


@compiled
def join_segments(data, lo, hi, segments, briefs, runs, numbers):  # type: ignore[no-untyped-def]
    """Fill `runs` from the segments `lo` to `hi`, and sum up what their briefs say; how many runs there are."""
    starts, ends = segments.starts, segments.ends
    num, flags, run_flags, wide, chars = 0, 0, 0, 0, 0
    unspaced = all_wide = unstopped = 0
    h = OFFSET
    runs.firsts[0] = lo
    for k in range(lo, hi):
        brief = briefs[segments.rows[k]]
        if k > lo:
            gap = starts[k] - ends[k - 1]
            if gap > 1 or (gap == 1 and data[ends[k - 1]] != 32):
                _close(runs, num, h, chars, wide, run_flags)
                num += 1
                flags |= run_flags
                all_wide += wide
                h, chars, wide, run_flags = OFFSET, 0, 0, 0
                runs.firsts[num] = k
            else:
                h += np.uint64(gap)
                chars += gap
        h = (h ^ segments.hashes[k]) * PRIME
        chars += brief >> CHARS
        run_flags |= brief & FLAGS
        if brief & IS_UNSPACED:
            unspaced += 1
            wide += (brief & IS_WIDE) != 0
            unstopped += (brief & IS_UNSTOPPED) != 0
    if hi > lo:
        _close(runs, num, h, chars, wide, run_flags)
        num += 1
    runs.firsts[num] = hi
    flags |= run_flags
    stop_words = 0
    for bit in range(STOP_WORD, STOP_WORD + 8):
        stop_words += flags >> bit & 1
    numbers[UNSPACED], numbers[WIDE], numbers[UNSTOPPED] = unspaced, all_wide + wide, unstopped
    numbers[STOP_WORDS] = stop_words
    return num


@compiled
def take_tokens(lo, hi, segments, memo, room, numbers):  # type: ignore[no-untyped-def]
    """Put the tokens of the segments `lo` to `hi` into `room`, and sum them up; how many there are."""
    n = plain = words = alpha = hashes = ellipses = 0
    chars, word_chars = 0, 0
    for k in range(lo, hi):
        number = segments.rows[k]
        brief = memo.briefs[number]
        if brief & IS_WORD:
            room.hashes[n], room.places[n] = segments.hashes[k], chars
            plain += 1
            word_chars += brief >> CHARS
            n += 1
        else:
            row = memo.rows[number]
            words += row.words
            alpha += row.alpha
            hashes += row.hashes
            ellipses += row.ellipses
            word_chars += row.word_chars
            place = chars
            for token in range(row.first, row.first + row.tokens):
                room.hashes[n], room.places[n] = memo.token_hashes[token], place
                place += memo.token_chars[token]
                n += 1
        chars += brief >> CHARS
    room.places[n] = chars
    numbers[TOKENS], numbers[WORDS], numbers[WORD_CHARS], numbers[ALPHA] = n, words + plain, word_chars, alpha + plain
    numbers[HASHES], numbers[ELLIPSES] = hashes, ellipses
    return n

"""Describes new segments: cuts each into words, and sums up what the filters want to know of it."""

from __future__ import annotations

import numpy as np

from bmtool.data.quality.english import CLOSER, DECIMAL, LETTER, PUNCTUATION, SYMBOL, TERMINAL, UNSPACED
from bmtool.data.quality.native import compiled, spliced
from bmtool.data.quality.rows import (
    CHARS,
    CLOSES_NOTE,
    ENDS_LINE,
    ENDS_SENTENCE,
    ENDS_WITH_ELLIPSIS,
    ENDS_WITH_TERMINAL,
    HAS_BRACE,
    IS_LONG,
    IS_UNSPACED,
    IS_UNSTOPPED,
    IS_WIDE,
    IS_WORD,
    LEAVES_SENTENCE_ENDED,
    MAY_BE_CITATION,
    MAY_BE_POLICY,
    NUM_DESCRIBED,
    NUM_ROWS,
    NUM_TOKENS,
    OPENS_NOTE,
    STARTS_SENTENCE,
    STARTS_WITH_BULLET,
    STOP_WORD,
)
from bmtool.data.quality.tokens import cut, decode, exception, hash_tokens

#: Five letters of each word that C4's phrases hold, as they come in `_flags_of`.
_JAVAS, _IPSUM, _COOKI, _POLIC, _TERMS = (
    int.from_bytes(letters, "big") for letters in (b"javas", b"ipsum", b"cooki", b"polic", b"terms")
)


@spliced
def _may_be_citation(data, flags, places, n):  # type: ignore[no-untyped-def]
    """Whether a decoded segment holds `[1]` or the like, `[edit]`, or a part of `[citation needed]`."""
    for i in range(n - 1):
        if data[places[i]] == 100 and data[places[i + 1]] == 93:  # d]
            return True
        if data[places[i]] != 91:
            continue
        k = i + 1
        while k < n and flags[k] & DECIMAL:
            k += 1
        x = data[places[k]] if k < n else np.uint8(0)
        if x == 93 or (k == i + 1 and (x == 101 or x == 99)):  # ], or e or c at once
            return True
    return False


@compiled
def _ends_with_stop(codes, flags, n):  # type: ignore[no-untyped-def]
    """Whether a full stop of another script than ours is last, closing quotes and brackets left out."""
    while n > 1 and flags[n - 1] & CLOSER:
        n -= 1
    return n > 0 and codes[n - 1] >= 128 and (flags[n - 1] & TERMINAL) != 0


@spliced
def _ends_line(codes, flags, n):  # type: ignore[no-untyped-def]
    """Whether a line that ends with this segment ends well for C4, in any script."""
    x = codes[n - 1]
    if x == 46:
        return not (n > 2 and codes[n - 2] == 46 and codes[n - 3] == 46)
    if x == 63 or x == 33 or x == 34 or x == 39:
        return True
    if 0xE00 <= x < 0xF00:  # Thai and Lao have no full stop
        return True
    return _ends_with_stop(codes, flags, n)


@spliced
def _flags_of(data, row, room, n):  # type: ignore[no-untyped-def]
    """The flags of a decoded segment that don't depend on its tokens; sets `hashes` and `ellipses` of its row."""
    codes, flags = room.codes, room.flags
    found, dots, hashes, ellipses, last_five = 0, 0, 0, 0, 0
    for i in range(n):
        x = codes[i]
        last_five = (last_five << 8 | (x | 32) & 255) & 0xFFFFFFFFFF
        if last_five in (_JAVAS, _IPSUM, _COOKI, _POLIC, _TERMS):
            found |= MAY_BE_POLICY
        hashes += x == 35
        dots = dots + 1 if x == 46 else 0
        if x == 0x2026 or dots == 3:
            ellipses += 1
            dots = 0
        if x == 123:
            found |= HAS_BRACE
    row.hashes, row.ellipses = hashes, ellipses
    if codes[0] == 45 or codes[0] == 0x2022:
        found |= STARTS_WITH_BULLET
    is_dots = n > 2 and codes[n - 1] == 46 and codes[n - 2] == 46 and codes[n - 3] == 46
    if is_dots or codes[n - 1] == 0x2026:
        found |= ENDS_WITH_ELLIPSIS
    if flags[n - 1] & TERMINAL:
        found |= ENDS_WITH_TERMINAL
    if _ends_line(codes, flags, n):
        found |= ENDS_LINE
    if codes[n - 1] == 0xFF08 and _ends_with_stop(codes, flags, n - 1):
        found |= OPENS_NOTE
    if codes[n - 1] == 0xFF09:
        found |= CLOSES_NOTE
    if n > 1000:
        found |= IS_LONG
    if _may_be_citation(data, flags, room.places, n):
        found |= MAY_BE_CITATION
    if n == 1 and flags[0] & UNSPACED:
        found |= IS_UNSPACED
        if codes[0] >= 0x2E80:
            found |= IS_WIDE
        if 0xE00 <= codes[0] < 0xF00:
            found |= IS_UNSTOPPED
    return found


@spliced
def _sum_up(row, room, num_tokens, memo, stop_words):  # type: ignore[no-untyped-def]
    """Store the tokens of a segment and what follows from them."""
    place, has_ended = row.first, False
    for k in range(num_tokens):
        a, b = room.tokens[k, 0], room.tokens[k, 1]
        every, some, is_word = -1, 0, False
        for i in range(a, b):
            every &= room.flags[i]
            some |= room.flags[i]
            is_word |= (room.flags[i] & SYMBOL) == 0
        h = room.hashes[k]
        memo.token_hashes[place + k], memo.token_chars[place + k] = h, b - a
        if is_word:
            row.words += 1
            row.word_chars += b - a
        # a vowel sign of Thai is no letter to Unicode, but here each character is a word
        row.alpha += (some & LETTER) != 0 or (some & UNSPACED and not some & DECIMAL)
        if 2 <= b - a <= 4:
            for w in range(len(stop_words)):
                if stop_words[w] == h:
                    row.flags |= 1 << (STOP_WORD + w)
        if b - a == 1 and every & TERMINAL:
            if not row.flags & (STARTS_SENTENCE | ENDS_SENTENCE):
                row.flags |= ENDS_SENTENCE
            has_ended = True
        elif not every & PUNCTUATION:
            row.sentences += has_ended
            if not row.flags & (STARTS_SENTENCE | ENDS_SENTENCE):
                row.flags |= STARTS_SENTENCE
            has_ended = False
    if has_ended:
        row.flags |= LEAVES_SENTENCE_ENDED


@spliced
def _brief(row):  # type: ignore[no-untyped-def]
    """The flags and characters of a described row."""
    is_one = row.tokens == 1 and row.words == 1 and row.alpha == 1 and row.word_chars == row.chars
    is_word = is_one and row.hashes == 0 and row.ellipses == 0 and row.sentences == 0
    return np.int64(row.chars) << CHARS | row.flags | (IS_WORD if is_word else 0)


@compiled
def describe_new(memo, tables, room):  # type: ignore[no-untyped-def]
    """Describe the rows that were added."""
    counts = memo.counts
    for number in range(counts[NUM_DESCRIBED], counts[NUM_ROWS]):
        row = memo.rows[number]
        a, b = row.text, row.text + row.size
        n = decode(memo.text, a, b, room, tables.flags)
        row.chars, row.first, row.words, row.word_chars, row.alpha, row.sentences = n, counts[NUM_TOKENS], 0, 0, 0, 0
        row.flags = _flags_of(memo.text, row, room, n)
        every = -1
        for i in range(n):
            every &= room.flags[i]
        if every & LETTER and n == row.size and exception(memo.text, a, b, tables) < 0:  # ASCII letters: one word
            room.tokens[0, 0], room.tokens[0, 1], row.tokens = 0, n, 1
            hash_tokens(memo.text, 1, room)
        else:
            row.tokens = cut(memo.text, n, room, tables)
        _sum_up(row, room, row.tokens, memo, tables.stop_words)
        memo.briefs[number] = _brief(row)
        counts[NUM_TOKENS] += row.tokens
    counts[NUM_DESCRIBED] = counts[NUM_ROWS]

"""Where segments of text start and end: one kernel for each way in which tokenizers split before they tokenize.

All kernels work alike. They go on at byte `place` of text `document` and write (start, length) of each segment, and a
length of 0 behind the last of each text, until the arrays are full, the texts are through, or a code point comes up
whose class isn't known yet. They return (document, place, segments written, that code point or -1).

`data` has a few bytes more than the texts, which may be read. Texts with `skipped[document]` get no segments. What
separates segments is judged by `classes` alone, which are probed from the tokenizer itself.
"""

from __future__ import annotations

import numpy as np

from bmtool.data.compiled import nb

#: Classes of code points. UNKNOWN: not probed yet.
UNKNOWN = 255

#: For `split_bert`: part of a word, between words, a segment of its own.
WORD, SPACE, ALONE = 0, 1, 2

#: For `split_gpt2`, after its regular expression.
OTHER, LETTER, NUMBER, BLANK = 0, 1, 2, 3


@nb.njit(inline="always")
def decoded(x, a, b, c):  # type: ignore[no-untyped-def]
    """(code point, its bytes) from the four bytes at a place of UTF-8.

    Bytes, and not the array they are in: an array that is handed to a function has its references counted, at 5 ns.
    """
    code = np.int32(x)
    if code < 0x80:
        return code, 1
    code = (code & 31) << 6 | np.int32(a & 63)
    if x < 0xE0:
        return code, 2
    code = (code & 0x3FF) << 6 | np.int32(b & 63)
    if x < 0xF0:
        return code, 3
    return (code & 0x7FFF) << 6 | np.int32(c & 63), 4


@nb.njit(nogil=True, cache=True)
def split_bert(data, offsets, skipped, document, place, classes, starts, lengths):  # type: ignore[no-untyped-def]
    """Runs of WORD, and each ALONE by itself."""
    num = 0
    while document < len(offsets) - 1:
        end = offsets[document + 1]
        if skipped[document]:
            place = end
        while place < end:
            if num + 3 > len(starts):
                return document, place, num, -1
            first = place
            kind = np.uint8(WORD)
            size = 1
            while place < end:
                x = data[place]
                size = 1
                if x < 0x80:
                    kind = classes[x]
                else:
                    code, size = decoded(x, data[place + 1], data[place + 2], data[place + 3])
                    kind = classes[code]
                    if kind == UNKNOWN:
                        return document, first, num, code
                if kind != WORD:
                    break
                place += size
            if place > first:
                starts[num] = first
                lengths[num] = place - first
                num += 1
            if place < end:
                if kind == ALONE:
                    starts[num] = place
                    lengths[num] = size
                    num += 1
                place += size
        if num >= len(starts):
            return document, place, num, -1
        lengths[num] = 0
        num += 1
        document += 1
    return document, place, num, -1


@nb.njit(inline="always")
def _contraction(x, y):  # type: ignore[no-untyped-def]
    """Bytes of 's 't 'm 'd 're 've 'll, from the two bytes behind the apostrophe; else 0."""
    if x == 115 or x == 116 or x == 109 or x == 100:
        return 2
    if ((x == 114 or x == 118) and y == 101) or (x == 108 and y == 108):
        return 3
    return 0


@nb.njit(nogil=True, cache=True)
def split_gpt2(data, offsets, skipped, document, place, classes, starts, lengths):  # type: ignore[no-untyped-def]
    r"""`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` (openai/gpt-2, encoder.py)."""
    num = 0
    while document < len(offsets) - 1:
        end = offsets[document + 1]
        if skipped[document]:
            place = end
        while place < end:
            if num + 2 > len(starts):
                return document, place, num, -1
            first = place
            x = data[place]
            size = 0
            if x == 39:
                size = _contraction(data[place + 1], data[place + 2])
            if size and place + size <= end:
                place += size
            else:
                code, size = decoded(x, data[place + 1], data[place + 2], data[place + 3])
                kind = classes[code]
                if code == 32 and place + 1 < end:
                    after, size_after = decoded(data[place + 1], data[place + 2], data[place + 3], data[place + 4])
                    if classes[after] != BLANK:
                        place += 1
                        code, size = after, size_after
                        kind = classes[code]
                if kind == UNKNOWN:
                    return document, first, num, code
                place += size
                last = first
                while place < end:
                    x = data[place]
                    if x < 0x80:
                        size = 1
                        after = classes[x]
                    else:
                        code, size = decoded(x, data[place + 1], data[place + 2], data[place + 3])
                        after = classes[code]
                        if after == UNKNOWN:
                            return document, first, num, code
                    if after != kind:
                        break
                    last = place
                    place += size
                if kind == BLANK and place < end and last > first:
                    place = last  # the run's last character goes with what follows
            starts[num] = first
            lengths[num] = place - first
            num += 1
        if num >= len(starts):
            return document, place, num, -1
        lengths[num] = 0
        num += 1
        document += 1
    return document, place, num, -1


@nb.njit(nogil=True, cache=True)
def split_gpt4(  # type: ignore[no-untyped-def]
    data, offsets, skipped, document, place, classes, starts, lengths, max_digits
):
    r"""`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,max_digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|...`.

    The rest is `\s*[\r\n]+|\s+(?!\S)|\s+` (openai/tiktoken, cl100k_base). Classes are those of `split_gpt2`. An
    apostrophe with U+017F, which is an s to `(?i:)`, must not come up.
    """
    num = 0
    while document < len(offsets) - 1:
        end = offsets[document + 1]
        if skipped[document]:
            place = end
        while place < end:
            if num + 2 > len(starts):
                return document, place, num, -1
            first = place
            size = 0
            if data[place] == 39:
                size = _contraction(data[place + 1] | 32, data[place + 2] | 32)
            if size and place + size <= end:
                place += size
            else:
                code, size = decoded(data[place], data[place + 1], data[place + 2], data[place + 3])
                kind = classes[code]
                if kind == UNKNOWN:
                    return document, first, num, code
                place += size
                follows = np.uint8(BLANK)  # nothing, as good as white space
                after = np.int32(0)
                if place < end:
                    after, size = decoded(data[place], data[place + 1], data[place + 2], data[place + 3])
                    follows = classes[after]
                    if follows == UNKNOWN:
                        return document, first, num, after
                is_break = code == 10 or code == 13
                if kind == LETTER or (follows == LETTER and kind != NUMBER and not is_break):
                    kind = np.uint8(LETTER)
                elif code == 32 and follows == OTHER:
                    kind = np.uint8(OTHER)
                last = first
                last_break = place if is_break else first
                num_more = 1
                while place < end:
                    code, size = decoded(data[place], data[place + 1], data[place + 2], data[place + 3])
                    follows = classes[code]
                    if follows == UNKNOWN:
                        return document, first, num, code
                    if follows != kind or (kind == NUMBER and num_more >= max_digits):
                        break
                    last = place
                    place += size
                    num_more += 1
                    if code == 10 or code == 13:
                        last_break = place
                if kind == OTHER:
                    while place < end and (data[place] == 10 or data[place] == 13):
                        place += 1
                elif kind == BLANK and last_break > first:
                    place = last_break
                elif kind == BLANK and place < end and last > first:
                    place = last  # the run's last character goes with what follows
            starts[num] = first
            lengths[num] = place - first
            num += 1
        if num >= len(starts):
            return document, place, num, -1
        lengths[num] = 0
        num += 1
        document += 1
    return document, place, num, -1


@nb.njit(nogil=True, cache=True)
def split_metaspace(data, offsets, skipped, document, place, classes, starts, lengths):  # type: ignore[no-untyped-def]
    """White space (runs of SPACE) with the word behind it; a text may start without and end with white space alone."""
    num = 0
    while document < len(offsets) - 1:
        end = offsets[document + 1]
        if skipped[document]:
            place = end
        while place < end:
            if num + 2 > len(starts):
                return document, place, num, -1
            first = place
            in_word = False
            while place < end:
                code, size = decoded(data[place], data[place + 1], data[place + 2], data[place + 3])
                kind = classes[code]
                if kind == UNKNOWN:
                    return document, first, num, code
                if kind == SPACE and in_word:
                    break
                in_word = kind != SPACE
                place += size
            starts[num] = first
            lengths[num] = place - first
            num += 1
        if num >= len(starts):
            return document, place, num, -1
        lengths[num] = 0
        num += 1
        document += 1
    return document, place, num, -1

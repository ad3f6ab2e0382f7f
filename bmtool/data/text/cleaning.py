"""Clean texts in one pass over their bytes: fold white space, and find the texts that need no normalisation.

Bytes are read as valid UTF-8, which Arrow's strings are. The results are those of the regular expressions and of
`pyarrow.compute.utf8_normalize` that say what cleaning means; the tests compare them.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.data.compiled import nb
from bmtool.data.kept_tables import kept_table
from bmtool.data.text.documents import text_buffers
from bmtool.data.text.words import code_point

if TYPE_CHECKING:
    from numpy.typing import NDArray

Form = Literal["NFC", "NFKC"]

#: A character that makes a text go through the slow path: it is invisible, it may change, or it isn't known here.
UNSURE = 255

#: Control characters but tab, line ends and next line; soft hyphen, zero width space, word joiner, byte order mark.
_INVISIBLE_RANGES = (
    *((0x0, 0x8), (0xB, 0xC), (0xE, 0x1F), (0x7F, 0x84), (0x86, 0x9F), (0xAD, 0xAD)),
    *((0x200B, 0x200B), (0x2060, 0x2060), (0xFEFF, 0xFEFF)),
)
_INVISIBLE = "[" + "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in _INVISIBLE_RANGES) + "]"

#: Python's tables end here for this purpose; what stands behind is rare enough for the slow path.
_KNOWN_CODES = 0x2F800

#: Hangul vowels and final consonants, which join the syllable before them (Unicode, 3.12).
_JOINING_JAMO = (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))


@kept_table()
def _normal_classes(form: Form) -> NDArray[np.uint8]:
    """(0x110000,) UNSURE, or the combining class, of each code point, for Unicode's quick check (UAX #15, section 9).

    A text without UNSURE characters, whose combining classes never fall but to 0, is in the form already. Invisible
    characters are UNSURE, and those that Python's version of Unicode doesn't know: pyarrow's may.
    """
    classes = np.full(0x110000, UNSURE, np.uint8)
    second: set[int] = set(_JOINING_JAMO)
    for code in range(_KNOWN_CODES):
        if 0xD800 <= code < 0xE000:
            continue
        character = chr(code)
        parts = unicodedata.decomposition(character)
        if parts and parts[0] != "<":
            second.update(int(part, 16) for part in parts.split()[1:])
        if unicodedata.category(character) != "Cn" and unicodedata.normalize(form, character) == character:
            classes[code] = unicodedata.combining(character)
    classes[list(second)] = UNSURE
    for first, last in _INVISIBLE_RANGES:
        classes[first : last + 1] = UNSURE
    return classes


#: Bytes looked at together by vector instructions; a line of prose holds two or three such blocks.
_BLOCK = 32


@nb.njit(inline="always")
def _is_plain(block):  # type: ignore[no-untyped-def]
    """Whether all bytes of `block` are ASCII without control characters but tab and line ends."""
    odd = nb.uint8(0)
    for place in range(_BLOCK):  # without a branch, so that it is compiled to vector instructions
        byte = block[place]
        odd |= nb.uint8(byte >= 127) | (nb.uint8(byte < 32) & nb.uint8((byte != 9) & (byte != 10) & (byte != 13)))
    return not odd


@nb.njit(nogil=True, cache=True)
def _unsure(data, offsets, classes):  # type: ignore[no-untyped-def]
    found = np.zeros(len(offsets) - 1, np.bool_)
    for document in range(len(offsets) - 1):
        i, end = offsets[document], offsets[document + 1]
        last = 0
        while i < end:
            if i + _BLOCK <= end and _is_plain(data[i : i + _BLOCK]):
                i += _BLOCK
                last = 0
                continue
            stop = min(end, i + _BLOCK)
            while i < stop:
                code, size = code_point(data, i)
                kind = classes[code]
                if kind == UNSURE or 0 < kind < last:
                    break
                last = kind
                i += size
            if i < stop:
                found[document] = True
                break
    return found


def normalise(texts: pa.Array, form: Form) -> pa.Array:
    """N texts (string or large_string, without nulls) in normal form `form`, without invisible characters.

    Only those that the quick check can't call normal are rewritten; most texts are normal, and ASCII always is.
    """
    rows = _unsure(*text_buffers(texts), _normal_classes(form))
    if not rows.any():
        return texts
    mask = pa.array(rows)
    visible = pc.replace_substring_regex(texts.filter(mask), _INVISIBLE, "")
    return pc.replace_with_mask(texts, mask, pc.utf8_normalize(visible, form=form))


_TEXT, _SPACE, _BREAK, _RETURN, _WIDE = 0, 1, 2, 3, 4


def _space_classes() -> NDArray[np.uint8]:
    """(256,) what a byte may be the first of."""
    classes = np.zeros(256, np.uint8)
    classes[[ord(character) for character in " \t\v\f"]] = _SPACE
    classes[ord("\n")] = _BREAK
    classes[ord("\r")] = _RETURN
    classes[[0xC2, 0xE1, 0xE2, 0xE3]] = _WIDE  # where the spaces outside ASCII begin
    return classes


@nb.njit(inline="always")
def _is_space(code):  # type: ignore[no-untyped-def]
    """No-break space, Ogham space, the typographic spaces, ideographic space."""
    if code == 0xA0 or code == 0x1680 or code == 0x3000:
        return True
    return 0x2000 <= code <= 0x200A or code == 0x202F or code == 0x205F


@nb.njit(inline="always")
def _is_break(code):  # type: ignore[no-untyped-def]
    """Next line, line separator, paragraph separator."""
    return code == 0x85 or code == 0x2028 or code == 0x2029


@nb.njit(inline="always")
def _run(data, i, end, classes):  # type: ignore[no-untyped-def]
    """(where the run of white space at `i` ends, bytes of the wide character there, its line breaks, its spaces)."""
    breaks = spaces = 0
    while i < end:
        kind, size = classes[data[i]], 1
        if kind == _TEXT:
            return i, 0, breaks, spaces
        if kind == _WIDE:
            code, size = code_point(data, i)
            kind = _SPACE if _is_space(code) else _BREAK if _is_break(code) else _TEXT
            if kind == _TEXT:
                return i, size, breaks, spaces
        elif kind == _RETURN and i + 1 < end and data[i + 1] == 10:
            size = 2
        spaces += kind == _SPACE
        breaks += kind != _SPACE
        i += size
    return i, 0, breaks, spaces


@nb.njit(inline="always")
def _is_folded(block, before):  # type: ignore[no-untyped-def]
    """Whether `block` has no white space but single spaces and line breaks; `before`: there is some before it."""
    odd = before & nb.uint8((block[0] == 32) | (block[0] == 10))
    for place in range(_BLOCK - 1):
        first, second = block[place], block[place + 1]
        odd |= nb.uint8((first == 32) | (first == 10)) & nb.uint8((second == 32) | (second == 10))
    for place in range(_BLOCK):
        byte = block[place]
        odd |= nb.uint8((byte >= 9) & (byte <= 13) & (byte != 10))
        odd |= nb.uint8(byte == 0xC2) | nb.uint8((byte >= 0xE1) & (byte <= 0xE3))
    return not odd


@nb.njit(nogil=True, cache=True)
def _folded(data, offsets, classes):  # type: ignore[no-untyped-def]
    """One idea, and so one function: blocks that are folded already are copied, other bytes go one by one."""
    out = np.empty(len(data) + _BLOCK, np.uint8)
    places = np.zeros(len(offsets), np.int64)
    at = 0
    for document in range(len(offsets) - 1):
        i, end = offsets[document], offsets[document + 1]
        start = at
        before = nb.uint8(1)
        while i < end:
            if i + _BLOCK <= end:
                block = data[i : i + _BLOCK]
                if _is_folded(block, before):
                    target = out[at : at + _BLOCK]
                    for place in range(_BLOCK):
                        target[place] = block[place]
                    # A space or line break at its end is left for later: more may follow.
                    size = _BLOCK - ((block[_BLOCK - 1] == 32) | (block[_BLOCK - 1] == 10))
                    at += size
                    i += size
                    before = nb.uint8(0)
                    continue
            stop = min(end, i + _BLOCK)
            while i < stop:
                if classes[data[i]] == _TEXT:
                    out[at] = data[i]
                    at += 1
                    i += 1
                    continue
                i, size, breaks, spaces = _run(data, i, end, classes)
                if i < end and at > start and breaks + spaces:
                    out[at] = 10 if breaks else 32
                    at += 1
                    if breaks > 1:
                        out[at] = 10
                        at += 1
                for _ in range(size):
                    out[at] = data[i]
                    at += 1
                    i += 1
            before = nb.uint8(0)
        places[document + 1] = at
    return out[:at], places


def fold_white_space(texts: pa.Array) -> pa.Array:
    """N texts (string or large_string, without nulls) with one space or one or two line breaks between words.

    A run of white space with a line break in it becomes a line break, with more of them two; any other run a space.
    None is left at the ends. `\\r\\n`, `\\r`, next line, line and paragraph separator are line breaks.
    """
    data, places = _folded(*text_buffers(texts), _space_classes())
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    buffers = [None, pa.py_buffer(places.astype(width)), pa.py_buffer(data)]
    return pa.Array.from_buffers(texts.type, len(texts), buffers)


def drop_lines(texts: pa.Array, pattern: str) -> pa.Array:
    """N texts (string or large_string, without nulls) without the lines in which `pattern` (RE2) matches."""
    rows = pc.match_substring_regex(texts, f"(?m:{pattern})")
    if not pc.any(rows).as_py():
        return texts
    lines = pc.split_pattern(texts.filter(rows), "\n")
    kept = pc.invert(pc.match_substring_regex(lines.flatten(), pattern))
    before = np.concatenate([[0], np.cumsum(kept.to_numpy(zero_copy_only=False))])
    starts = before[lines.offsets.to_numpy() - lines.offsets[0].as_py()]
    left = type(lines).from_arrays(pa.array(starts, lines.offsets.type), lines.flatten().filter(kept))
    return pc.replace_with_mask(texts, rows, pc.binary_join(left, "\n").cast(texts.type))

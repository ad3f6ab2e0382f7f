"""Unigram behind Metaspace, as T5 and XLM-R have it: words, each with the white space before it, are independent.

A word is written with the likeliest pieces as `tokenizers` finds them (models/unigram/model.rs, `encode_optimized`):
the same sums in the same order, so that the same one of two equal ways is taken. Texts are left to it as a whole if
they hold a code point for which the parts of a text can depend on each other: one that vanishes, so that the spaces
around it meet, or one that becomes a space and something else.
"""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.segments.forms import Forms, joins
from bmtool.data.segments.splitting import SPACE, UNKNOWN, WORD, split_metaspace
from bmtool.data.segments.trie import build_trie
from bmtool.data.text.words import code_point

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

#: Code points probed at once.
BLOCK = 256

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # as in `trie`

#: Normalizers that change each character, or letter with its marks, without a look at the words beside it.
_LOCAL = {"NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Lowercase", "StripAccents"}

#: What a character that is no piece costs below the least likely piece (models/unigram/model.rs, K_UNK_PENALTY).
UNKNOWN_PENALTY = 10.0

_MARK = "\u2581"

#: With `byte_fallback`, characters that are no piece are written by these, a byte each.
BYTE_PIECES = tuple(f"<0x{byte:02X}>" for byte in range(256))

#: Bytes of a normalised word that is tokenized here.
_MAX_WORD_BYTES = 1024


@nb.njit(nogil=True, cache=True)
def _tokenize(  # type: ignore[no-untyped-def]
    data,
    missing,
    classes,
    forms,
    form_bytes,
    spaces,
    unknown,
    unknown_score,
    byte_ids,
    scores,
    keys,
    children,
    accepts,
    counts,
    flat,
):
    """`counts[n]` = ids of each missing segment, one behind the other in `flat`; -1: not known for certain."""
    last = np.uint64(len(keys) - 1)
    word = np.empty(_MAX_WORD_BYTES, np.uint8)
    word[0], word[1], word[2] = 0xE2, 0x96, 0x81  # _MARK
    best = np.empty(_MAX_WORD_BYTES + 1)
    back = np.empty((_MAX_WORD_BYTES + 1, 2), np.int32)
    total = 0
    for n in range(len(missing)):
        place = missing[n, 0]
        end = place + missing[n, 1]
        num_spaces = 0
        size = 3
        hard = False
        while place < end and not hard:
            code, width = code_point(data, place)
            place += width
            form = forms[code]
            if classes[code] == SPACE:
                num_spaces += 1
            elif form == 0 or size + (form - 1 & 255) > len(word):
                hard = True
            else:
                at = form - 1 >> 8
                for k in range(form - 1 & 255):
                    word[size + k] = form_bytes[at + k]
                size += form - 1 & 255
        if hard or size == 3 or not spaces[min(num_spaces, 2)] or total + size > len(flat):
            counts[n] = -1
            continue
        best[: size + 1] = -np.inf
        best[0] = 0.0
        start = 0
        while start < size and not hard:
            x = word[start]
            after = start + (1 if x < 0x80 else 2 if x < 0xE0 else 3 if x < 0xF0 else 4)
            is_piece = False  # its first character
            node = 0
            for stop in range(start, size):
                key = (np.uint64(node) << np.uint64(8) | np.uint64(word[stop])) + np.uint64(1)
                slot = ((key * _GOLDEN) >> np.uint64(40)) & last
                while keys[slot] != 0 and keys[slot] != key:
                    slot = (slot + np.uint64(1)) & last
                if keys[slot] == 0:
                    break
                node = children[slot]
                piece = accepts[node]
                if piece < 0:
                    continue
                hard |= len(byte_ids) > 0 and piece == unknown  # spelled out in the text
                is_piece |= stop + 1 == after
                score = scores[piece] + best[start]
                if score > best[stop + 1]:
                    best[stop + 1] = score
                    back[stop + 1, 0] = start
                    back[stop + 1, 1] = piece
            if not is_piece and best[start] + unknown_score > best[after]:
                best[after] = best[start] + unknown_score
                back[after, 0] = start
                back[after, 1] = unknown
            hard = not is_piece and unknown < 0
            start = after
        if hard:
            counts[n] = -1
            continue
        count = 0
        stop = size
        while stop > 0:
            if back[stop, 1] == unknown and len(byte_ids) > 0:
                for k in range(stop - 1, back[stop, 0] - 1, -1):
                    flat[total + count] = byte_ids[word[k]]
                    count += 1
            elif back[stop, 1] != unknown or count == 0 or flat[total + count - 1] != unknown:  # unknown ones are one
                flat[total + count] = back[stop, 1]
                count += 1
            stop = back[stop, 0]
        flat[total : total + count] = flat[total : total + count][::-1].copy()
        total += count
        counts[n] = count


class UnigramSegments:
    """White space with the word behind it."""

    name = "Unigram"
    fold = False

    def __init__(self, tokenizer: Tokenizer, settings: dict[str, Any], dtype: Any) -> None:
        self.inner = tokenizer
        self.classes = np.full(0x110000, UNKNOWN, np.uint8)
        self.risky: NDArray[np.uint8] | None = np.full(0x110000, UNKNOWN, np.uint8)
        self._forms = Forms()
        self._dtype = dtype
        model = settings["model"]
        pieces = model["vocab"]
        self._scores = np.array([score for _, score in pieces], np.float64)
        numbers = {piece: number for number, (piece, _) in enumerate(pieces)}
        byte_ids = [numbers.get(piece, -1) for piece in BYTE_PIECES] if model["byte_fallback"] else []
        # Lacking one byte's piece, `tokenizers` decides by the bytes of each run of unknown characters: it is asked.
        has_unknown = model["unk_id"] is not None and -1 not in byte_ids
        self._unknown = int(model["unk_id"]) if has_unknown else -1
        self._byte_ids = np.array(byte_ids, np.int32)
        self._unknown_score = float(self._scores.min()) - UNKNOWN_PENALTY
        self._trie = build_trie([piece.encode() for piece, _ in pieces], range(len(pieces)), [0] * len(pieces), 1)
        # Whether a word is written with one mark in front after no, one and many spaces.
        cut = [self._cut(self._normal(f"{spaces}a")) for spaces in ("", " ", "   ")]
        self._spaces = np.array([pieces == [f"{_MARK}a"] for pieces in cut])
        self.probe(0)

    def _normal(self, text: str) -> str:
        return text if self.inner.normalizer is None else self.inner.normalizer.normalize_str(text)

    def _cut(self, normal: str) -> list[str]:
        return [piece for piece, _ in self.inner.pre_tokenizer.pre_tokenize_str(normal)]

    @staticmethod
    def why_not(settings: dict[str, Any]) -> str:
        """What about a tokenizer isn't known to work segment by segment; empty if all is."""
        steps = _flat(settings["normalizer"], "normalizers")
        for step in steps:
            if step["type"] not in _LOCAL and not _collapses(step) and not _strips_right(step):
                return f"Unigram behind the normalizer {step['type']} isn't known"
        if any(map(_strips_right, steps)) and not any(map(_collapses, steps)):
            return "Unigram behind Strip without a Replace of double spaces isn't known"
        splitters = _flat(settings["pre_tokenizer"], "pretokenizers")
        if [one["type"] for one in splitters] not in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]):
            return f"Unigram behind {json.dumps([one['type'] for one in splitters])} isn't known"
        if not splitters[-1].get("split", True):
            return "Unigram behind Metaspace that doesn't split isn't known"
        if steps and any(token["normalized"] for token in settings["added_tokens"]):
            return "its added tokens are looked for in normalised text"
        return ""

    def prepare(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Texts as they are split."""
        return data, offsets

    def split(self, *position: Any) -> tuple[int, int, int, int]:
        """See `splitting`."""
        where: tuple[int, int, int, int] = split_metaspace(*position)
        return where

    def probe(self, code: int) -> None:
        """Learn the classes of the block that `code` is in."""
        assert self.risky is not None  # noqa: S101  (it is never taken away)
        first = code - code % BLOCK
        forms = {}
        for one in range(first, first + BLOCK):
            if 0xD800 <= one < 0xE000:  # no UTF-8 has surrogates
                continue
            self.classes[one], self.risky[one], form = self._judge(chr(one))
            if form and not any(map(joins, chr(one) + form)):
                forms[one] = form
        self._forms.set(forms)

    def _judge(self, character: str) -> tuple[int, bool, str]:
        """(class, whether a text with it is left to `tokenizers`, what it becomes)."""
        normal = self._normal(f"a{character}b")
        pieces = self._cut(normal)
        category = unicodedata.category(character)
        if normal == "a b":
            return SPACE, len(pieces) != 2 or category in ("Cf", "Cn") or category.startswith("M"), ""
        middle = normal[1:-1]
        is_word = len(pieces) == 1 and middle and not any(one.isspace() or one == _MARK for one in middle)
        return WORD, not is_word or category == "Cn" or (category == "Cf" and character != "\xad"), middle

    def tokenize(self, data: NDArray[np.uint8], missing: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """(counts (M,), ids) of M segments (place, length, ...); a count of -1 where `tokenizers` must be asked."""
        counts = np.empty(len(missing), np.int64)
        flat = np.empty(2 * int(missing[:, 1].sum()) + 1024, self._dtype)
        _tokenize(
            data, missing, self.classes, self._forms.places, self._forms.text, self._spaces,
            self._unknown, self._unknown_score, self._byte_ids, self._scores,
            self._trie.keys, self._trie.children, self._trie.accepts, counts, flat,
        )  # fmt: skip
        return counts, flat[: counts[counts > 0].sum()]


def _flat(part: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, one behind the other."""
    if part is None:
        return []
    if part["type"] != "Sequence":
        return [part]
    return [step for one in part[name] for step in _flat(one, name)]


def _collapses(step: dict[str, Any]) -> bool:
    """Whether it makes one space of many."""
    return step["type"] == "Replace" and step["pattern"] == {"Regex": " {2,}"} and step["content"] in (" ", "\u2581")


def _strips_right(step: dict[str, Any]) -> bool:
    """Whether it takes white space off the end of a text, where there is only white space in the last segment."""
    return step["type"] == "Strip" and step["strip_right"] and not step["strip_left"]

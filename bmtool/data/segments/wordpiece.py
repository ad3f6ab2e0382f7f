"""BERT's tokenizer for one segment at a time: normalise code point by code point, then the longest pieces from left.

Everything about Unicode is probed from the tokenizer itself, 256 code points at a time when the first of them comes up,
so nothing here has an opinion of its own on what is punctuation, an accent or a lower-case letter.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.segments.forms import Forms
from bmtool.data.segments.splitting import ALONE, SPACE, UNKNOWN, WORD, split_bert
from bmtool.data.segments.trie import build_trie, longest
from bmtool.data.text.words import code_point

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

#: Code points probed at once.
BLOCK = 256

#: Bytes of a normalised segment that is tokenized here; BERT takes words of more than 100 characters for unknown.
_MAX_WORD_BYTES = 2048

_INITIAL, _CONTINUING = 0, 1


@nb.njit(nogil=True, cache=True)
def _tokenize(  # type: ignore[no-untyped-def]
    data, missing, forms, form_bytes, keys, children, accepts, unknown, max_chars, counts, flat
):
    """`counts[n]` = ids of each missing segment, one behind the other in `flat`; -1: not known for certain."""
    word = np.empty(_MAX_WORD_BYTES, np.uint8)
    total = 0
    for n in range(len(missing)):
        place = missing[n, 0]
        end = place + missing[n, 1]
        size = 0
        num_chars = 0
        hard = False
        while place < end:
            code, width = code_point(data, place)
            place += width
            form = forms[code]
            if form == 0:
                hard = True
                break
            at, length = (form - 1) >> 8, (form - 1) & 255
            if size + length > len(word):
                hard = True
                break
            for k in range(length):
                word[size] = form_bytes[at + k]
                num_chars += (word[size] & 0xC0) != 0x80
                size += 1
        if hard or total + size + 1 > len(flat):
            counts[n] = -1
            continue
        first = total
        at = 0
        bad = num_chars > max_chars
        while at < size and not bad:
            one, at = longest(word, at, size, _CONTINUING if at else _INITIAL, keys, children, accepts)
            bad = one < 0
            flat[total] = one
            total += 1
        if bad:
            flat[first] = unknown
            total = first + 1
        counts[n] = total - first


class WordPieceSegments:
    """WordPiece behind BertNormalizer and BertPreTokenizer: both judge each code point by itself.

    Only NFD looks further (it sorts the marks behind a letter), so a segment with such a mark that stays is left to
    `tokenizers`; a segment never starts or ends between marks.
    """

    name = "WordPiece"

    def __init__(self, tokenizer: Tokenizer, settings: dict[str, Any], dtype: Any) -> None:
        self.inner = tokenizer
        self.fold = bool(settings["normalizer"]["lowercase"])
        self.classes = np.full(0x110000, UNKNOWN, np.uint8)
        self.risky: NDArray[np.uint8] | None = None
        self._forms = Forms()
        self._dtype = dtype
        model = settings["model"]
        prefix = model["continuing_subword_prefix"]
        vocabulary: dict[str, int] = model["vocab"]
        self._unknown = vocabulary[model["unk_token"]]
        self._max_chars = int(model["max_input_chars_per_word"])
        continuing = [token for token in vocabulary if token.startswith(prefix)]
        tokens = [*vocabulary, *(token.removeprefix(prefix) for token in continuing)]
        ids = [*vocabulary.values(), *(vocabulary[token] for token in continuing)]
        roots = [_INITIAL] * len(vocabulary) + [_CONTINUING] * len(continuing)
        self._trie = build_trie([token.encode() for token in tokens], ids, roots, 2)
        self.probe(0)

    @staticmethod
    def why_not(settings: dict[str, Any]) -> str:
        """What about a tokenizer isn't known to work segment by segment; empty if all is."""
        kinds = {part: (settings[part] or {}).get("type") for part in ("normalizer", "pre_tokenizer")}
        if kinds != {"normalizer": "BertNormalizer", "pre_tokenizer": "BertPreTokenizer"}:
            return f"WordPiece behind {kinds['normalizer']} and {kinds['pre_tokenizer']} isn't known"
        if settings["model"]["unk_token"] not in settings["model"]["vocab"]:
            return "its vocabulary has no unknown token"
        if any(token["normalized"] for token in settings["added_tokens"]):
            return "its added tokens are looked for in normalised text"
        return ""

    def prepare(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Texts as they are split."""
        return data, offsets

    def split(self, *position: Any) -> tuple[int, int, int, int]:
        """See `splitting`."""
        where: tuple[int, int, int, int] = split_bert(*position)
        return where

    def probe(self, code: int) -> None:
        """Learn the classes and normal forms of the block that `code` is in."""
        first = code - code % BLOCK
        block = [one for one in range(first, first + BLOCK) if not 0xD800 <= one < 0xE000]  # no UTF-8 has surrogates
        verdicts = self._judge([chr(one) for one in block])
        self.classes[block] = [kind for kind, _ in verdicts]
        self._forms.set({one: form for one, (_, form) in zip(block, verdicts, strict=True) if form is not None})

    def _judge(self, characters: list[str]) -> list[tuple[int, str | None]]:
        """(class, what it becomes or None if that depends on its neighbours) of each.

        All of them at once, with a bar between two, at which words end: half the time of one by one.
        """
        groups: list[list[str]] = [[]]
        for piece in self._split("|".join(f"a{one}a" for one in characters)):
            if piece == "|":
                groups.append([])
            else:
                groups[-1].append(piece)
        if len(groups) != len(characters):  # one of them becomes a bar itself
            groups = [self._split(f"a{one}a") for one in characters]
        return [_verdict(pieces) for pieces in groups]

    def _split(self, text: str) -> list[str]:
        normal = self.inner.normalizer.normalize_str(text)
        return [piece for piece, _ in self.inner.pre_tokenizer.pre_tokenize_str(normal)]

    def tokenize(self, data: NDArray[np.uint8], missing: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """(counts (M,), ids) of M segments (place, length, ...); a count of -1 where `tokenizers` must be asked."""
        counts = np.empty(len(missing), np.int64)
        flat = np.empty(2 * int(missing[:, 1].sum()) + 1024, self._dtype)
        _tokenize(
            data, missing, self._forms.places, self._forms.text,
            self._trie.keys, self._trie.children, self._trie.accepts, self._unknown, self._max_chars, counts, flat,
        )  # fmt: skip
        return counts, flat[: counts[counts > 0].sum()]


def _verdict(pieces: list[str]) -> tuple[int, str | None]:
    """What `_judge` says of a character, from what it becomes between two letters a."""
    if pieces == ["a", "a"]:
        return SPACE, ""
    middle = "".join(pieces)[1:-1]
    if any(unicodedata.combining(one) or unicodedata.category(one) == "Cn" for one in middle):
        return WORD, None
    if len(pieces) == 3 and pieces[0] == pieces[2] == "a":
        return ALONE, middle
    return WORD, middle if len(pieces) == 1 else None

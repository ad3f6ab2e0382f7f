"""Unigram behind Metaspace, as T5 and XLM-R have it: words, each with the white space before it, are independent.

`tokenizers` tokenizes what is new. Texts are left to it as a whole if they hold a code point for which the parts of a
text can depend on each other: one that vanishes, so that the spaces around it meet, or one that becomes a space and
something else.
"""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.segments.splitting import SPACE, UNKNOWN, WORD, split_metaspace

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

#: Code points probed at once.
BLOCK = 256

#: Normalizers that change each character, or letter with its marks, without a look at the words beside it.
_LOCAL = {"NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Lowercase", "StripAccents"}


class UnigramSegments:
    """White space with the word behind it."""

    name = "Unigram"
    fold = False

    def __init__(self, tokenizer: Tokenizer, settings: dict[str, Any], dtype: Any) -> None:
        del settings
        self.inner = tokenizer
        self.classes = np.full(0x110000, UNKNOWN, np.uint8)
        self.risky: NDArray[np.uint8] | None = np.full(0x110000, UNKNOWN, np.uint8)
        self._dtype = dtype
        self.probe(0)

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
        for one in range(first, first + BLOCK):
            if 0xD800 <= one < 0xE000:  # no UTF-8 has surrogates
                continue
            self.classes[one], self.risky[one] = self._judge(chr(one))

    def _judge(self, character: str) -> tuple[int, bool]:
        """(class, whether a text with it is left to `tokenizers`)."""
        text = f"a{character}b"
        normal = text if self.inner.normalizer is None else self.inner.normalizer.normalize_str(text)
        pieces = [piece for piece, _ in self.inner.pre_tokenizer.pre_tokenize_str(normal)]
        category = unicodedata.category(character)
        if normal == "a b":
            return SPACE, len(pieces) != 2 or category in ("Cf", "Cn") or category.startswith("M")
        middle = normal[1:-1]
        is_word = len(pieces) == 1 and middle and not any(one.isspace() or one == "\u2581" for one in middle)
        return WORD, not is_word or category == "Cn" or (category == "Cf" and character != "\xad")

    def tokenize(self, data: NDArray[np.uint8], missing: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """(counts (M,), ids): `tokenizers` is asked for every segment that is new."""
        del data
        return np.full(len(missing), -1, np.int64), np.zeros(0, self._dtype)


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

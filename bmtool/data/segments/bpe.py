"""Byte-level BPE for one segment at a time: merge the pair of lowest rank, leftmost first, until none is left.

Sennrich et al. 2016, as `tokenizers` does it (models/bpe/word.rs): its queue pops the lowest rank, then the leftmost.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer, pre_tokenizers

from bmtool.data.compiled import nb
from bmtool.data.segments.forms import joins
from bmtool.data.segments.marking import prefix_space
from bmtool.data.segments.splitting import BLANK, LETTER, NUMBER, OTHER, UNKNOWN, split_gpt2, split_gpt4
from bmtool.data.segments.trie import build_trie, longest

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Code points probed at once.
BLOCK = 512

#: Longer segments are left to `tokenizers`: here the work grows with the square of the length.
MAX_BYTES = 256

#: Normalizers that leave texts alone which have no code point that they would change, and no marks or Jamo.
UNICODE_FORMS = ("NFC", "NFD", "NFKC", "NFKD")

#: How OpenAI's cl100k_base and what came after it split, Llama 3 and Qwen among them; at most so many digits together.
_GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT4 = {_GPT4.replace("DIGITS", r"\p{N}{1,3}"): 3, _GPT4.replace("DIGITS", r"\p{N}"): 1}

#: Probed for the classes of code points, which are the same in all of these regular expressions.
BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_U32 = np.uint64(32)
_NO_MERGE = np.int32(0x7FFFFFFF)


@nb.njit(inline="always")
def _merge_slot(pairs, one, other):  # type: ignore[no-untyped-def]
    """(the slot of a pair of ids or the empty one where it belongs, its key)."""
    last = np.uint64(len(pairs) - 1)
    key = (np.uint64(one) << _U32 | np.uint64(other)) + np.uint64(1)
    slot = ((key * _GOLDEN) >> _U32) & last
    while pairs[slot] != 0 and pairs[slot] != key:
        slot = (slot + np.uint64(1)) & last
    return slot, key


@nb.njit(nogil=True, cache=True)
def _insert_merges(merges, pairs, results):  # type: ignore[no-untyped-def]
    """`merges` (M, 3): two ids and what they become, by rank. A pair given twice has its last rank."""
    for rank in range(len(merges)):
        slot, key = _merge_slot(pairs, merges[rank, 0], merges[rank, 1])
        pairs[slot] = key
        results[slot, 0] = rank
        results[slot, 1] = merges[rank, 2]


@nb.njit(nogil=True, cache=True)
def _tokenize(  # type: ignore[no-untyped-def]
    data, missing, byte_ids, pairs, results, whole, keys, children, accepts, counts, flat
):
    """`counts[n]` = ids of each missing segment, one behind the other in `flat`; -1: too long."""
    symbols = np.empty(MAX_BYTES, np.int32)
    ranks = np.empty(MAX_BYTES, np.int32)  # of the merge of symbols n and n + 1
    total = 0
    for n in range(len(missing)):
        place, size = missing[n, 0], missing[n, 1]
        if size > MAX_BYTES:
            counts[n] = -1
            continue
        if whole:
            one, end = longest(data, place, place + size, 0, keys, children, accepts)
            if one >= 0 and end == place + size:
                flat[total] = one
                total += 1
                counts[n] = 1
                continue
        for k in range(size):
            symbols[k] = byte_ids[data[place + k]]
        for k in range(size - 1):
            slot, _ = _merge_slot(pairs, symbols[k], symbols[k + 1])
            ranks[k] = results[slot, 0] if pairs[slot] else _NO_MERGE
        while size > 1:
            best = 0
            for k in range(1, size - 1):
                if ranks[k] < ranks[best]:
                    best = k
            if ranks[best] == _NO_MERGE:
                break
            slot, _ = _merge_slot(pairs, symbols[best], symbols[best + 1])
            symbols[best] = results[slot, 1]
            for k in range(best + 1, size - 1):
                symbols[k] = symbols[k + 1]
                ranks[k] = ranks[k + 1]
            size -= 1
            for k in range(max(best - 1, 0), min(best + 1, size - 1)):
                slot, _ = _merge_slot(pairs, symbols[k], symbols[k + 1])
                ranks[k] = results[slot, 0] if pairs[slot] else _NO_MERGE
        for k in range(size):
            flat[total + k] = symbols[k]
        total += size
        counts[n] = size


def _byte_characters() -> list[str]:
    """The character that stands for each byte in a byte-level vocabulary (openai/gpt-2, encoder.py)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    characters = {byte: chr(byte) for byte in shown}
    characters.update({byte: chr(256 + index) for index, byte in enumerate(hidden)})
    return [characters[byte] for byte in range(256)]


def _max_digits(splitter: dict[str, Any]) -> int:
    """Digits that go together in a pre-tokenizer like GPT-4's; 0 if it is none."""
    steps = splitter.get("pretokenizers", [])
    if [step["type"] for step in steps] != ["Split", "ByteLevel"]:
        return 0
    first, second = steps
    if first["behavior"] != "Isolated" or first["invert"] or second["add_prefix_space"] or second["use_regex"]:
        return 0
    return GPT4.get(first["pattern"].get("Regex", ""), 0)


class ByteLevelSegments:
    """BPE behind the regular expression of GPT-2 or GPT-4; classes of code points are probed from `tokenizers`."""

    name = "byte-level BPE"
    fold = False

    def __init__(self, tokenizer: Tokenizer, settings: dict[str, Any], dtype: Any) -> None:
        splitter = settings["pre_tokenizer"]
        self._max_digits = _max_digits(splitter)
        self._prefix = not self._max_digits and bool(splitter["add_prefix_space"])
        self.inner = tokenizer
        if self._prefix:  # a segment from the middle of a text gets no space
            without = {**settings, "pre_tokenizer": {**settings["pre_tokenizer"], "add_prefix_space": False}}
            self.inner = Tokenizer.from_str(json.dumps(without))
        self.classes = np.full(0x110000, UNKNOWN, np.uint8)
        self.risky: NDArray[np.uint8] | None = (
            None if settings["normalizer"] is None else np.full(0x110000, UNKNOWN, np.uint8)
        )
        self._dtype = dtype
        model = settings["model"]
        vocabulary: dict[str, int] = model["vocab"]
        self._byte_ids = np.array([vocabulary[one] for one in _byte_characters()], np.int32)
        self._set_merges(vocabulary, model["merges"])
        self._whole = bool(model["ignore_merges"])
        tokens = list(vocabulary) if self._whole else []
        byte_of = {one: byte for byte, one in enumerate(_byte_characters())}
        spelled = [token for token in tokens if all(one in byte_of for one in token)]
        strings = [bytes(byte_of[one] for one in token) for token in spelled]
        self._trie = build_trie(strings, [vocabulary[token] for token in spelled], [0] * len(strings), 1)
        self.probe(0)

    def _set_merges(self, vocabulary: dict[str, int], merges: list[Any]) -> None:
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
        rows = [(vocabulary[one], vocabulary[other], vocabulary[one + other]) for one, other in pairs]
        slots = 1 << max(8, (2 * len(rows)).bit_length())
        self._pairs, self._results = np.zeros(slots, np.uint64), np.zeros((slots, 2), np.int32)
        _insert_merges(np.array(rows, np.int64).reshape(-1, 3), self._pairs, self._results)

    @staticmethod
    def why_not(settings: dict[str, Any]) -> str:
        """What about a tokenizer isn't known to work segment by segment; empty if all is."""
        model, splitter = settings["model"], settings["pre_tokenizer"] or {}
        if settings["normalizer"] is not None and settings["normalizer"]["type"] not in UNICODE_FORMS:
            return f"BPE behind the normalizer {settings['normalizer']['type']} isn't known"
        is_gpt2 = splitter.get("type") == "ByteLevel" and splitter.get("use_regex", True)
        if not is_gpt2 and not _max_digits(splitter):
            return f"BPE behind the pre-tokenizer {splitter.get('type')} isn't known"
        odd = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
        if any(model.get(name) for name in odd):
            return f"BPE with {next(name for name in odd if model.get(name))} isn't known"
        if any(one not in model["vocab"] for one in _byte_characters()):
            return "its vocabulary lacks some of the 256 bytes"
        return ""

    def prepare(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Texts as they are split: behind a space, if the tokenizer puts one there."""
        if not self._prefix:
            return data, offsets
        longer = np.empty(len(data) + len(offsets), np.uint8)
        places = np.zeros(len(offsets), np.int64)
        return longer[: prefix_space(data, offsets, longer, places)], places

    def split(self, *position: Any) -> tuple[int, int, int, int]:
        """See `splitting`."""
        with_digits = (*position, self._max_digits)
        where: tuple[int, int, int, int] = split_gpt4(*with_digits) if self._max_digits else split_gpt2(*position)
        return where

    def probe(self, code: int) -> None:
        """Learn the classes of the block that `code` is in: what it goes together with is what it is."""
        first = code - code % BLOCK
        block = [one for one in range(first, first + BLOCK) if not 0xD800 <= one < 0xE000]
        for neighbour, kind in (("a", LETTER), ("!", OTHER), ("1", NUMBER)):
            lines = "\n".join(f"{neighbour}{chr(one)}{neighbour}" for one in block)
            together = {place for _, place in BYTE_LEVEL.pre_tokenize_str(lines)}
            alike = [(4 * index, 4 * index + 3) in together for index in range(len(block))]
            self.classes[[one for one, is_alike in zip(block, alike, strict=True) if is_alike]] = kind
            block = [one for one, is_alike in zip(block, alike, strict=True) if not is_alike]
        self.classes[block] = BLANK
        if self.risky is not None:
            for one in range(first, first + BLOCK):
                self.risky[one] = not 0xD800 <= one < 0xE000 and self._may_change(chr(one))

    def _may_change(self, character: str) -> bool:
        """Whether a Unicode normal form may change it, or what it is beside: else the text has that form already."""
        if self._max_digits and character == "\u017f":  # see `split_gpt4`
            return True
        normalizer = self.inner.normalizer
        return normalizer is not None and (joins(character) or normalizer.normalize_str(character) != character)

    def tokenize(self, data: NDArray[np.uint8], missing: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """(counts (M,), ids) of M segments (place, length, ...); a count of -1 where `tokenizers` must be asked."""
        counts = np.empty(len(missing), np.int64)
        flat = np.empty(int(missing[:, 1].sum()), self._dtype)
        _tokenize(
            data, missing, self._byte_ids, self._pairs, self._results, self._whole,
            self._trie.keys, self._trie.children, self._trie.accepts, counts, flat,
        )  # fmt: skip
        return counts, flat[: counts[counts > 0].sum()]

"""Tokenizers with more tokens than the one they came from: words of a field, each of them one token.

A word becomes part of the tokenizer's own model, as if it had been learned: it is found inside of text as all others
are, normalised and with its space. (An `AddedToken` is cut out before anything else is done: beside it, spaces and
upper case go lost, and the fast way of encoding is closed.) Ids that were there stay, and so do the tokens of text in
which no new word begins.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders

from bmtool.artifacts.files import write_text
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

#: A word this rare teaches its embedding next to nothing.
MIN_COUNT = 5

#: A word of fewer pieces has meanings of its own already, more or less: `walked` is `walk ##ed`.
MIN_PIECES = 3

_MARK = "\u2581"

#: What a piece of Unigram is preferred by, in nats, to the pieces that the word had before.
_ADVANTAGE = 1.0

#: Files in which transformers kept a vocabulary before `tokenizer.json`; they would say another one.
_OLD_FORMS = ("vocab.txt", "vocab.json", "merges.txt", "added_tokens.json")


@dataclass
class _Growing:
    """A tokenizer's content, as `tokenizer.json` has it, and what is added to it."""

    tokenizer: Tokenizer
    plain: dict[str, Any] = field(init=False)
    next_id: int = field(init=False)

    def __post_init__(self) -> None:
        self.plain = json.loads(self.tokenizer.to_str())
        self.next_id = _num_ids(self.tokenizer)

    @property
    def model(self) -> dict[str, Any]:
        model: dict[str, Any] = self.plain["model"]
        return model

    def text(self, word: str) -> str:
        """The word as it stands within text."""
        return f" {word}" if self.model["type"] == "BPE" else word

    def cut(self, word: str) -> list[str]:
        """What the pre-tokenizer makes of it: one part, if it can be one token."""
        normalizer, splitter = self.tokenizer.normalizer, self.tokenizer.pre_tokenizer
        normal = self.text(word) if normalizer is None else normalizer.normalize_str(self.text(word))
        return [normal] if splitter is None else [part for part, _ in splitter.pre_tokenize_str(normal)]

    def token(self, place: int) -> str:
        """The token of an id that is there."""
        return str(self.tokenizer.id_to_token(place))

    def pieces(self, word: str) -> list[int]:
        return list(self.tokenizer.encode(self.text(word), add_special_tokens=False).ids)


def frequent_words(texts: Iterable[str], tokenizer: Tokenizer, count: int) -> list[str]:
    """The `count` most frequent words of at least `MIN_PIECES` pieces and `MIN_COUNT` occurrences; letters only.

    A function of the texts alone, whatever their order; words that are as frequent come in the order of the alphabet.
    """
    growing = _Growing(tokenizer)
    _check_kind(growing)
    raw: Counter[str] = Counter()
    for text in texts:
        raw.update(text.split())
    counts: Counter[str] = Counter()
    for one, times in raw.items():
        for word in _words(growing.cut(one), growing.model["type"]):
            counts[word] += times
    ranked = sorted((word for word in counts if counts[word] >= MIN_COUNT), key=lambda word: (-counts[word], word))
    found: list[str] = []
    candidates = filter(_is_of_letters, ranked)
    while len(found) < count and (some := list(islice(candidates, 4096))):
        encoded = tokenizer.encode_batch_fast([growing.text(word) for word in some], add_special_tokens=False)
        found += [word for word, one in zip(some, encoded, strict=True) if len(one.ids) >= MIN_PIECES]
    return found[:count]


def _words(parts: Sequence[str], kind: str) -> Iterator[str]:
    """The words among the parts of a text without white space: what stands behind a space, where that is a mark."""
    for part in parts:
        if kind == "WordPiece":
            yield part
        elif kind == "Unigram" and part.startswith(_MARK):
            yield part.removeprefix(_MARK)
        elif kind == "BPE" and (text := decoders.ByteLevel().decode([part])).startswith(" "):
            yield text.removeprefix(" ")


def _is_of_letters(word: str) -> bool:
    return bool(word) and all(unicodedata.category(one)[0] in "LM" for one in word)


def add_words(folder: Path, words: Sequence[str]) -> list[str]:
    """Make each word one token of the tokenizer in `folder`; those that are one already stay. The tokens that are new.

    Byte-level BPE gets to a word by merges, and each of their results is a token too.

    Raises:
        ConfigError: a word is cut, whatever the vocabulary; or tokens can't be added to such a tokenizer.
    """
    growing = _Growing(load_tokenizer(folder))
    _check_kind(growing)
    add = {"WordPiece": _add_to_wordpiece, "Unigram": _add_to_unigram, "BPE": _add_to_bpe}[growing.model["type"]]
    before = growing.next_id
    new: list[tuple[str, str]] = []
    for word in words:
        parts = growing.cut(word)
        if len(parts) != 1:
            cut = f"into {', '.join(parts)}" if parts else "away"
            raise ConfigError(f"tokenizer.add_tokens: '{word}' can't be one token: the tokenizer cuts it {cut}")
        new.append((word, parts[0]))
    add(growing, new)
    grown = _Growing(Tokenizer.from_str(json.dumps(growing.plain)))
    for word in words:
        if len(grown.pieces(word)) != 1:
            raise ConfigError(f"tokenizer.add_tokens: '{word}' can't be one token: it is too long for this tokenizer")
    given = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    growing.plain |= {name: given.get(name) for name in ("truncation", "padding")}  # taken off when it was loaded
    write_text(folder / "tokenizer.json", json.dumps(growing.plain, ensure_ascii=False, indent=2) + "\n")
    for name in _OLD_FORMS:
        (folder / name).unlink(missing_ok=True)
    return [grown.token(place) for place in range(before, growing.next_id)]


def _check_kind(growing: _Growing) -> None:
    model = growing.model
    if model["type"] in ("WordPiece", "Unigram"):
        return
    odd = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    is_byte_level = '"ByteLevel"' in json.dumps(growing.plain["pre_tokenizer"])
    if model["type"] != "BPE" or not is_byte_level or any(model.get(name) for name in odd):
        raise ConfigError("tokenizer.add_tokens: known for WordPiece, byte-level BPE and Unigram, and this is another")


def _add_to_wordpiece(growing: _Growing, words: Sequence[tuple[str, str]]) -> None:
    for _, part in words:
        if part not in growing.model["vocab"]:
            growing.model["vocab"][part] = growing.next_id
            growing.next_id += 1


def _add_to_unigram(growing: _Growing, words: Sequence[tuple[str, str]]) -> None:
    """Ids are places in the list, so tokens that are outside of it (such as `[MASK]`) get their place in it."""
    pieces: list[list[Any]] = growing.model["vocab"]
    least = min(score for _, score in pieces)
    pieces += [[growing.token(place), least] for place in range(len(pieces), growing.next_id)]
    known = {piece for piece, _ in pieces}
    for word, part in words:
        if part not in known:
            known.add(part)
            before = sum(pieces[piece][1] for piece in growing.pieces(word))
            pieces.append([part, max(before + _ADVANTAGE, least)])
    growing.next_id = len(pieces)


def _add_to_bpe(growing: _Growing, words: Sequence[tuple[str, str]]) -> None:
    """Merge what is left of each word from left to right, after all merges that there are."""
    vocabulary, merges = growing.model["vocab"], growing.model["merges"]
    ranks: dict[tuple[str, str], int] = {}
    for word, _ in words:
        pieces = [growing.token(piece) for piece in growing.pieces(word)]
        _merge(pieces, ranks)
        while len(pieces) > 1:
            pair = (pieces[0], pieces[1])
            ranks[pair] = len(ranks)
            merges.append(list(pair))
            pieces[:2] = ["".join(pair)]
            if pieces[0] not in vocabulary:
                vocabulary[pieces[0]] = growing.next_id
                growing.next_id += 1


def _merge(pieces: list[str], ranks: Mapping[tuple[str, str], int]) -> None:
    """Merge neighbours in place, those of the lowest rank first, then from left."""
    while True:
        places = [place for place in range(len(pieces) - 1) if (pieces[place], pieces[place + 1]) in ranks]
        if not places:
            return
        place = min(places, key=lambda one: (ranks[pieces[one], pieces[one + 1]], one))
        pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]


def added_tokens(old: Path, new: Path) -> dict[int, list[int]] | None:
    """For each token that the tokenizer in `new` has behind all of `old`'s: its id, and the ids it was before.

    {} where both are the same but for how they cut and pad; None where `new` is another tokenizer.

    Raises:
        MissingInputError, DataError: see `load_tokenizer`.
    """
    before, after = _Growing(load_tokenizer(old)), _Growing(load_tokenizer(new))
    if before.plain == after.plain:
        return {}
    size = before.next_id
    if after.next_id <= size or _without_new(after.plain, before.plain, size) != before.plain:
        return None
    ids = sorted(place for place in after.tokenizer.get_vocab().values() if place >= size)
    if before.model["type"] == "BPE":
        return _ids_by_merges(before, after, ids)
    return {place: _ids_of(before, after.token(place)) for place in ids}


def _without_new(plain: Mapping[str, Any], old: Mapping[str, Any], size: int) -> dict[str, Any]:
    """The content less what was added behind the first `size` ids."""
    model, vocabulary = dict(plain["model"]), plain["model"].get("vocab")
    if isinstance(vocabulary, dict):
        model["vocab"] = {token: place for token, place in vocabulary.items() if place < size}
    elif isinstance(vocabulary, list):
        model["vocab"] = vocabulary[: len(old["model"]["vocab"])]
    if "merges" in model and "merges" in old["model"]:
        model["merges"] = model["merges"][: len(old["model"]["merges"])]
    return {**plain, "model": model, "added_tokens": [one for one in plain["added_tokens"] if one["id"] < size]}


def _ids_of(before: _Growing, token: str) -> list[int]:
    text = token.removeprefix("##") if before.model["type"] == "WordPiece" else token.replace(_MARK, " ").strip()
    return list(before.tokenizer.encode(text, add_special_tokens=False).ids)


def _ids_by_merges(before: _Growing, after: _Growing, ids: Sequence[int]) -> dict[int, list[int]]:
    known = {token: [place] for token, place in before.model["vocab"].items()}
    for one, other in after.model["merges"][len(before.model["merges"]) :]:
        known.setdefault(one + other, known[one] + known[other])
    tokens = {place: after.token(place) for place in ids}
    return {place: known.get(token) or _ids_of(before, token) for place, token in tokens.items()}


def _num_ids(tokenizer: Tokenizer) -> int:
    return max(tokenizer.get_vocab().values(), default=-1) + 1

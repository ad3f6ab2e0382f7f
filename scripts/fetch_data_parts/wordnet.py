"""Reads WordNet's nouns: a definition with its supersense as label, and questions over definitions."""

import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fetch_data_parts.archives import read_members
from fetch_data_parts.rows import Dropped

NUM_SUPERSENSES = 26
WORDS_PER_CONTEXT = 5
NUM_QUESTIONS = 10_000
MAX_DEFINITION_CHARS = 200
# Of ten questions two ask for a word that the context doesn't explain.
UNANSWERED_OF_TEN = 2


@dataclass(frozen=True)
class Synset:
    """One meaning: its number in data.noun, the lexicographer's file, its first word, and the definition."""

    number: str
    supersense: str
    word: str
    definition: str


def supersenses(package: Path, dropped: Dropped) -> Iterator[dict[str, Any]]:
    """Definitions of all noun synsets, without their examples, labelled with one of the 26 noun supersenses."""
    for synset in _nouns(package):
        if not synset.definition:
            dropped["no definition"] += 1
            continue
        yield {
            "text": synset.definition,
            "label": synset.supersense,
            "word": synset.word,
            "group": f"noun-{synset.number}",
        }


def glosses_qa(package: Path, dropped: Dropped) -> Iterator[dict[str, Any]]:
    """Questions "What is a X?" over five definitions put together, in SQuAD's columns; one in five has no answer."""
    nouns = [noun for noun in _nouns(package) if 0 < len(noun.definition) <= MAX_DEFINITION_CHARS]
    meanings = Counter(noun.word.casefold() for noun in nouns)
    # A word with one meaning alone: the question then has one answer, and a word that isn't there really isn't.
    single = [noun for noun in nouns if meanings[noun.word.casefold()] == 1]
    dropped["a word with several meanings, or a definition too long"] += meanings.total() - len(single)
    single.sort(key=lambda noun: hashlib.sha256(noun.number.encode()).digest())
    step = WORDS_PER_CONTEXT + 1
    for number in range(min(NUM_QUESTIONS, len(single) // step)):
        *told, absent = single[number * step : (number + 1) * step]
        yield _question(number, told, absent)


def _question(number: int, told: list[Synset], absent: Synset) -> dict[str, Any]:
    starts = []
    context = ""
    for noun in told:
        subject = _with_article(noun.word)
        sentence = f"{subject[0].upper()}{subject[1:]} is {noun.definition}."
        starts.append(len(context) + len(subject) + len(" is "))
        context += f"{sentence} "
    picked = number % WORDS_PER_CONTEXT
    answered = number % 10 >= UNANSWERED_OF_TEN
    asked = told[picked] if answered else absent
    return {
        "context": context.rstrip(),
        "question": f"What is {_with_article(asked.word)}?",
        "answers": {
            "text": [asked.definition] if answered else [],
            "answer_start": [starts[picked]] if answered else [],
        },
        "id": f"glosses-{number:05d}",
    }


def _with_article(word: str) -> str:
    if word[0].isupper() or word[0].isdigit():
        return word
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _nouns(package: Path) -> Iterator[Synset]:
    """Lines of data.noun as wndb(5) has them; the supersenses' names are in the manual page lexnames(5)."""
    files = dict(read_members(package))
    manual = gzip.decompress(next(text for name, text in files.items() if name.endswith("lexnames.5WN.gz"))).decode()
    names = dict(re.findall(r"^(\d\d)\t(noun\.\S+)", manual, re.MULTILINE))
    assert len(names) == NUM_SUPERSENSES, names
    lines = next(text for name, text in files.items() if name.endswith("wordnet/data.noun")).decode("utf-8")
    for line in lines.splitlines():
        if line.startswith("  "):  # the licence at the top
            continue
        data, gloss = line.split(" | ", 1)
        fields = data.split()
        yield Synset(fields[0], names[fields[1]], fields[4].replace("_", " "), _definition(gloss))


def _definition(gloss: str) -> str:
    """The gloss up to its first example in quotes."""
    return re.split(r';\s*"', gloss, maxsplit=1)[0].strip().rstrip(";").strip()

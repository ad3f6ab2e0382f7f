"""Cleaning and counting as docs/prepare.md describes them, written again with Python's `re` and `unicodedata`."""

import re
import unicodedata
from functools import cache
from typing import Any

INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff]")
BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
SPACES = re.compile("[ \t\v\f\xa0\u1680\u2000-\u200a\u202f\u205f\u3000\n\r\x85\u2028\u2029]+")

#: Scripts without spaces, by what Unicode calls their characters.
UNSPACED = re.compile(
    r"(CJK|HANGZHOU|KANGXI|HIRAGANA|KATAKANA|BOPOMOFO|THAI|LAO|KHMER|MYANMAR|TAI|MASU|HENTAIGANA)\b"
    "|HALFWIDTH KATAKANA|NEW TAI LUE|COMBINING KATAKANA-HIRAGANA|VERTICAL (KANA|IDEOGRAPHIC)"
    "|IDEOGRAPHIC (ITERATION|CLOSING|NUMBER)"
)
SEPARATOR, LETTER, ALONE = range(3)


def clean(text: str, cleaners: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """The text behind all cleaners, and the names of those that changed it.

    Raises:
        KeyError: a cleaner isn't written again here.
    """
    changed = []
    for cleaner in cleaners:
        after = CLEANERS[cleaner["type"]](text, cleaner)
        changed += [cleaner["type"]] if after != text else []
        text = after
    return text, changed


def _unicode(text: str, cleaner: dict[str, Any]) -> str:
    return unicodedata.normalize(cleaner["form"], INVISIBLE.sub("", text))


def _whitespace(text: str, cleaner: dict[str, Any]) -> str:
    del cleaner

    def folded(match: re.Match[str]) -> str:
        breaks = len(BREAK.findall(match[0]))
        return " " if not breaks else "\n" if breaks == 1 else "\n\n"

    return SPACES.sub(folded, text).strip(" \n")


CLEANERS = {"unicode": _unicode, "whitespace": _whitespace}


@cache
def _class(character: str) -> int:
    if ord(character) >= 0x20000:
        return ALONE
    if not character.isalnum() and unicodedata.category(character)[0] != "M":
        return SEPARATOR
    return ALONE if UNSPACED.match(unicodedata.name(character, "")) else LETTER


def num_words(text: str) -> int:
    """A run of letters and digits is a word; in scripts without spaces each character is one."""
    count, before = 0, SEPARATOR
    for character in text:
        kind = _class(character)
        count += kind == ALONE or (kind == LETTER and before != LETTER)
        before = kind
    return count

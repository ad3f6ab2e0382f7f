"""Take private data out of texts: all scrubbers go over a text together, from left to right.

At each place of a text the scrubbers are tried in order of precedence. The first one whose pattern matches there, and
whose check holds, wins: its value is replaced, and the search goes on behind the value. Classes such as `\\d` and the
boundary `\\b` know ASCII only, so that a number is found between Chinese characters too.

One automaton for all patterns (RE2's `Set`) says in one run which scrubbers have anything to look at in a text; only
those search it, each for itself. So a refused candidate of one never makes another one read the text again, and the
time stays linear for hostile texts. Nothing here logs, and no message holds what was found.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from bmtool.data.settings import MIN_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bmtool.contracts import Scrubber

#: How many characters on either side of a value its check may look at.
CONTEXT_CHARS = 32

#: A refused match that is longer is passed over by its scrubber as a whole; behind a shorter one it goes on at the next
#: byte, which takes up to so many searches.
MAX_REFUSED_BYTES = 512

#: RE2's automaton is built as it reads; past its limit (8 MB by default) it is thrown away and built again.
_AUTOMATON_BYTES = 64 << 20

_LONGEST_CHARACTER_BYTES = 4


class Scrubbed(NamedTuple):
    """N texts without private data, and how much was found."""

    texts: pa.Array
    counts: dict[str, int]
    """How many values each scrubber replaced, by its name; one that found nothing is there with 0."""
    changed: int
    """In how many texts."""


def in_order(scrubbers: Sequence[Scrubber]) -> list[Scrubber]:
    """By precedence; those of equal precedence as they were listed."""
    return sorted(scrubbers, key=lambda scrubber: scrubber.precedence)


def check_key(key: bytes) -> None:
    """Raise ValueError if `key` is too short to keep pseudonyms from being guessed."""
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"a key of at least {MIN_KEY_BYTES} bytes is needed, this one has {len(key)}")


def scrub(texts: pa.Array, scrubbers: Sequence[Scrubber], key: bytes | None = None) -> Scrubbed:
    """Replace what the scrubbers find in N texts (string or large_string, without nulls).

    A tag is the scrubber's name, as in `[EMAIL]`. A pseudonym adds the first 32 bits of HMAC-SHA256 over name and
    normalised value, as in `[EMAIL_3f9a0c11]`: among 10,000 different values, two share one with a chance of 1 %.

    Raises:
        ValueError: a scrubber makes pseudonyms and `key` is missing or too short.
    """
    ordered = in_order(scrubbers)
    if any(scrubber.replace == "pseudonym" for scrubber in ordered):
        check_key(key or b"")
    if not ordered:
        return Scrubbed(texts, {}, 0)
    one_pass = _Pass(ordered, key or b"")
    changed = np.zeros(len(texts), bool)
    rewritten: list[bytes] = []
    for row, text in enumerate(texts.cast(pa.large_binary()).to_pylist()):
        new = one_pass.rewrite(text)
        if new is not None:
            changed[row] = True
            rewritten.append(new)
    if rewritten:
        values = pa.array(rewritten, pa.large_binary()).cast(texts.type)
        texts = pc.replace_with_mask(texts, pa.array(changed), values)
    counts = dict.fromkeys((scrubber.name() for scrubber in ordered), 0)
    for scrubber, count in zip(ordered, one_pass.counts, strict=True):
        counts[scrubber.name()] += count
    return Scrubbed(texts, counts, len(rewritten))


def stand_ins(text: bytes, scrubbers: Sequence[Scrubber], key: bytes | None = None) -> list[tuple[int, int, bytes]]:
    """(start, end, what stands in for it) of each value that `scrub` replaces in one text, in bytes and in order.

    Raises:
        ValueError: as `scrub`.
    """
    ordered = in_order(scrubbers)
    if any(scrubber.replace == "pseudonym" for scrubber in ordered):
        check_key(key or b"")
    one_pass = _Pass(ordered, key or b"")
    return [(found.value_start, found.value_end, one_pass.stand_in(found)) for found in one_pass.values(text)]


class _Patterns:
    """The patterns of some scrubbers, one by one and all in one automaton."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        options = re2.Options()
        options.max_mem = _AUTOMATON_BYTES
        self.single = [re2.compile(pattern.encode(), options) for pattern in patterns]
        self.any = re2.Set.SearchSet(options)
        for pattern in patterns:
            self.any.Add(pattern.encode())
        self.any.Compile()


@cache
def _compiled(patterns: tuple[str, ...]) -> _Patterns:
    """Kept for the life of the process: the automaton grows while it reads."""
    return _Patterns(patterns)


class _Pass:
    """One run over an array of texts."""

    def __init__(self, scrubbers: list[Scrubber], key: bytes) -> None:
        self.scrubbers = scrubbers
        self.key = key
        self.patterns = _compiled(tuple(scrubber.pattern() for scrubber in scrubbers))
        self.counts = [0] * len(scrubbers)

    def rewrite(self, text: bytes) -> bytes | None:
        """The text without private data; None if there is none in it."""
        parts: list[bytes] = []
        done = 0
        for found in self.values(text):
            parts += (text[done : found.value_start], self.stand_in(found))
            self.counts[found.scrubber] += 1
            done = found.value_end
        return b"".join([*parts, text[done:]]) if parts else None

    def values(self, text: bytes) -> Iterable[_Found]:
        """The private data of a text, in order."""
        which = self.patterns.any.Match(text)
        if not which:
            return ()
        searches = [_Search(text, self.scrubbers[index], self.patterns.single[index], index) for index in which]
        apart = _all_apart(searches)
        return _one_by_one(searches) if apart is None else apart

    def stand_in(self, found: _Found) -> bytes:
        """What is written in the place of a value."""
        scrubber = self.scrubbers[found.scrubber]
        tag = scrubber.name().upper()
        if scrubber.replace == "tag":
            return f"[{tag}]".encode()
        message = f"{scrubber.name()}\0{scrubber.normalised(found.value)}".encode()
        return f"[{tag}_{hmac.new(self.key, message, hashlib.sha256).hexdigest()[:8]}]".encode()


class _Found(NamedTuple):
    """A value in a text; places in bytes. In the order of these fields the first one wins."""

    start: int
    """Where the match starts: before the value, if the pattern has a group for it."""
    scrubber: int
    """Which one, in order of precedence."""
    value_start: int
    value_end: int
    value: str


class _Search:
    """Finds the values of one scrubber in a text."""

    def __init__(self, text: bytes, scrubber: Scrubber, pattern: Any, index: int) -> None:
        self.text = text
        self.scrubber = scrubber
        self.pattern = pattern
        self.has_groups = pattern.groups > 0
        self.index = index
        self.passed_over: list[tuple[int, int]] = []
        self.found: _Found | None = None

    def seek(self, place: int) -> _Found | None:
        """The first value whose match starts at or behind `place`."""
        self.found = None
        while (match := self.pattern.search(self.text, place)) is not None:
            first, last = start, end = match.span()
            if self.has_groups:
                start, end = match.span(match.lastindex or 0)
            value = self.text[start:end].decode()
            if self.scrubber.is_valid(value, *_context(self.text, start, end)):
                self.found = _Found(first, self.index, start, end, value)
                break
            place = first + 1
            if last - first > MAX_REFUSED_BYTES:
                self.passed_over.append((first, last))
                place = last
        return self.found

    def skip(self, start: int, end: int) -> None:
        """Bytes `start` to `end` are done: what was found in them, or passed over from there, doesn't count."""
        kept = [span for span in self.passed_over if span[0] < start] if self.passed_over else self.passed_over
        if kept != self.passed_over or (self.found is not None and self.found.start < end):
            self.passed_over = kept
            self.seek(max([end, *(span[1] for span in kept)]))


def _all_apart(searches: list[_Search]) -> list[_Found] | None:
    """All values in order, each scrubber's as if it were alone; None if two are in each other's way, which is rare."""
    values = []
    for search in searches:
        place = 0
        while (found := search.seek(place)) is not None:
            values.append(found)
            place = found.value_end
    values.sort()
    are_apart = all(one.value_end <= other.start for one, other in pairwise(values))
    return values if are_apart and not any(search.passed_over for search in searches) else None


def _one_by_one(searches: list[_Search]) -> Iterator[_Found]:
    """The first value of all, then the first one behind it, and so on."""
    for search in searches:
        search.passed_over = []
        search.seek(0)
    while found := min((search.found for search in searches if search.found is not None), default=None):
        yield found
        for search in searches:
            search.skip(found.start, found.value_end)


def _context(text: bytes, start: int, end: int) -> tuple[str, str]:
    """Up to CONTEXT_CHARS characters on either side; a character that is cut at the far end doesn't count."""
    reach = CONTEXT_CHARS * _LONGEST_CHARACTER_BYTES
    before = text[max(0, start - reach) : start].decode(errors="ignore")[-CONTEXT_CHARS:]
    return before, text[end : end + reach].decode(errors="ignore")[:CONTEXT_CHARS]

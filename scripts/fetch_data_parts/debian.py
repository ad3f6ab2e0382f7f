"""Reads Debian's descriptions of packages: their topics, their synopses, and their translations."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fetch_data_parts.rows import Dropped

# These sections tell what a package is made of, not what it is about.
NO_TOPICS = ("debug", "metapackages", "oldlibs", "tasks", "introspection", "localization", "libs", "libdevel", "doc")
# Smaller sections overlap with larger ones, and in 2,000 labels they have fewer than 40 examples.
MIN_TOPIC_RATIO = 0.02


@dataclass(frozen=True)
class Described:
    """A package of the list: the source it is built from, its section, and the MD5 of its English description."""

    name: str
    source: str
    section: str
    md5: str


@dataclass(frozen=True)
class Description:
    """A one-line synopsis and the paragraphs below it."""

    synopsis: str
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n\n".join((self.synopsis, *self.paragraphs))


def _topics(language: str, lists: Path, dropped: Dropped) -> Iterator[dict[str, Any]]:
    """Synopsis and description with the section as label; `group` is the source package, whose texts resemble."""
    descriptions = read_descriptions(lists, language)
    rows = []
    seen = set()
    for package in read_packages(lists):
        found = descriptions.get(package.md5)
        if found is None or package.section in NO_TOPICS:
            dropped["not described" if found is None else "a section that is no topic"] += 1
        elif found.text in seen:
            dropped["the same text again"] += 1
        else:
            seen.add(found.text)
            row = {"text": found.text, "label": package.section, "group": package.source, "id": package.name}
            rows.append(row)
    sizes = Counter(row["label"] for row in rows)
    for row in rows:
        if sizes[row["label"]] < MIN_TOPIC_RATIO * len(rows):
            dropped["a section of few packages"] += 1
        else:
            yield row


def debian_synopsis(lists: Path, dropped: Dropped) -> Iterator[dict[str, Any]]:
    """The description as source, the synopsis as target."""
    descriptions = read_descriptions(lists, "en")
    seen = set()
    for package in read_packages(lists):
        found = descriptions.get(package.md5)
        if found is None or not found.paragraphs:
            dropped["not described"] += 1
        elif found in seen:
            dropped["the same text again"] += 1
        else:
            seen.add(found)
            source = "\n\n".join(found.paragraphs)
            yield {"source": source, "target": found.synopsis, "group": package.source, "id": package.name}


def _translation(language: str, lists: Path, dropped: Dropped) -> Iterator[dict[str, Any]]:
    """English and translated synopses, and paragraphs where both sides have equally many."""
    english, translated = read_descriptions(lists, "en"), read_descriptions(lists, language)
    seen = set()
    for package in read_packages(lists):
        if package.md5 not in translated or package.md5 not in english:
            dropped["a description without a translation"] += 1
            continue
        for source, target in _aligned(english[package.md5], translated[package.md5], dropped):
            if (source, target) in seen:
                dropped["the same pair again"] += 1
            elif source == target:
                dropped["left in English"] += 1
            else:
                seen.add((source, target))
                yield {"source": source, "target": target, "group": package.source, "id": package.name}


def _aligned(english: Description, translated: Description, dropped: Dropped) -> Iterator[tuple[str, str]]:
    yield english.synopsis, translated.synopsis
    if len(english.paragraphs) != len(translated.paragraphs):
        dropped["paragraphs that don't pair up"] += len(english.paragraphs)
        return
    yield from zip(english.paragraphs, translated.paragraphs, strict=True)


def read_packages(lists: Path) -> Iterator[Described]:
    """The stanzas of "Packages", in their order."""
    for fields in _stanzas(lists / "Packages"):
        name = fields["Package"]
        source = fields.get("Source", name).split(" ")[0]  # it may be followed by a version
        yield Described(name, source, fields.get("Section", ""), fields["Description-md5"])


def read_descriptions(lists: Path, language: str) -> dict[str, Description]:
    """Descriptions by the MD5 of the English one they belong to."""
    found = {}
    for fields in _stanzas(lists / f"Translation-{language}"):
        synopsis, _, body = fields[f"Description-{language}"].partition("\n")
        paragraphs = tuple(_paragraphs(body, "" if language.startswith(("zh", "ja")) else " "))
        if synopsis.strip():
            found[fields["Description-md5"]] = Description(synopsis.strip(), paragraphs)
    return found


def _paragraphs(body: str, joint: str) -> Iterator[str]:
    """Wrapped lines joined; a line with a further indent starts a list's entry and keeps its own line (Policy 5.6.13).

    Chinese and Japanese lines are joined without a space, except where Latin letters meet.
    """
    for block in re.split(r"(?m)^ \.\s*$", body):
        text = ""
        for line in block.split("\n"):
            words = line.strip()
            if not words:
                continue
            if re.match(r"\s{2,}|\s[*+-]\s", line) and text:
                text += f"\n{words}"
            elif text and not joint and re.search(r"[ -~]$", text) and re.match(r"[ -~]", words):
                text += f" {words}"
            else:
                text += f"{joint if text else ''}{words}"
        if text:
            yield text


def _stanzas(path: Path) -> Iterator[dict[str, str]]:
    """Fields of each stanza of a control file; lines of continuation keep their indent."""
    for stanza in path.read_text(encoding="utf-8").split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.split("\n"):
            if line.startswith((" ", "\t")):
                fields[name] += f"\n{line}"
            elif line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if fields:
            yield fields


debian_topics = partial(_topics, "en")
debian_topics_ja = partial(_topics, "ja")
debian_translation = partial(_translation, "de")
debian_translation_ja = partial(_translation, "ja")
debian_translation_zh = partial(_translation, "zh_CN")

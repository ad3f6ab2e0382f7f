"""Reads ChatterBot's dialogs as rows of messages with roles, in English, Chinese and Japanese."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from fetch_data_parts.archives import read_members
from fetch_data_parts.rows import Dropped

# In these files a long entry is one question and several answers to it; in the others two people take turns.
SEVERAL_ANSWERS = ("computers", "emotion", "psychology")


def _dialog(language: str, package: Path, dropped: Dropped) -> Iterator[dict[str, Any]]:
    files = sorted(
        (name.rsplit("/", 1)[1].removesuffix(".yml"), content)
        for name, content in read_members(package)
        if f"/data/{language}/" in name and name.endswith(".yml")
    )
    seen = set()
    for topic, content in files:
        for entry in yaml.safe_load(content)["conversations"]:
            if not isinstance(entry, list) or not all(isinstance(text, str) and text.strip() for text in entry):
                dropped["not a list of texts"] += 1
                continue
            for turns in _conversations([text.strip() for text in entry], topic):
                if turns in seen:
                    dropped["the same conversation again"] += 1
                    continue
                seen.add(turns)
                roles = ("user", "assistant")
                messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(turns)]
                yield {"messages": messages, "topic": topic, "group": turns[0].casefold()}


def _conversations(texts: list[str], topic: str) -> Iterator[tuple[str, ...]]:
    """Whole pairs of question and answer: a question at the end that nobody answers has nothing to learn from."""
    if topic in SEVERAL_ANSWERS:
        yield from ((texts[0], answer) for answer in texts[1:])
    else:
        turns = tuple(texts[: len(texts) // 2 * 2])
        if turns:
            yield turns


dialog = partial(_dialog, "english")
dialog_zh = partial(_dialog, "chinese")
dialog_ja = partial(_dialog, "japanese")

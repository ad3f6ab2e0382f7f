"""What a dataset's folder holds, read by pyarrow, json and `tokenizers` alone."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from recount_ledger_parts.raw import UnknownError
from recount_ledger_parts.texts import num_words
from tokenizers import Tokenizer

#: The columns that a task reads: those with text, and those with a label.
TASKS: dict[str | None, tuple[tuple[str, ...], tuple[str, ...]]] = {
    None: (("text",), ()),
    "text_classification": (("text",), ("label",)),
    "translation": (("source", "target"), ()),
    "summarization": (("source", "target"), ()),
    "generation": (("prompt", "target"), ()),
    "similarity": (("text", "text_pair"), ()),
}


def arrow_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file."""
    with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as stream:
        for batch in stream:
            yield from batch.to_pylist()


class Artifact:
    """A dataset."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report = self._json("report.json")
        self.config = self._json("manifest.json")["config"]
        self.refused = [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]
        self.drops = list(arrow_rows(folder / "dropped.arrow"))
        task = self.config["task"] or {"type": None}
        if task["type"] not in TASKS or task.get("multi_label") or task.get("messages"):
            raise UnknownError(f"the task {task['type']}, whose columns aren't plain texts and labels")
        self.readable, self.labelled = TASKS[task["type"]]
        if task.get("pair"):
            self.readable = (*self.readable, "text_pair")
        self.splits = {
            name: [row for path in sorted((folder / name).glob("*.arrow")) for row in arrow_rows(path)]
            for name in self._json("dataset_dict.json")["splits"]
        }
        file = folder / "tokenizer" / "tokenizer.json"
        self.tokenizer = Tokenizer.from_file(str(file)) if file.exists() else None

    def _json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def theirs(self, source: dict[str, Any]) -> dict[str, tuple[list[str], bool, bool]]:
        """Our name -> (the names of the columns there, whether it is text, whether it needs a value)."""
        mapping = dict(self.config["columns"])
        for one in self.config["sources"]:
            mapping |= {name: name for name in one.get("columns") or {} if name not in mapping}
        mapping |= source.get("columns") or {}
        split = self.config["split"]
        whole = [name for name in (split.get("group"), split.get("time")) if name]
        needed = {*self.readable, *self.labelled, *whole}
        names = dict.fromkeys([*self.readable, *self.labelled, *mapping, *whole])
        return {name: (_several(mapping.get(name, name)), name in self.readable, name in needed) for name in names}

    @cache  # noqa: B019  # one artifact a process
    def ids(self) -> Counter[str]:
        """How often each id is in the splits."""
        return Counter(row["id"] for rows in self.splits.values() for row in rows)

    def texts(self) -> Iterator[tuple[str, str]]:
        """(id, text) of every row that stays."""
        for rows in self.splits.values():
            for row in rows:
                yield row["id"], "\x1f".join(row[name] for name in self.readable)

    def amounts(self) -> list[int]:
        """Rows, bytes and words of all splits."""
        stay = [text for _, text in self.texts()]
        num_bytes = sum(len(text.replace("\x1f", "").encode()) for text in stay)
        return [len(stay), num_bytes, sum(map(num_words, stay))]

    def text_bytes(self) -> dict[str, int]:
        """Of each split."""
        return {
            name: sum(len(row[one].encode()) for row in rows for one in self.readable)
            for name, rows in self.splits.items()
        }

    def lengths(self) -> Iterator[tuple[str, dict[str, int], list[list[int]]]]:
        """(split, spread, histogram by powers of two) of tokens in a corpus, else of bytes."""
        for name, rows in self.splits.items():
            sizes = sorted(
                len(row["input_ids"]) if self.tokenizer else sum(len(row[one].encode()) for one in self.readable)
                for row in rows
            )
            ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1}
            last = len(sizes) - 1
            spread = {key: sizes[math.ceil(last * share - 1e-9)] for key, share in ranks.items()} if sizes else {}
            bins = Counter(1 << (size.bit_length() - 1) if size else 0 for size in sizes)
            yield name, spread, [[edge, bins[edge]] for edge in sorted(bins)]

    def label_counts(self) -> dict[str, dict[str, int]]:
        """Rows by split and label."""
        found = {}
        for name, rows in self.splits.items():
            feature = self._json(f"{name}/dataset_info.json")["features"][self.labelled[0]]
            counts = Counter(feature["names"][row[self.labelled[0]]] for row in rows)
            found[name] = {label: counts[label] for label in feature["names"]}
        return found

    def other_ids(self) -> list[str]:
        """Rows whose ids aren't those that `tokenizers` gives."""
        if self.tokenizer is None:
            return []
        encode = self.tokenizer.encode
        rows = (row for each in self.splits.values() for row in each)
        return [row["id"] for row in rows if encode(row["text"], add_special_tokens=False).ids != row["input_ids"]]


def _several(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)

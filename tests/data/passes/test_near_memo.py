"""What is remembered of similar rows: a later dataset has the same bytes as one made from nothing."""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bmtool.artifacts.manifest import RESUME
from bmtool.config.model import validate
from bmtool.data.passes.collect import collect
from bmtool.data.passes.decide import Rows
from bmtool.data.passes.near_memo import NearMemo, _sealed, _unsealed
from bmtool.stages import prepare

sys.path.insert(0, str(Path(__file__).parents[2]))
from conftest import job_for, untimed


def job_with(folder: Path, cache: Path):
    return replace(job_for(folder), cache=cache)


def rows(seed: int, count: int) -> list[str]:
    """Texts of 40 words; each third is a copy of one before but for a word or six."""
    rng = np.random.default_rng(seed)
    texts: list[list[str]] = []
    for number in range(count):
        words = rng.integers(50_000, size=40).astype(str).tolist()
        if number % 3 == 2:
            words = list(texts[int(rng.integers(number))])
            for place in rng.choice(40, rng.integers(1, 4), replace=False):
                words[place] = "other"
        texts.append(words)
    return [" ".join(words) for words in texts]


ROWS = rows(0, 400)
FILES = {"b": ROWS[:150], "d": ROWS[150:300], "f": ROWS[300:390]}
NEW = [*ROWS[390:], *(f"{text} and more" for text in ROWS[5:200:20])]


def write(folder: Path, files: dict[str, list[str]]) -> None:
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, texts in files.items():
        lines = [json.dumps({"text": text, "label": "ab"[len(text) % 2]}) for text in texts]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def config(folder: Path, *, is_reversed: bool = False):
    # A source each: so every file is a unit of its own, however small.
    sources = [str(path) for path in sorted(folder.iterdir(), reverse=is_reversed)]
    settings = {"task": "text_classification", "sources": sources, "split": {"validation": 0.2, "test": 0.1}}
    return validate(prepare.Config, {**settings, "deduplicate": ["near"]})


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(untimed(path)).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and RESUME not in path.parts
    }


CHANGES = {
    "behind": {**FILES, "g": NEW},
    "in front": {"a": NEW, **FILES},
    "between": {**FILES, "c": NEW},
    "gone": {name: FILES[name] for name in ("b", "f")},
    "in another order": FILES,
    "changed": {**FILES, "d": [*NEW, *ROWS[155:300]]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_dataset_is_the_same_whatever_was_there_before(tmp_path, change):
    shelf = tmp_path / "cache"
    write(tmp_path / "in", FILES)
    prepare.run(config(tmp_path / "in"), job_with(tmp_path / "before", shelf))
    write(tmp_path / "in", CHANGES[change])
    plan = config(tmp_path / "in", is_reversed=change == "in another order")

    prepare.run(plan, job_with(tmp_path / "again", shelf))
    prepare.run(plan, job_for(tmp_path / "fresh"))

    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "fresh")


def memo_of(folder: Path, job) -> NearMemo:
    rules = prepare.row_rules(config(folder), {})
    return NearMemo(Rows(collect(rules, job).units), rules, 0.7, job)


def test_rows_are_known_by_their_numbers_of_now(tmp_path):
    write(tmp_path / "in", FILES)
    job = job_with(tmp_path / "before", tmp_path / "cache")
    summary = prepare.run(config(tmp_path / "in"), job)

    memo = memo_of(tmp_path / "in", job)
    compared, overlap = memo.compared(), memo.overlap()

    assert compared is not None
    assert overlap is not None
    assert compared.moved.place.tolist() == overlap.moved.place.tolist() == list(range(390))
    assert len(compared.pairs.first) > 30
    assert len(overlap.row) == summary["splits"]["validation"] + summary["splits"]["test"]
    assert len(summary["environment"]["kept"]["near"]) == len(list((tmp_path / "cache/near").glob("*/*"))) == 2


@pytest.mark.parametrize("damage", [b"", b"x" * 40, None])
def test_a_damaged_note_is_none(tmp_path, damage):
    write(tmp_path / "in", FILES)
    job = job_with(tmp_path / "out", tmp_path / "cache")
    prepare.run(config(tmp_path / "in"), job)

    for path in (tmp_path / "cache/near").glob("*/*"):
        path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)

    memo = memo_of(tmp_path / "in", job)
    assert memo.compared() is None
    assert memo.overlap() is None


def test_sealed_arrays_come_back_as_they_were():
    arrays = {"a": np.arange(5), "b": np.zeros((0, 3), np.uint8), "c": np.array([b"x", b"yy"])}

    back = _unsealed(_sealed(arrays))

    assert back is not None
    assert list(back) == list(arrays)
    assert all(np.array_equal(back[name], arrays[name]) and back[name].dtype == arrays[name].dtype for name in arrays)

"""Rows of an earlier dataset are found by their place among its sketches, whatever split they are in."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from bmtool.config.model import validate
from bmtool.data import storage
from bmtool.data.dataset import open_dataset
from bmtool.data.passes import earlier
from bmtool.data.passes.earlier import Earlier
from bmtool.data.similarity.fingerprints import sketch
from bmtool.data.text.documents import text_buffers
from bmtool.stages import prepare

sys.path.insert(0, str(Path(__file__).parents[2]))
from conftest import job_for


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A dataset of three splits in several batches each."""
    monkeypatch.setattr(storage, "MAX_BATCH_ROWS", 7)
    monkeypatch.setattr(earlier, "MAX_BATCH_ROWS", 10)
    path = tmp_path / "x.jsonl"
    rows = ({"text": f"one two three four five six {n}", "label": n % 2} for n in range(60))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = {
        "task": "text_classification",
        "sources": str(path),
        "deduplicate": [{"type": "near", "threshold": 1.0}],
        "split": {"validation": 0.3, "test": 0.3},
    }
    prepare.run(validate(prepare.Config, plan), job_for(tmp_path / "old"))
    return tmp_path / "old"


def test_texts_and_ids_are_those_of_the_rows(old):
    found = Earlier(old)
    rows = np.arange(len(found))

    texts, ids = found.texts(rows).to_pylist(), found.ids(rows)

    assert sorted(texts) == sorted(f"one two three four five six {n}" for n in range(60))
    by_id = {}
    for split in open_dataset(old).splits.values():
        by_id |= dict(zip(split.column("id").to_pylist(), split.column("text").to_pylist(), strict=True))
    assert [by_id[one] for one in ids] == texts


def test_some_rows_come_as_they_are_asked_for(old):
    found = Earlier(old)
    every, texts = found.ids(np.arange(60)), found.texts(np.arange(60)).to_pylist()

    assert found.ids(np.array([59, 0, 31, 31])) == [every[59], every[0], every[31], every[31]]
    assert found.texts(np.array([3, 40])).to_pylist() == [texts[3], texts[40]]
    assert found.texts(np.array([], np.int64)).to_pylist() == found.ids(np.array([], np.int64)) == []


def test_the_sketches_of_all_rows_come_part_by_part(old):
    found = Earlier(old)
    rows = found.texts(np.arange(60))

    assert max(len(part) for part in found.parts) == 10
    assert {part.split for part in found.parts} == {0, 1, 2}
    expected, _ = sketch(*text_buffers(rows))
    assert np.array_equal(np.concatenate([part.load() for part in found.parts]), expected)

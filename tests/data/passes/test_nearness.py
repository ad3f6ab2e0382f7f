"""Rows that are numbered over earlier datasets and this one; what is noted of overlap."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from bmtool.config.model import validate
from bmtool.data.dataset import open_dataset
from bmtool.data.passes.collect import collect
from bmtool.data.passes.decide import Rows
from bmtool.data.passes.earlier import Earlier
from bmtool.data.passes.nearness import _Texts
from bmtool.stages import prepare

sys.path.insert(0, str(Path(__file__).parents[2]))
from conftest import job_for


def plan(folder, name, texts, **more):
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": "ab"[n % 2]}) + "\n" for n, text in enumerate(texts)))
    settings = {"task": "text_classification", "sources": str(path), "deduplicate": ["near"], **more}
    return validate(prepare.Config, settings)


@pytest.fixture
def texts(tmp_path):
    """Two earlier datasets of 4 and 3 rows, one that is split, before one of 3 rows."""
    old = []
    for name, count, more in (("one", 4, {"split": {"test": 0.5}}), ("two", 3, {})):
        prepare.run(plan(tmp_path, name, [f"{name} {n}" for n in range(count)], **more), job_for(tmp_path / name))
        old.append(Earlier(tmp_path / name))
    rules = prepare.row_rules(plan(tmp_path, "new", [f"new {n}" for n in range(3)]), {})
    rows = Rows(collect(rules, job_for(tmp_path / "new")).units)
    return _Texts(old, rows, ["text"])


@pytest.mark.parametrize("wanted", [range(10), [0, 3, 4, 6, 7, 9], [5], [8], [2, 9], []])
def test_texts_are_those_of_earlier_datasets_first(texts, tmp_path, wanted):
    wanted = list(wanted)
    splits = open_dataset(tmp_path / "one")
    one = [*splits["train"].column("text").to_pylist(), *splits["test"].column("text").to_pylist()]
    every = [*one, *(f"two {n}" for n in range(3)), *(f"new {n}" for n in range(3))]

    assert texts.settled == 7
    if wanted:
        assert texts(np.array(wanted)).to_pylist() == [every[n] for n in wanted]


def test_ids_of_earlier_rows_come_in_any_order(texts):
    ids = texts.ids(np.arange(7))

    assert len(set(ids)) == 7
    assert texts.ids(np.array([6, 0, 4, 0])) == [ids[6], ids[0], ids[4], ids[0]]


def test_overlap_is_noted_by_split_with_examples(tmp_path):
    shared = "some words that many of these rows have in common and nothing else at all to speak of"
    some = [f"{shared} {n}" for n in range(60)]
    config = plan(tmp_path, "x", some, deduplicate=[], split={"validation": 0.3, "test": 0.3})

    summary = prepare.run(config, job_for(tmp_path / "out"))

    for name in ("validation", "test"):
        noted = summary["overlap"][name]
        assert noted["rows"] == noted["similar"] == summary["splits"][name]
        assert len(noted["examples"]) == min(20, noted["rows"])
        assert all(similarity >= noted["threshold"] == 0.7 for _, _, similarity in noted["examples"])


def test_rows_but_for_a_word_are_noted_apart_from_similar_ones_and_judged_with_them(tmp_path):
    rng = np.random.default_rng(0)
    own = [rng.integers(10**9, size=12).astype(str).tolist() for _ in range(40)]
    off = [[*words[:5], "other", *words[6:]] for words in own]
    texts = [" ".join(words) for words in [*own, *off]] + [f"{' '.join(words)}!" for words in own[:10]]
    limits = {"max_overlap": 0.4}
    config = plan(tmp_path, "x", texts, deduplicate=[], split={"test": 0.3}, limits=limits)

    summary = prepare.run(config, job_for(tmp_path / "out"))
    splits = {name: split.column("text").to_pylist() for name, split in open_dataset(tmp_path / "out").splits.items()}
    plain = [" ".join(text.rstrip("!").split()) for text in splits["train"]]
    similar = [text for text in splits["test"] if text.rstrip("!") in plain]
    twins = dict(zip(texts, [*texts[40:80], *texts[:40], *texts[40:50]], strict=True))
    edited = [text for text in splits["test"] if text not in similar and twins[text] in plain]

    noted = summary["overlap"]["test"]
    assert len(similar) > 2
    assert len(edited) > 5
    assert (noted["similar"], noted["edited"]) == (len(similar), len(edited))
    assert {similarity for _, _, similarity in noted["edited_examples"]} == {round(11 / 12, 3)}
    assert [one.passed for one in prepare.gates(config, summary)] == [False]
    assert any(line.endswith(f"{len(edited)} one that differs in a word") for line in prepare.describe(summary))

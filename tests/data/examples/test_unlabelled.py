"""Texts without labels: none that gives a held-out row away, every other counted, the surest answers of each label."""

import json

import numpy as np
import pytest
from bmtool.config.model import validate
from bmtool.data.dataset import open_dataset
from bmtool.data.examples.unlabelled import draw_texts, most_confident
from bmtool.stages import prepare


@pytest.fixture(scope="module")
def labelled(reviews):
    return open_dataset(reviews.folder)


@pytest.fixture(scope="module")
def pool(labelled, job_at, tmp_path_factory):
    """Texts of each split of the labelled rows, changed a little, and ten others."""
    folder = tmp_path_factory.mktemp("pool")
    texts = {name: labelled[name].column("text").to_pylist() for name in ("train", "validation", "test")}
    rows = [*texts["train"][:3], *[f"{text} indeed" for text in texts["validation"][:4]], *texts["test"][:5]]
    rows[0] = f"  {rows[0].upper()} "
    rows += [f"nobody has a word to say about item {i} of that list of mine" for i in range(10)]
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in rows), encoding="utf-8")
    settings = {"sources": str(folder / "texts.jsonl"), "tokenizer": {"type": "wordpiece", "vocab_size": 100}}
    work = job_at(folder / "dataset", {})
    prepare.run(validate(prepare.Config, settings), work.job)
    return open_dataset(work.job.folder)["train"]


def test_rows_that_are_held_out_or_have_a_label_are_left_out_and_counted(pool, labelled):
    texts, ledger = draw_texts(pool, labelled, max_texts=100, seed=0)

    assert ledger.rows_in == 22
    assert ledger.rows_out == len(texts) == 10
    assert ledger.dropped == {"not drawn": 0, "like a validation row": 4, "like a test row": 5, "has a label": 3}
    assert all("nobody has a word" in text for text in texts["text"].to_pylist())


def test_so_many_are_drawn_by_the_seed_and_stay_in_their_order(pool, labelled):
    first, again, other = (draw_texts(pool, labelled, max_texts=9, seed=seed)[0] for seed in (1, 1, 2))

    everything = pool.column("text").to_pylist()
    places = [everything.index(text) for text in first["text"].to_pylist()]
    assert first == again
    assert first != other
    assert places == sorted(places)
    assert draw_texts(pool, labelled, max_texts=9, seed=1)[1].dropped["not drawn"] == 13


def test_the_surest_share_of_each_labels_own_texts_is_kept():
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.95, 0.85, 0.75, 0.65])
    answers = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    probabilities = np.stack([np.where(answers == k, confidence, 1 - confidence) for k in (0, 1)], axis=1)

    assert most_confident(probabilities, np.array([0.5, 0.5]), 0.5).tolist() == [0, 1, 4, 5]
    assert most_confident(probabilities, np.array([0.25, 0.75]), 0.5).tolist() == [0, 4, 5]
    assert most_confident(probabilities, np.array([0.0, 1.0]), 1.0).tolist() == [4, 5, 6, 7]
    assert most_confident(probabilities[:0], np.array([0.5, 0.5]), 0.5).tolist() == []

"""What counts as the same answer, and that a bundle that isn't its checkpoint is told by numbers."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from bmtool.models.bundles.parity import compare, same_answers
from bmtool.models.files.checkpoint import open_model
from bmtool.models.files.inference import TorchModel
from bmtool.models.files.opening import load

sys.path.insert(0, str(Path(__file__).parents[2]))
from checkpoints import write_checkpoint

TEXTS = ["good movie", "the plot was very boring", "bad " * 60]
QUESTIONS = [{"question": "what was good", "context": text} for text in TEXTS]


class Moved(TorchModel):
    """A model whose values of one place are others."""

    def __init__(self, folder, task, place, by):
        super().__init__(open_model(folder, task.auto_class), task)
        self.place, self.by = place, by

    def values(self, batch):
        values = super().values(batch).copy()
        values[self.place] += self.by
        return values


def bundle(model, place, by):
    return dataclasses.replace(model, backend=Moved(model.folder, model.task, place, by))


@pytest.mark.parametrize("column", [0, 1])
def test_an_answer_that_starts_or_ends_elsewhere_is_another_one(tmp_path, column):
    model = load(write_checkpoint(tmp_path / "model", "questions"))
    rows = model.table(QUESTIONS[:1])
    [batch] = model.batches(model.examples(rows))
    values = model.backend.values(batch)
    places = slice(int(model.examples(rows).columns["context_starts"][0]), len(values) - 1)
    worst = int(values[places, column].argmin()) + places.start

    numbers = compare(model, bundle(model, (worst, column), 50.0), rows, tolerance=1e-3)

    assert (numbers["same_answers"], numbers["other_answers"]) == (0.0, 1)
    assert numbers["max_abs_difference"] == pytest.approx(50.0, abs=1e-3)


def test_the_same_model_gives_the_same_answers(tmp_path):
    model = load(write_checkpoint(tmp_path / "model", "questions"))

    numbers = compare(model, model, model.table(QUESTIONS), tolerance=1e-3)

    assert numbers == {
        "rows": 3, "same_tokens": True, "max_abs_difference": 0.0, "same_answers": 1.0, "other_answers": 0,
        "tolerance": 1e-3,
    }  # fmt: skip


def test_what_is_no_number_has_no_largest_difference(tmp_path):
    model = load(write_checkpoint(tmp_path / "model", "bert"))

    numbers = compare(
        model, bundle(model, (0, 0), np.nan), model.table([{"text": text} for text in TEXTS]), tolerance=1
    )

    assert numbers["max_abs_difference"] is None


def test_a_tie_within_the_tolerance_is_no_other_answer(tmp_path):
    model = load(write_checkpoint(tmp_path / "model", "bert"))
    rows = model.table([{"text": TEXTS[0]}])
    [batch] = model.batches(model.examples(rows))
    [logits] = model.backend.values(batch)
    second, best = np.argsort(logits)[-2:].tolist()
    other = bundle(model, (0, second), float(logits[best] - logits[second]) * 1.01)

    strict, lenient = (compare(model, other, rows, tolerance=tolerance) for tolerance in (1e-6, 1e3))

    assert (strict["same_answers"], strict["other_answers"]) == (0.0, 1)
    assert (lenient["same_answers"], lenient["other_answers"]) == (0.0, 0)


def test_other_tokens_are_told(tmp_path):
    model, upper = (write_checkpoint(tmp_path / name, "bert") for name in ("model", "upper"))
    content = (upper / "tokenizer.json").read_text()
    assert '"lowercase":true' in content.replace(" ", "")
    (upper / "tokenizer.json").write_text(content.replace(" ", "").replace('"lowercase":true', '"lowercase":false'))

    numbers = compare(load(model), load(upper), load(model).table([{"text": "Good Movie"}]), tolerance=1e-3)

    assert not numbers["same_tokens"]


def test_labels_texts_tags_and_ranks_count_and_probabilities_do_not():
    wanted = {
        "predictions": np.array([0, 1]),
        "probabilities": np.array([[0.9, 0.1], [0.4, 0.6]]),
        "tags": [np.array([1, 2]), np.array([3])],
        "scores": [np.array([0.1, 0.2]), np.array([0.3])],
        "texts": ["a", "b"],
    }

    assert same_answers(wanted, wanted | {"probabilities": np.zeros((2, 2)), "scores": [np.zeros(1)] * 2}, 2).all()
    assert same_answers(wanted, wanted | {"texts": ["a", "c"]}, 2).tolist() == [True, False]
    assert same_answers(wanted, wanted | {"predictions": np.array([1, 1])}, 2).tolist() == [False, True]
    assert same_answers(wanted, wanted | {"tags": [np.array([1, 2]), np.array([3, 4])]}, 2).tolist() == [True, False]

"""Kept predictions are read back as what metrics judged, and rows of two are put beside each other by their ids."""

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.scoring.answers import predictions_table, write_predictions
from bmtool.data.scoring.predictions import in_order, outputs_of, pair_rows, read_predictions
from bmtool.errors import DataError, MissingInputError

LABELS = ("bad", "fair", "good")
SHARES = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.25, 0.5, 0.25]], np.float32)


def words(*rows):
    return [np.array(row, np.int64) for row in rows]


KINDS = {
    "label": {
        "references": np.array([0, 2, 0]),
        "predictions": np.array([0, 2, 1]),
        "probabilities": SHARES,
        "nll": -np.log(SHARES.astype(np.float64)[[0, 1, 2], [0, 2, 0]]),
        "targets": np.ones(3, np.int64),
    },
    "labels": {
        "references": np.array([[1, 0, 0], [0, 0, 0], [1, 1, 1]], bool),
        "predictions": np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0]], bool),
        "probabilities": SHARES,
    },
    "all labels": {
        "references": np.array([[1, 0, 0], [0, 0, 0], [1, 1, 1]], bool),
        "predictions": np.ones((3, 3), bool),
        "probabilities": SHARES,
    },
    "tags": {"references": words([0, 1], [2], []), "predictions": words([0, 0], [1], [])},
    "number": {"references": np.array([1.0, 2.5, 3.0]), "predictions": np.array([1.5, 2.0, 3.5])},
    "target": {"references": [["a"], ["b", "c"], []], "predictions": ["a", "c", ""]},
    "ranks": {"ranks": [np.array([1]), np.array([2, 5]), np.array([], np.int64)]},
    "sums": {"nll": np.array([1.0, 2.0, 0.5]), "targets": np.array([3, 4, 1])},
}


def kept(folder, outputs, ids=("a", "b", "c")):
    if "tags" in folder.name:
        outputs = outputs | {"scores": [np.ones(len(row), np.float32) for row in outputs["predictions"]]}
    table = predictions_table(pa.chunked_array([list(ids)]), outputs, LABELS)
    write_predictions(folder / "predictions", table, "f" * 64)
    return read_predictions(folder / "predictions")


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_read_back_as_they_were(tmp_path, kind):
    outputs = KINDS[kind]

    found = outputs_of(kept(tmp_path / kind, outputs), LABELS)

    assert found.keys() == outputs.keys()
    for name, values in outputs.items():
        if isinstance(values, list):
            assert [list(row) for row in found[name]] == [list(row) for row in values]
        else:
            np.testing.assert_allclose(found[name], values, rtol=1e-6)


def test_scores_follow_their_labels_into_another_order(tmp_path):
    table = kept(tmp_path, KINDS["label"])
    other = ("good", "bad", "fair")

    found = outputs_of(in_order(table, LABELS, other), other)

    np.testing.assert_array_equal(found["probabilities"], SHARES[:, [2, 0, 1]])
    np.testing.assert_array_equal(found["references"], [1, 0, 1])


def test_a_label_that_the_checkpoint_does_not_know_is_named(tmp_path):
    table = kept(tmp_path, KINDS["label"])

    with pytest.raises(DataError) as error:
        outputs_of(table, ("bad", "fair", "great"))

    assert str(error.value) == "the label 'good' is none of those that the checkpoint knows: bad, fair, great"


def test_rows_are_paired_by_their_ids_and_the_others_are_counted(tmp_path):
    label = KINDS["label"]
    first = kept(tmp_path / "1", label, ("a", "b", "c"))
    second = kept(tmp_path / "2", label, ("c", "x", "a"))

    pairing = pair_rows(first, second)

    assert (pairing.first.tolist(), pairing.second.tolist()) == ([0, 2], [2, 0])
    assert (pairing.num_only_first, pairing.num_only_second, pairing.num_judged_otherwise) == (1, 1, 0)


def test_rows_with_another_right_answer_are_not_paired(tmp_path):
    first = kept(tmp_path / "1", KINDS["label"])
    second = kept(tmp_path / "2", KINDS["label"] | {"references": np.array([0, 1, 0])})

    pairing = pair_rows(first, second)

    assert pairing.first.tolist() == [0, 2]
    assert (pairing.num_only_first, pairing.num_judged_otherwise) == (0, 1)


def test_rows_with_one_id_are_paired_in_their_order(tmp_path):
    first = kept(tmp_path / "1", KINDS["label"], ("a", "b", "a"))
    second = kept(tmp_path / "2", KINDS["label"], ("a", "c", "a"))

    pairing = pair_rows(first, second)

    assert (pairing.first.tolist(), pairing.second.tolist()) == ([0, 2], [0, 2])


def test_predictions_that_are_not_there_are_missed(tmp_path):
    with pytest.raises(MissingInputError, match="no predictions are here"):
        read_predictions(tmp_path / "predictions")

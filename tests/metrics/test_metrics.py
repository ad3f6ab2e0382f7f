"""Every metric treats rows as the bootstrap needs it; labels, spans and likelihoods equal libraries' numbers."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bmtool.data.scoring.label_counts import class_counts, confusion, precision_recall_f1
from bmtool.data.scoring.scores import evaluate_metrics, readable
from bmtool.data.scoring.spans import spans
from bmtool.registry import METRICS
from seqeval.metrics import f1_score as seqeval
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    hamming_loss,
    log_loss,
    matthews_corrcoef,
    precision_score,
    recall_score,
)
from torchmetrics.functional.text import perplexity

sys.path.insert(0, str(Path(__file__).parent.parent))
from random_answers import BIO, LABELS, OUTPUTS, label_sets, one_label, tags


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("accuracy", lambda y, p: accuracy_score(y, p)),
        ("f1_macro", lambda y, p: f1_score(y, p, average="macro", zero_division=0)),
        ("f1_micro", lambda y, p: f1_score(y, p, average="micro")),
        ("precision_macro", lambda y, p: precision_score(y, p, average="macro", zero_division=0)),
        ("recall_macro", lambda y, p: recall_score(y, p, average="macro", zero_division=0)),
        ("mcc", matthews_corrcoef),
    ],
)
@pytest.mark.parametrize("shape", ["texts", "words"])
def test_label_metrics_equal_those_of_scikit_learn(name, reference, shape):
    outputs, labels = (one_label(), LABELS) if shape == "texts" else (tags(), BIO)
    flat = [outputs[key] if shape == "texts" else np.concatenate(outputs[key]) for key in ("references", "predictions")]

    value = evaluate_metrics([name], outputs, labels)[name]

    assert value == pytest.approx(reference(*flat), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("subset_accuracy", accuracy_score),
        ("hamming_loss", hamming_loss),
        ("f1_micro", lambda y, p: f1_score(y, p, average="micro")),
        ("f1_macro", lambda y, p: f1_score(y[:, :3], p[:, :3], average="macro")),  # the last label occurs nowhere
        ("precision_macro", lambda y, p: precision_score(y[:, :3], p[:, :3], average="macro")),
        ("recall_macro", lambda y, p: recall_score(y[:, :3], p[:, :3], average="macro")),
    ],
)
def test_metrics_of_sets_of_labels_equal_those_of_scikit_learn(name, reference):
    outputs = label_sets()

    value = evaluate_metrics([name], outputs, LABELS)[name]

    assert value == pytest.approx(reference(outputs["references"], outputs["predictions"]), abs=1e-12)


def test_the_correlation_of_labels_is_0_where_all_are_the_same():
    outputs = {"references": np.asarray([0, 1, 1]), "predictions": np.asarray([1, 1, 1])}

    assert evaluate_metrics(["mcc"], outputs, ("a", "b"))["mcc"] == 0 == matthews_corrcoef(*outputs.values())


def test_per_class_numbers_and_confusion_equal_those_of_scikit_learn():
    outputs = one_label()
    y, p = outputs["references"], outputs["predictions"]

    precision, recall, f1 = precision_recall_f1(class_counts(outputs, 4).sum(axis=0))

    for ours, theirs in ((precision, precision_score), (recall, recall_score), (f1, f1_score)):
        np.testing.assert_allclose(ours, theirs(y, p, labels=range(4), average=None, zero_division=0))
    np.testing.assert_array_equal(confusion(outputs, 4), confusion_matrix(y, p, labels=range(4)))


BIOES = ("O", *(f"{place}-{kind}" for place in "BIES" for kind in ("PER", "LOC")))


@pytest.mark.parametrize("labels", [BIO, BIOES])
def test_span_f1_equals_that_of_seqeval(labels):
    rng = np.random.default_rng(5)
    references = [rng.integers(0, len(labels), size) for size in rng.integers(1, 12, 60)]
    predictions = [
        np.where(rng.random(len(row)) < 0.7, row, rng.integers(0, len(labels), len(row))) for row in references
    ]
    expected = seqeval(*([[labels[tag] for tag in row] for row in rows] for rows in (references, predictions)))

    value = evaluate_metrics(["f1_span"], {"references": references, "predictions": predictions}, labels)["f1_span"]

    assert 0.2 < expected < 0.9
    assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("letters", ["BIES", "BMES", "BILU"])
def test_spans_are_the_same_in_every_scheme_of_tags(letters):
    first, inside, last, alone = labels = tuple(f"{letter}-PER" for letter in letters)
    tags = np.array([labels.index(tag) for tag in (first, inside, last, alone, alone, first, last, last)])

    starts, ends, types = spans(tags, np.zeros(len(tags)), labels)

    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == [(0, 2), (3, 3), (4, 4), (5, 6), (7, 7)]
    assert set(types) == {0}


@pytest.mark.parametrize(
    ("reference", "prediction", "value"),
    [
        (["B-PER", "I-PER", "O"], ["B-PER", "I-PER", "O"], 1.0),
        (["B-PER", "I-PER", "O"], ["I-PER", "I-PER", "O"], 1.0),  # a span may start with I-
        (["B-PER", "I-PER", "O"], ["B-PER", "B-PER", "O"], 0.0),  # two spans, none of them right
        (["B-PER", "I-PER", "O"], ["B-PER", "I-LOC", "O"], 0.0),
        (["B-PER", "O", "B-LOC"], ["B-PER", "O", "O"], 2 / 3),
        (["O", "O", "O"], ["O", "O", "O"], 0.0),
    ],
)
def test_a_span_counts_with_its_borders_and_its_type(reference, prediction, value):
    ids = [np.asarray([BIO.index(tag) for tag in tags]) for tags in (reference, prediction)]

    outputs = {"references": [ids[0]], "predictions": [ids[1]]}

    assert evaluate_metrics(["f1_span"], outputs, BIO)["f1_span"] == pytest.approx(value)


def test_a_span_ends_with_its_row():
    inside = np.asarray([BIO.index("I-PER")])
    outputs = {"references": [inside, inside], "predictions": [inside, np.asarray([BIO.index("O")])]}

    value = evaluate_metrics(["f1_span"], outputs, BIO)["f1_span"]

    assert value == pytest.approx(2 / 3)  # one of two spans: as one span over both rows it would be 0


def test_likelihood_metrics_equal_those_of_libraries_and_their_formulas():
    outputs = one_label()
    nats = outputs["nll"].sum()
    told = [torch.from_numpy(outputs[name])[None] for name in ("probabilities", "references")]

    names = ["loss", "perplexity", "bits_per_byte", "masked_accuracy", "next_sentence_accuracy"]
    values = evaluate_metrics(names, outputs, LABELS)

    assert values["loss"] == pytest.approx(log_loss(outputs["references"], outputs["probabilities"], labels=range(4)))
    assert values["perplexity"] == pytest.approx(perplexity(told[0].log(), told[1]).item())
    assert values["bits_per_byte"] == pytest.approx(nats / np.log(2) / outputs["bytes"].sum())
    assert values["masked_accuracy"] == pytest.approx(outputs["hits"].mean())
    assert values["next_sentence_accuracy"] == pytest.approx(outputs["pair_hits"].mean())


#: Every metric on every kind of outputs that it understands.
CASES = [
    pytest.param(name, kind, id=f"{name} of {kind}")
    for name in METRICS.names()
    for kind, (outputs, _) in OUTPUTS.items()
    if readable(METRICS.load(name)(), outputs)
]


def rows_of(outputs, rows):
    """The outputs of some rows."""
    return {
        key: [values[row] for row in rows] if isinstance(values, list) else values[rows]
        for key, values in outputs.items()
    }


def test_every_metric_understands_something():
    assert {case.values[0] for case in CASES} == set(METRICS.names())


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_statistics_of_a_row_are_its_own(name, kind):
    metric, (outputs, labels) = METRICS.load(name)(), OUTPUTS[kind]
    num_rows = len(next(iter(outputs.values())))

    whole = metric.statistics(outputs, labels)
    parts = [metric.statistics(rows_of(outputs, rows), labels) for rows in (range(20), range(20, num_rows))]

    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.shape[0] == num_rows
    assert whole.dtype == np.float64


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_row_that_counts_several_times_counts_as_several_rows(name, kind):
    metric, (outputs, labels) = METRICS.load(name)(), OUTPUTS[kind]
    num_rows = len(next(iter(outputs.values())))
    weights = np.random.default_rng(1).integers(0, 4, size=(3, num_rows))
    statistics = metric.statistics(outputs, labels)

    values = metric.values(statistics, weights.astype(np.float64))

    for value, times in zip(values, weights, strict=True):
        repeated = rows_of(outputs, np.repeat(np.arange(num_rows), times))
        assert value == pytest.approx(evaluate_metrics([name], repeated, labels)[name], rel=1e-12)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_without_any_row_a_metric_is_0_or_nan(name, kind):
    metric, (outputs, labels) = METRICS.load(name)(), OUTPUTS[kind]
    statistics = metric.statistics(outputs, labels)

    value = metric.values(statistics[:0], np.zeros((1, 0)))

    assert value.shape == (1,)
    assert value[0] == 0 or np.isnan(value[0])


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_metric_reads_only_the_columns_it_names(name, kind):
    metric, (outputs, labels) = METRICS.load(name)(), OUTPUTS[kind]

    metric.statistics({key: outputs[key] for key in metric.reads}, labels)

    assert not readable(metric, {key: outputs[key] for key in metric.reads[1:]})


@pytest.mark.parametrize(
    ("name", "kind"), [("accuracy", "target"), ("pearson", "label"), ("bleu", "tags"), ("f1_span", "label")]
)
def test_a_metric_is_not_for_answers_of_another_kind(name, kind):
    assert not readable(METRICS.load(name)(), OUTPUTS[kind][0])


def test_a_metric_that_is_no_sum_has_no_value_of_one():
    with pytest.raises(NotImplementedError) as error:
        METRICS.load("spearman")().value(np.zeros(2))

    assert str(error.value) == "spearman is no function of a sum over rows, and gives `values`"

"""Every metric equals an independent reference, and is a function of a sum over rows."""

import numpy as np
import pytest
from bmtool.data.scores import class_counts, confusion, evaluate_metrics, precision_recall_f1, readable, total
from bmtool.registry import METRICS
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, precision_score, recall_score

LABELS = ("a", "b", "c", "never")
BIO = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")


def texts(num_rows=200, seed=0):
    """Random answers; the label `never` occurs nowhere, `c` is never predicted."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(num_rows, 4)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    references = rng.integers(0, 3, size=num_rows)
    return {
        "references": references,
        "predictions": logits[:, :2].argmax(axis=1),
        "probabilities": probabilities,
        "nll": -np.log(probabilities[np.arange(num_rows), references]),
        "targets": np.ones(num_rows, dtype=np.int64),
        "hits": rng.integers(0, 2, size=num_rows),
        "bytes": rng.integers(1, 50, size=num_rows),
        "pairs": np.ones(num_rows, dtype=np.int64),
        "pair_hits": rng.integers(0, 2, size=num_rows),
    }


def words(num_rows=60, seed=0):
    """Random tags, among them broken spans (I- after O, I-LOC after B-PER) and rows without a word."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, size=num_rows)
    references = [rng.integers(0, len(BIO), size=n) for n in lengths]
    predictions = [np.where(rng.random(len(r)) < 0.7, r, rng.integers(0, len(BIO), size=len(r))) for r in references]
    return {"references": references, "predictions": predictions}


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("accuracy", lambda y, p: accuracy_score(y, p)),
        ("f1_macro", lambda y, p: f1_score(y, p, average="macro", zero_division=0)),
        ("f1_micro", lambda y, p: f1_score(y, p, average="micro")),
        ("precision_macro", lambda y, p: precision_score(y, p, average="macro", zero_division=0)),
        ("recall_macro", lambda y, p: recall_score(y, p, average="macro", zero_division=0)),
    ],
)
@pytest.mark.parametrize("shape", ["texts", "words"])
def test_label_metrics_equal_those_of_scikit_learn(name, reference, shape):
    outputs, labels = (texts(), LABELS) if shape == "texts" else (words(), BIO)
    flat = [outputs[key] if shape == "texts" else np.concatenate(outputs[key]) for key in ("references", "predictions")]

    value = evaluate_metrics([name], outputs, labels)[name]

    assert value == pytest.approx(reference(*flat), abs=1e-12)


def test_per_class_numbers_and_confusion_equal_those_of_scikit_learn():
    outputs = texts()
    y, p = outputs["references"], outputs["predictions"]

    precision, recall, f1 = precision_recall_f1(total(class_counts(outputs, 4)))

    for ours, theirs in ((precision, precision_score), (recall, recall_score), (f1, f1_score)):
        np.testing.assert_allclose(ours, theirs(y, p, labels=range(4), average=None, zero_division=0))
    np.testing.assert_array_equal(confusion(outputs, 4), confusion_matrix(y, p, labels=range(4)))


def conlleval_spans(tags):
    """Spans as conlleval's start and end rules give them, word by word."""
    found, start, kind = set(), None, None
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, new = tag.partition("-")
        if start is not None and (prefix in ("O", "B") or new != kind):
            found.add((start, place - 1, kind))
            start = None
        if prefix != "O" and start is None:
            start, kind = place, new
    return found


def test_span_f1_equals_that_of_conlleval():
    outputs = words()
    right = predicted = true = 0
    for reference, prediction in zip(outputs["references"], outputs["predictions"], strict=True):
        ours, theirs = (conlleval_spans([BIO[tag] for tag in row]) for row in (prediction, reference))
        right, predicted, true = right + len(ours & theirs), predicted + len(ours), true + len(theirs)
    assert 0 < right < predicted

    value = evaluate_metrics(["f1_span"], outputs, BIO)["f1_span"]

    assert value == pytest.approx(2 * right / (predicted + true))


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


def test_likelihood_metrics_equal_their_formulas():
    outputs = texts()
    nats = outputs["nll"].sum()

    names = ["loss", "perplexity", "bits_per_byte", "masked_accuracy", "next_sentence_accuracy"]
    values = evaluate_metrics(names, outputs, LABELS)

    assert values["loss"] == pytest.approx(log_loss(outputs["references"], outputs["probabilities"], labels=range(4)))
    assert values["perplexity"] == pytest.approx(np.exp(nats / 200))
    assert values["bits_per_byte"] == pytest.approx(nats / np.log(2) / outputs["bytes"].sum())
    assert values["masked_accuracy"] == pytest.approx(outputs["hits"].mean())
    assert values["next_sentence_accuracy"] == pytest.approx(outputs["pair_hits"].mean())


@pytest.mark.parametrize("name", METRICS.names())
def test_statistics_of_rows_add_up_to_the_statistics_of_all(name):
    metric = METRICS.load(name)()
    outputs, labels = (words(), BIO) if name == "f1_span" else (texts(), LABELS)
    some = {key: values[:20] for key, values in outputs.items()}
    rest = {key: values[20:] for key, values in outputs.items()}

    whole, parts = metric.statistics(outputs, labels), [metric.statistics(o, labels) for o in (some, rest)]

    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.shape[0] == len(outputs["references"])
    stacked = np.stack([total(whole), total(parts[0])])
    expected = [metric.value(total(whole)), metric.value(total(parts[0]))]
    np.testing.assert_array_equal(metric.value(stacked), expected)


@pytest.mark.parametrize("name", METRICS.names())
def test_a_metric_reads_only_the_columns_it_names(name):
    metric = METRICS.load(name)()
    outputs = texts()

    metric.statistics({key: outputs[key] for key in metric.reads}, LABELS)

    assert readable(metric, outputs)
    assert not readable(metric, {key: outputs[key] for key in metric.reads[1:]})

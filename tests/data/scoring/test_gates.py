"""Gates say what was asked and what was seen."""

import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data.scoring.gates import Gate, judge


def datasets(**metrics):
    scores = {name: {"value": value, "low": value - 0.1, "high": value + 0.1} for name, value in metrics.items()}
    return {"stars": {"metrics": scores, "baselines": {}}}


@pytest.mark.parametrize(
    ("gate", "value", "passed", "message"),
    [
        ({"min": 0.5}, 0.412, False, "accuracy 0.412 is below 0.5"),
        ({"min": 0.5}, 0.5, True, "accuracy 0.500 is at least 0.5"),
        ({"max": 0.5}, 0.512, False, "accuracy 0.512 is above 0.5"),
        ({"max": 0.5}, 0.412, True, "accuracy 0.412 is at most 0.5"),
        ({"min": 0.5}, 0.49999, False, "accuracy 0.49999 is below 0.5"),
    ],
)
def test_a_gate_tells_the_value_the_relation_and_the_threshold(gate, value, passed, message):
    [result] = judge([Gate(metric="accuracy", **gate)], datasets(accuracy=value))

    assert (result.passed, result.message) == (passed, message)


def test_a_metric_that_was_not_measured_fails_its_gate():
    [result] = judge([Gate(metric="f1_macro", min=0.5)], datasets(accuracy=0.9, loss=1.0))

    assert not result.passed
    assert result.message == "f1_macro was not measured (accuracy, loss were); add it to evaluate.metrics"


def test_with_several_datasets_the_message_names_its_own():
    both = {**datasets(accuracy=0.9), "genres": datasets(accuracy=0.1)["stars"]}

    results = judge([Gate(metric="accuracy", min=0.5)], both)

    assert [result.passed for result in results] == [True, False]
    assert results[1].message == "genres: accuracy 0.100 is below 0.5"


@pytest.mark.parametrize(
    ("gate", "passed", "message"),
    [
        ({"min": 0.69}, True, "accuracy 0.800 (0.700 to 0.900) is surely at least 0.69"),
        ({"min": 0.75}, False, "accuracy 0.800 (0.700 to 0.900) isn't surely at least 0.75"),
        ({"min": 0.85}, False, "accuracy 0.800 (0.700 to 0.900) is below 0.85"),
        ({"max": 0.9}, True, "accuracy 0.800 (0.700 to 0.900) is surely at most 0.9"),
        ({"max": 0.85}, False, "accuracy 0.800 (0.700 to 0.900) isn't surely at most 0.85"),
    ],
)
def test_a_sure_gate_is_met_by_the_whole_interval(gate, passed, message):
    [result] = judge([Gate(metric="accuracy", surely=True, **gate)], datasets(accuracy=0.8))

    assert (result.passed, result.message) == (passed, message)


DIFFERENCE = {"value": 0.05, "low": -0.01, "high": 0.11}
OVER_SEEDS = {"mean": 0.04, "low": 0.02, "high": 0.06, "values": [0.05, -0.01, 0.08]}


@pytest.mark.parametrize(
    ("gate", "passed", "message"),
    [
        ({"min": 0}, True, "accuracy minus tfidf +0.050 is at least 0"),
        ({"min": 0, "surely": True}, False, "accuracy minus tfidf +0.050 (-0.010 to +0.110) isn't surely at least 0"),
        (
            {"min": -0.02, "surely": True},
            True,
            "accuracy minus tfidf +0.050 (-0.010 to +0.110) is surely at least -0.02",
        ),
        ({"max": 0}, False, "accuracy minus tfidf +0.050 is above 0"),
        ({"min": 0.03, "seeds": "mean"}, True, "accuracy minus tfidf, the mean of 3 seeds, +0.040 is at least 0.03"),
        (
            {"min": 0, "seeds": "mean", "surely": True},
            True,
            "accuracy minus tfidf, the mean of 3 seeds, +0.040 (+0.020 to +0.060) is surely at least 0",
        ),
        ({"min": 0, "seeds": "worst"}, False, "accuracy minus tfidf, the worst of 3 seeds, -0.010 is below 0"),
    ],
)
def test_a_gate_may_be_on_the_difference_to_a_baseline(gate, passed, message):
    given = datasets(accuracy=0.9)
    given["stars"]["baselines"] = {"tfidf": {"accuracy": {"value": 0.85, "difference": DIFFERENCE}}}
    given["stars"]["seeds"] = {"metrics": {"accuracy": OVER_SEEDS}, "differences": {"tfidf": {"accuracy": OVER_SEEDS}}}

    [result] = judge([Gate(metric="accuracy", against="tfidf", **gate)], given)

    assert (result.passed, result.message) == (passed, message)


@pytest.mark.parametrize("seeds", [None, "mean"])
def test_what_was_not_compared_fails_its_gate(seeds):
    given = datasets(accuracy=0.9, loss=0.3)
    given["stars"]["baselines"] = {"tfidf": {"accuracy": {"value": 0.85, "difference": DIFFERENCE}}}
    given["stars"]["seeds"] = {"metrics": {"loss": OVER_SEEDS}, "differences": {"tfidf": {"accuracy": OVER_SEEDS}}}

    [result] = judge([Gate(metric="loss", against="tfidf", max=0, seeds=seeds)], given)

    assert (result.passed, result.message) == (False, "loss was not compared with tfidf, which has no loss here")


def test_the_worst_of_several_seeds_is_no_interval():
    with pytest.raises(ValidationError, match="the worst of several seeds has no interval"):
        validate(Gate, {"metric": "accuracy", "min": 0.5, "seeds": "worst", "surely": True})


@pytest.mark.parametrize(
    ("gate", "passed", "message"),
    [
        ({"min": 0.5, "seeds": "mean"}, True, "accuracy, the mean of 3 seeds, 0.600 is at least 0.5"),
        ({"min": 0.5, "seeds": "worst"}, False, "accuracy, the worst of 3 seeds, 0.400 is below 0.5"),
        ({"max": 0.7, "seeds": "worst"}, False, "accuracy, the worst of 3 seeds, 0.800 is above 0.7"),
        ({"min": 0.7}, True, "accuracy 0.900 is at least 0.7"),
    ],
)
def test_a_gate_may_ask_for_all_seeds(gate, passed, message):
    given = datasets(accuracy=0.9)
    given["stars"]["seeds"] = {
        "metrics": {"accuracy": {"mean": 0.6, "low": 0.1, "high": 1.1, "values": [0.6, 0.4, 0.8]}}
    }

    [result] = judge([Gate(metric="accuracy", **gate)], given)

    assert (result.passed, result.message) == (passed, message)


def test_a_gate_on_seeds_fails_where_there_is_one():
    [result] = judge([Gate(metric="accuracy", min=0.5, seeds="mean")], datasets(accuracy=0.9))

    assert not result.passed
    assert "was measured with one seed only" in result.message


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"metric": "acuracy", "min": 0.5}, "unknown metric 'acuracy'. Did you mean 'accuracy'?"),
        ({"metric": "acc", "min": 0.5}, "unknown metric 'acc'. Did you mean 'accuracy'?"),
        ({"metric": "roc_auc", "min": 0.5}, "unknown metric 'roc_auc'. Did you mean 'auroc'?"),
        ({"metric": "accuracy"}, "a gate needs exactly one of min and max"),
        ({"metric": "accuracy", "min": 0.1, "max": 0.2}, "a gate needs exactly one of min and max"),
    ],
)
def test_a_gate_that_says_nothing_is_refused(gate, message):
    with pytest.raises(ValidationError, match=message.replace("?", r"\?")):
        validate(Gate, gate)

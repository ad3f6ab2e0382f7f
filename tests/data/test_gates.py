"""Gates say what was asked and what was seen."""

import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data.gates import Gate, judge


def datasets(**metrics):
    return {"stars": {"metrics": {name: {"value": value} for name, value in metrics.items()}}}


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
    both = {**datasets(accuracy=0.9), "genres": {"metrics": {"accuracy": {"value": 0.1}}}}

    results = judge([Gate(metric="accuracy", min=0.5)], both)

    assert [result.passed for result in results] == [True, False]
    assert results[1].message == "genres: accuracy 0.100 is below 0.5"


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
    given["stars"]["seeds"] = {"metrics": {"accuracy": {"mean": 0.6, "values": [0.6, 0.4, 0.8]}}}

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

"""Studies are compared seed by seed: on the same rows, by the same metrics, or it is said what differs."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bmtool.errors import MissingInputError
from bmtool.metrics.accuracy import Accuracy
from bmtool.metrics.loss import Loss
from bmtool.metrics.recall_at import RecallAt
from bmtool.train.judging.other_studies import other_studies

sys.path.insert(0, str(Path(__file__).parents[2]))
from conftest import as_artifact

STUDY = {
    "seeds": [0, 1, 2],
    "metrics": {"accuracy": {"values": [0.7, 0.8, 0.9]}, "recall_at": {"values": [0.1, 0.2, 0.3]}},
}


@pytest.fixture
def compared(tmp_path, make_job):
    """What is found of another study's evaluation, as it was recorded."""

    def compared(metrics, seeds, *, rows="stars", split="test", study=STUDY, settings=None, others=()):
        summary = {"datasets": {"theirs": {"split": split, **({"seeds": study} if study else {})}}}
        other = as_artifact(tmp_path / "evaluate-1", "evaluation", summary, {"metrics": settings})
        manifest = replace(other.manifest, inputs={"data:theirs": {"path": "x", "fingerprint": rows}})
        data = {f"data:{name}": (tmp_path / name, "dataset") for name in ("stars", *others)}
        job = make_job(inputs={**data, "against:before": replace(other, manifest=manifest)})
        return other_studies(job, "stars", "test", metrics, seeds)

    return compared


def test_the_values_of_the_same_seeds_come_in_their_order(compared):
    assert compared([Accuracy(), Loss()], [2, 1]) == {"before": {"accuracy": [0.9, 0.8]}}


def test_a_metric_with_other_settings_is_another_one(compared):
    alike = {"type": "recall_at", **RecallAt(k=5).model_dump(mode="json")}

    assert compared([RecallAt(k=5)], [0, 1], settings=[alike]) == {"before": {"recall_at": [0.1, 0.2]}}
    with pytest.raises(MissingInputError, match="recall_at, and none of recall_at in the same way"):
        compared([RecallAt(k=5)], [0, 1])


@pytest.mark.parametrize("other", [{"rows": "films"}, {"split": "validation"}])
def test_other_rows_are_not_compared(compared, other):
    with pytest.raises(MissingInputError, match="it measured other rows than those of the test split of 'stars'"):
        compared([Accuracy()], [0, 1], **other)

    assert compared([Accuracy()], [0, 1], **other, others=["films"]) == {}


@pytest.mark.parametrize(
    ("study", "has"), [(STUDY, "it has the seeds 0, 1, 2, and 2, 3"), (None, "it has one seed, and 2, 3 are compared")]
)
def test_a_study_without_these_seeds_is_refused(compared, study, has):
    with pytest.raises(MissingInputError, match=has):
        compared([Accuracy()], [2, 3], study=study)

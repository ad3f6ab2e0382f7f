"""Baselines that copy: sentences are cut in every script, and lookups find the same source before the nearest."""

import pyarrow as pa
import pytest
from bmtool.baselines.copy_source import CopySource
from bmtool.baselines.lead import Lead
from bmtool.baselines.phrase_lookup import PhraseLookup
from bmtool.data.plain_models.lookup import best_count, lead, most_alike, sentences
from bmtool.tasks.summarization import Summarization
from bmtool.tasks.text_classification import TextClassification
from bmtool.tasks.translation import Translation


def data(**splits):
    return {name: pa.table({"source": rows[0], "target": rows[1]}) for name, rows in splits.items()}


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One. Two! Three?", ["One.", " Two!", " Three?"]),
        ('He said "no." Then 3.5 km more', ['He said "no."', " Then 3.5 km more"]),
        ("Title\nBody of it.\n\n", ["Title\n", "Body of it.\n\n"]),
        ("这部电影很好。演员也好。真的", ["这部电影很好。", "演员也好。", "真的"]),
        ("「はい。」と言った。終わり", ["「はい。」", "と言った。", "終わり"]),
        ("यह अच्छा है। बहुत", ["यह अच्छा है।", " बहुत"]),
        ("", []),
        ("  ", []),
    ],
)
def test_a_text_is_cut_into_sentences(text, pieces):
    assert sentences(text) == pieces


def test_the_lead_is_as_many_sentences_as_targets_are_long():
    sources = ["One two. Three four. Five six. Seven", "A b c d. E f g. H"]

    assert best_count(sources, ["Eight chars and more"] * 2) == 2
    assert best_count(sources, ["x"] * 2) == 1
    assert lead(sources[0], 2) == "One two. Three four."
    assert lead("", 1) == ""


def test_lead_learns_the_number_from_train_and_says_it(make_job):
    job = make_job()
    rows = data(train=(["One two. Three four. Five."], ["Uno dos. Tres cu"]), test=(["A. B. C. D."], ["?"]))

    outputs = Lead().predict(job, Summarization(), rows, "test", ())

    assert outputs == {"predictions": ["A. B."]}
    assert job.console.lines == ["lead: 2 sentences, by the length of the train split's targets"]
    assert Lead(num_sentences=3).predict(job, Summarization(), rows, "test", ()) == {"predictions": ["A. B. C."]}


def test_lookup_takes_the_same_source_and_else_the_nearest(make_job):
    train = (["a red ball", "a blue ball of paper", "a red ball"], ["rot", "blau", "nochmals rot"])
    rows = data(train=train, test=(["a red ball", "blue paper", "nothing known"], ["?"] * 3))

    outputs = PhraseLookup().predict(make_job(), Translation(), rows, "test", ())

    assert outputs == {"predictions": ["rot", "blau", "rot"]}


def test_nearest_works_in_scripts_without_spaces_and_on_nothing():
    assert most_alike(["这部电影很好看", "演员很差"], ["演员太差了", "电影好看"]) == [1, 0]
    assert most_alike(["", " "], ["x"]) == [0]


def test_copies_answer_tasks_that_write_and_no_others(make_job):
    rows = data(test=(["a", ""], ["b", "c"]))

    assert CopySource().predict(make_job(), Translation(), rows, "test", ()) == {"predictions": ["a", ""]}
    for baseline in (CopySource(), Lead(), PhraseLookup()):
        assert baseline.can_do(Summarization())
        assert not baseline.can_do(TextClassification())

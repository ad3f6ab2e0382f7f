"""A corpus that pretrain reads and rows that are tested, of the same files: whether something keeps the two apart."""

from pathlib import Path

import pytest
from bmtool.commands.check import check
from bmtool.console import Console
from bmtool.runner.apart import not_apart
from bmtool.runner.pipeline import load_pipeline

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
FILE = """\
version: 1
name: x
prepare:
  corpus: {{sources: a.csv, columns: {{text: body}}, split: {{validation: 0.1, test: 0.1{corpus}}}{more}}}
  rows:
    task: text_classification
    sources: {{type: csv, path: [b.csv, {path}], columns: {{text: body}}}}
    split: {{validation: 0.1, test: {test}{rows}}}
pretrain: {{data: corpus, model: {{architecture: bert, size: tiny}}, objective: mlm, max_steps: 2}}
finetune: {{data: rows, num_train_epochs: 1}}
"""
OTHER_TASK = """\
version: 1
name: x
prepare:
  corpus:
    {{sources: a.jsonl, columns: {{text: {text}}}, split: {{validation: 0.1}}, tokenizer: {{type: bpe, mask: true}}}}
  rows: {{task: {task}, sources: a.jsonl, split: {{validation: 0.1, test: 0.2{group}}}}}
pretrain: {{data: corpus, model: {{architecture: {model}, size: tiny}}, objective: {objective}, max_steps: 2}}
finetune: {{data: rows, num_train_epochs: 1}}
"""
QUESTIONS = {"task": "question_answering", "model": "bert", "objective": "mlm"}
CHATS = {"task": "{type: generation, messages: true}", "model": "gpt", "objective": "clm"}
OWN_ID = "question_answering, columns: {source_id: id}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv", "a.jsonl"):
        Path(name).touch()


def said(capsys, *, corpus="", more="", rows="", test="0.1", path="a.csv"):
    return warned(capsys, FILE.format(corpus=corpus, more=more, rows=rows, test=test, path=path))


def warned(capsys, text):
    Path("x.yaml").write_text(text)
    assert check([Path("x.yaml")], as_json=False, console=Console()) == 0
    return capsys.readouterr().err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"corpus": ", group: text"},
        {"corpus": ", group: text", "rows": ", group: text", "test": "0.2"},
        {"corpus": ", group: text", "rows": ", time: text"},
        {"corpus": ", group: text", "rows": ", group: text", "more": ", seed: 3"},
    ],
)
def test_a_corpus_that_reads_what_is_tested_is_warned_of(capsys, settings):
    text = said(capsys, **settings)

    assert (
        "warning: x.yaml: prepare.corpus and prepare.rows read a.csv and share out its rows each in its own way" in text
    )
    test = settings.get("test", "0.1")
    assert (
        f"Give both the same split with a group, such as {{validation: 0.1, test: {test}, group: text}}, or set "
        "prepare.corpus.decontaminate: [rows]" in text
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "settings",
    [
        {"corpus": ", group: text", "rows": ", group: text"},
        {"corpus": ", group: text", "rows": ", group: body"},
        {"corpus": ", group: author", "rows": ", group: author", "more": ", clean: [unicode]"},
        {"more": ", decontaminate: [rows]"},
        {"test": "0"},
        {"path": "b.csv"},
    ],
)
def test_nothing_is_said_where_they_are_kept_apart(capsys, settings):
    assert said(capsys, **settings) == ""


@pytest.mark.usefixtures("folder")
def test_the_group_that_the_rows_have_is_kept(capsys):
    text = said(capsys, corpus=", group: text", rows=", group: author")

    assert "such as {validation: 0.1, test: 0.1, group: author}, or set" in text


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("step", ["clean: [whitespace]", "scrub: [email]"])
def test_the_same_text_that_one_of_them_rewrites_is_another_group(capsys, step):
    text = said(capsys, corpus=", group: text", rows=", group: text", more=f", {step}")

    assert "group: text}, and the same clean and scrub (rows are shared out by the text that is left), or set" in text


@pytest.mark.usefixtures("folder")
def test_each_dataset_is_told_the_group_by_its_own_name(capsys):
    text = warned(capsys, OTHER_TASK.format(text="context", group="", **QUESTIONS))

    assert (
        "Set prepare.corpus.split: {validation: 0.1, test: 0.2, group: text} and "
        "prepare.rows.split: {validation: 0.1, test: 0.2, group: context}, or set prepare.corpus.decontaminate: [rows]"
    ) in text


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "more"),
    [("messages", {**CHATS, "group": ""}), ("context", {**QUESTIONS, "task": OWN_ID, "group": ", group: source_id"})],
    ids=["conversations", "an id of bmtool's own"],
)
def test_no_group_is_proposed_that_rows_cant_have(capsys, text, more):
    said = warned(capsys, OTHER_TASK.format(text=text, **more))

    assert "Give both the same split with a group, a column of that file with one value a row, or set" in said


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_no_example_pre_trains_on_what_it_tests(config, monkeypatch):
    monkeypatch.chdir(config.parents[1])

    assert not_apart(load_pipeline(config)) == []

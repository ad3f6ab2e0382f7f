"""A corpus that pretrain reads and rows that are tested, of the same files: whether something keeps the two apart."""

from pathlib import Path

import pytest
from bmtool.commands.check import check
from bmtool.console import Console

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


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        Path(name).touch()


def said(capsys, *, corpus="", more="", rows="", test="0.1", path="a.csv"):
    Path("x.yaml").write_text(FILE.format(corpus=corpus, more=more, rows=rows, test=test, path=path))
    assert check([Path("x.yaml")], as_json=False, console=Console()) == 0
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"corpus": ", group: text"},
        {"corpus": ", group: text", "rows": ", group: text", "test": "0.2"},
        {"corpus": ", group: text", "rows": ", time: text"},
        {"corpus": ", group: text", "rows": ", group: text", "more": ", seed: 3"},
        {"corpus": ", group: text", "rows": ", group: other"},
        {"corpus": ", group: text", "rows": ", group: text", "more": ", clean: [unicode]"},
        {"corpus": ", group: text", "rows": ", group: text", "more": ", scrub: [email]"},
    ],
)
def test_a_corpus_that_reads_what_is_tested_is_warned_of(capsys, settings):
    text = said(capsys, **settings)

    assert (
        "warning: x.yaml: prepare.corpus and prepare.rows read a.csv and share out its rows each in its own way" in text
    )
    assert "group: text}, and the same clean and scrub, or set prepare.corpus.decontaminate: [rows]" in text


@pytest.mark.parametrize(
    "settings",
    [
        {"corpus": ", group: text", "rows": ", group: text"},
        {"corpus": ", group: text", "rows": ", group: body"},
        {"corpus": ", group: body", "rows": ", group: body", "more": ", clean: [unicode]"},
        {"more": ", decontaminate: [rows]"},
        {"test": "0"},
        {"path": "b.csv"},
    ],
)
def test_nothing_is_said_where_they_are_kept_apart(capsys, settings):
    assert said(capsys, **settings) == ""

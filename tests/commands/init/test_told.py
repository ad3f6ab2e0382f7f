"""`init --column OURS=THEIRS` takes the columns that the user names, and says where they can't be what is said."""

import csv
from pathlib import Path

import pytest
from bmtool.commands.init.command import init
from bmtool.console import Console
from bmtool.errors import ConfigError
from bmtool.runner.pipeline import load_pipeline


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_csv(path, rows):
    rows = list(rows)
    with Path(path).open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def written(path, **flags):
    init(Path(path), console=Console(quiet=True), **flags)
    return load_pipeline(Path(path).with_suffix(".yaml"))


def words(n):
    return "".join(chr(ord("a") + (n // 26**place) % 26) for place in range(3))


@pytest.mark.parametrize(
    ("ours", "theirs", "task"),
    [
        ("score", "valence", {"type": "text_regression"}),
        ("label", "language", {"type": "text_classification"}),
    ],
)
def test_what_is_learned_can_be_said_where_no_name_tells_it(capsys, ours, theirs, task):
    rows = [{"word": words(n), "valence": n % 81 / 10, "language": f"l{n % 60}"} for n in range(300)]
    write_csv("words.csv", rows)
    init(Path("words.csv"), console=Console())
    said = capsys.readouterr().err
    assert "'language' has 60. If one is: --column label=NAME; if 'valence' is what is to be learned" in said

    pipeline = written("words.csv", columns={ours: theirs}, force=True)

    learned = next(one for name, one in pipeline.prepare.items() if name != "corpus")
    assert (learned.task.name(), learned.columns[ours]) == (task["type"], theirs)


def test_text_and_group_can_be_said(capsys):
    rows = [{"label": words(n), "kind": f"k{n % 10}", "family": f"f{n % 100}"} for n in range(300)]
    write_csv("emoji.csv", rows)

    pipeline = written("emoji.csv", columns={"text": "label", "label": "kind", "group": "family"})

    assert pipeline.prepare["kind"].columns == {"text": "label", "label": "kind"}
    assert pipeline.prepare["kind"].split.group == "family"


def test_the_task_that_is_asked_for_is_not_left_out_where_no_column_is_its_label():
    write_csv("words.csv", ({"word": words(n), "language": f"l{n % 60}"} for n in range(300)))

    with pytest.raises(ConfigError, match=r"--task text_classification: no column looks .* 'language' has 60. If one"):
        init(Path("words.csv"), task="text_classification", console=Console())

    assert not Path("words.yaml").exists()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"points": "stars"}, "--column points=stars: a task reads answers, .*, words, and no 'points'"),
        ({"text": "bdy"}, "--column text=bdy: there is no column 'bdy'. The columns are: id, customer, body, stars"),
        ({"score": "body"}, "--column score=body: 'score' is a number, and 'body' holds text"),
        (
            {"target": "body"},
            "--column target=body: no task reads just target=body of the columns id, .* Say with --task",
        ),
    ],
)
def test_a_column_that_can_not_be_what_is_said_is_refused(columns, message):
    write_csv("reviews.csv", ({"id": n, "customer": n % 60, "body": f"good {n}", "stars": n % 5} for n in range(300)))

    with pytest.raises(ConfigError, match=f"^{message}"):
        init(Path("reviews.csv"), columns=columns, console=Console())

"""`bmtool prepare FILE --sample 1%`, through the real command: it shows, and leaves nothing behind."""

import json
import os
from pathlib import Path

import pytest
from bmtool.cli import app
from bmtool.data.readers.advice import TO_LINES
from typer.testing import CliRunner

CONFIG = """\
version: 1
name: x
prepare:
  corpus:
    sources: a.jsonl
    filters: {type: length, min_chars: 40, max_chars: 1000}
    scrub: email
  other:
    sources: a.jsonl
"""
TEXTS = [
    "short",
    "\x1b[31mred\x07 \u202ereversed",
    "mail canary.person@example.com",
    "x" * 30 + " canary.edge@example.com " + "y" * 200,
    "long enough to stay, and that is all there is to say about this text of mine",
    "z" * 2000,
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("c.yaml").write_text(CONFIG)
    Path("a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS) + "{broken\n")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["prepare", *arguments])


def document(*arguments):
    done = run(*arguments, "--json")
    read = json.loads(done.stdout)
    assert read["exit_code"] == done.exit_code
    return read


def test_each_dataset_gets_a_table_and_nothing_is_written(folder):
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    done = run("c.yaml", "--sample", "100%")

    assert done.exit_code == 0
    assert "corpus: 100 % of the rows are 6 of 6\n1 of 7 rows can't be read: 1 " in done.stdout
    assert "\nother: 100 % of the rows are 6 of 6\n" in done.stdout
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_offline_holds_for_a_look_too(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")

    run("c.yaml", "--sample", "100%", "--offline")

    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_counts_and_examples_are_in_the_table():
    lines = [" ".join(line.split()) for line in run("c.yaml", "corpus", "--sample", "1").stdout.splitlines()]

    assert "length 2 4 66.7 % 2" in lines
    assert "min_chars 3 50.0 % 3 3 50.0 %" in lines
    assert "max_chars 1 16.7 % 1 1 16.7 %" in lines
    assert "5 < 40 a.jsonl:1 short" in lines
    assert "email 1 1" in lines


def test_the_table_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")

    lines = run("c.yaml", "corpus", "--sample", "1").stdout.splitlines()

    tables = [line for line in lines if not line.startswith(("drops:", "Not judged", "All rows", "A small sample"))]
    assert max(map(len, tables)) <= 60


def test_private_values_and_control_characters_never_show():
    done = run("c.yaml", "--sample", "1")
    read = document("c.yaml", "--sample", "1")

    for text in (done.output, json.dumps(read, ensure_ascii=False)):
        assert "canary" not in text
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
        assert "mail [EMAIL]" in text


def test_an_example_is_no_longer_than_80_characters():
    rules = document("c.yaml", "corpus", "--sample", "1")["results"][0]["summary"]["rules"]

    texts = [example["text"] for rule in rules for example in rule["examples"]]
    assert max(map(len, texts)) == 80


def test_json_is_one_document():
    read = document("c.yaml", "corpus", "--sample", "1")

    [result] = read["results"]
    summary = result["summary"]
    assert (read["command"], read["exit_code"], read["error"]) == ("prepare", 0, None)
    assert (result["stage"], result["dataset"], result["status"], result["sample"]) == (
        "prepare",
        "corpus",
        "preview",
        1.0,
    )
    assert summary["rows_in"] == summary["rows"] + sum(summary["rejected"].values()) == 7
    assert summary["rows"] == summary["kept"] + sum(summary["lost"].values())
    short, long = summary["rules"]
    assert (short["rule"], short["drops"], short["fails"], short["judged"]) == ("min_chars", 3, 3, 6)
    assert (long["rule"], long["drops"], long["fails"], long["judged"]) == ("max_chars", 1, 1, 6)
    assert [one["value"] for one in short["examples"]] == [5, 19, 30]
    assert {one["threshold"] for one in short["examples"]} == {40}
    assert set(summary["cpu_seconds"]) == set(summary["cpu_seconds_of_all"])
    assert summary["workers"] >= 1


def test_cost_is_shared_by_the_configured_workers():
    read = document("c.yaml", "corpus", "--sample", "1", "--set", "runtime.workers=4")

    summary = read["results"][0]["summary"]
    assert summary["workers"] == 4
    assert summary["seconds_of_all"] == pytest.approx(sum(summary["cpu_seconds_of_all"].values()) / 4, abs=1e-3)


@pytest.mark.parametrize("share", ["50%", "0.5", "5e-1"])
def test_a_share_is_written_as_everywhere_else(share):
    assert document("c.yaml", "other", "--sample", share)["results"][0]["sample"] == 0.5


@pytest.mark.parametrize("share", ["0", "0%", "101%", "1.5", "-1%", "nan", "all", ""])
def test_what_is_no_share_is_refused(share):
    done = run("c.yaml", f"--sample={share}")

    assert done.exit_code == 2
    expected = "expected a share of the rows above none and up to all, such as 1% or 0.01"
    assert done.stderr == f"error: --sample {share}: {expected}\n"


@pytest.mark.parametrize(
    "flags", [["--force"], ["--dry-run"], ["--locked"], ["--max-time", "2h"], ["--wait", "1h"]], ids=lambda one: one[0]
)
def test_flags_that_make_something_are_refused(flags, folder):
    done = run("c.yaml", "--sample", "1%", *flags)

    assert done.exit_code == 2
    assert done.stderr == (
        f"error: --sample looks at rows and makes nothing, so that {flags[0]} can't be with it. Leave one out\n"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["a.jsonl", "c.yaml"]


def test_an_unknown_dataset_is_an_error_in_the_document_too():
    read = document("c.yaml", "corpsu", "--sample", "1%")

    assert read["exit_code"] == 2
    assert read["error"] == (
        "c.yaml: there is no dataset 'corpsu' under 'prepare'. Did you mean 'corpus'? Known: corpus, other"
    )


def test_a_missing_source_is_66():
    Path("a.jsonl").unlink()

    assert run("c.yaml", "--sample", "1%").exit_code == 66


def test_a_file_of_which_no_row_can_be_read_is_not_taken_for_a_small_sample():
    Path("a.jsonl").write_text(json.dumps([{"text": text} for text in TEXTS]))

    done = run("c.yaml", "corpus", "--sample", "50%")

    assert f"warning: corpus: no row could be read. {TO_LINES}\n" in done.stderr
    assert "Take a larger share" not in done.stderr


def test_a_sample_without_rows_says_so():
    done = run("c.yaml", "corpus", "--sample", "0.0001%")

    assert done.exit_code == 0
    assert "warning: corpus: a sample of 0.0001 % of 6 rows holds none. Take a larger share\n" in done.stderr


def test_a_rule_that_fails_nearly_all_is_a_warning_even_when_quiet():
    done = run(
        "c.yaml", "corpus", "--sample", "1", "-q", "--set", "prepare.corpus.filters=[{type: length, min_chars: 3000}]"
    )

    assert done.exit_code == 0
    assert done.stderr == "warning: corpus: length.min_chars fails 6 of 6 rows (100.0\N{NO-BREAK SPACE}%)\n"

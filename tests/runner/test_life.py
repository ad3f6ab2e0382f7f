"""A run makes what its fingerprint says, or nothing."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bmtool.artifacts.store import Store
from bmtool.commands.make import Request, make
from bmtool.console import Console
from bmtool.runner.life import Options
from bmtool.stages import prepare
from datasets import load_from_disk

CONFIG = """\
version: 1
name: x
prepare:
  stars: {task: text_classification, sources: data, columns: {label: stars}}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("c.yaml").write_text(CONFIG.replace("sources: data", "sources: {type: jsonl, path: data}"))
    for name in "ab":
        write(name, 5)


def write(name, count):
    rows = ({"text": f"text {name} {n}", "stars": n % 2} for n in range(count))
    Path(f"data/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run():
    request = Request("prepare", Path("c.yaml"), ("prepare",), None, False, None, Options())
    return make(request, Console())


CHANGES = {
    "a.jsonl": lambda: write("a", 6),
    "c.jsonl": lambda: write("c", 1),
    "b.jsonl": lambda: Path("data/b.jsonl").unlink(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_no_part_of_an_artifact(project, monkeypatch, capsys, name):
    plain = prepare.run

    def change_meanwhile(config, job):
        summary = plain(config, job)
        CHANGES[name]()
        return summary

    monkeypatch.setattr(prepare, "run", change_meanwhile)

    code = run()
    monkeypatch.setattr(prepare, "run", plain)
    after = list(Path("runs/store").glob("prepare-*"))
    again = run()

    assert code == 75
    assert f"prepare stars: {name} changed while it was read. Run the command again\n" in capsys.readouterr().err
    assert after == []
    assert again == 0
    summary = Store(Path("runs")).named("x/prepare/stars").summary
    assert summary["splits"]["train"] == sum(len(path.read_text().splitlines()) for path in Path("data").iterdir())


WHOLE = """\
version: 1
name: x
runtime: {workers: 1}
prepare:
  pages: {sources: {type: %s, path: data}, tokenizer: {type: bpe, vocab_size: 300}}
"""


def table(text):
    pq.write_table(pa.table({"text": [text] * 3}), "data/a.parquet")


KINDS = {
    "parquet": table,
    "markdown": lambda text: Path("data/a.md").write_text(text),
    "jsonl": lambda text: Path("data/a.jsonl").write_text(json.dumps({"text": text}) + "\n"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_stood_in_a_file_for_a_moment_is_never_taken_for_what_was_hashed(project, monkeypatch, capsys, kind):
    """A download that writes the same file again in place: its first hash is right, and so is its last."""
    Path("data/a.jsonl").unlink()
    Path("data/b.jsonl").unlink()
    write_file, plain = KINDS[kind], prepare.run
    write_file("the text that was hashed")
    Path("c.yaml").write_text(WHOLE % kind)

    def read_meanwhile(config, job):
        write_file("a text of another day")
        try:
            return plain(config, job)
        finally:
            write_file("the text that was hashed")

    monkeypatch.setattr(prepare, "run", read_meanwhile)
    code = run()
    said = capsys.readouterr().err
    monkeypatch.setattr(prepare, "run", plain)
    again = run()

    assert (code, again) == (75, 0)
    assert "the file changed while it was read. Run the command again\n" in said
    rows = load_from_disk(Store(Path("runs")).named("x/prepare/pages").folder)["train"]
    assert set(rows["text"]) == {"the text that was hashed"}


def add_finetune(data, metric):
    Path("c.yaml").write_text(
        Path("c.yaml").read_text()
        + f"finetune: {{data: {data}, from: ./later/, max_steps: 1, metric_for_best_model: {metric}}}\n"
    )


def test_what_a_file_says_wrong_is_told_also_of_a_stage_that_does_not_run(project, capsys):
    Path("c.yaml").write_text(Path("c.yaml").read_text().replace("stars}}", "stars}, split: {validation: 0.5}}"))
    add_finetune("stars", "f1_span")

    assert run() == 2
    assert "metric_for_best_model: text_classification isn't measured by f1_span" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_what_lies_outside_of_the_file_is_asked_for_by_the_stage_that_reads_it(project):
    add_finetune("./rows-of-tomorrow/", "accuracy")

    assert run() == 0

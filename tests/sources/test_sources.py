import gzip
import json
import sys
from pathlib import Path

import pytest
from bmtool.config.model import ValidationError, validate, what
from bmtool.data.readers.advice import TO_LINES
from bmtool.data.readers.chosen import ChooseSource
from bmtool.registry import SOURCES
from bmtool.sources.csv import Csv
from bmtool.sources.docstrings import Docstrings
from bmtool.sources.html import Html
from bmtool.sources.jsonl import Jsonl
from bmtool.sources.markdown import Markdown
from bmtool.sources.parquet import Parquet
from bmtool.sources.text import Text
from bmtool.sources.warc import Warc
from pydantic_core import PydanticCustomError

sys.path.insert(0, str(Path(__file__).parent.parent))
from reading import read_source

choose = ChooseSource(SOURCES)


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ("data/*.jsonl.gz", Jsonl(path="data/*.jsonl.gz")),
        ("a.ndjson", Jsonl(path="a.ndjson")),
        ("${HOME}/A.CSV", Csv(path="${HOME}/A.CSV")),
        ("a.tsv.gz", Csv(path="a.tsv.gz")),
        ("x/y.parquet", Parquet(path="x/y.parquet")),
        ("a.JSONL.zst", Jsonl(path="a.JSONL.zst")),
        ("a.warc.gz", Warc(path="a.warc.gz")),
        ("a.md", Markdown(path="a.md")),
        ("a.txt", Text(path="a.txt")),
        ("*.html", Html(path="*.html")),
        ("docstrings", Docstrings()),
        ({"path": ["a.csv", "b.csv"]}, Csv(path=("a.csv", "b.csv"))),
        ({"type": "jsonl", "path": "notes.txt"}, Jsonl(path="notes.txt")),
        ({"path": "a.jsonl", "columns": {"text": "body"}}, Jsonl(path="a.jsonl", columns={"text": "body"})),
        ({"type": "docstrings", "packages": ["numpy"]}, Docstrings(packages=("numpy",))),
    ],
)
def test_the_type_follows_from_the_ending(written, source):
    chosen = choose(written)

    assert type(chosen) is type(source)
    assert chosen == source


@pytest.mark.parametrize(
    "written", ["notes.doc", {"path": "notes.doc"}, "-", "folder/", 5, {}, {"type": "jsonll", "path": "x"}]
)
def test_what_has_no_known_ending_must_say_its_type(written):
    with pytest.raises(Exception) as error:
        choose(written)

    assert type(error.value).__name__ in {"PydanticCustomError", "ValidationError"}


@pytest.mark.parametrize(
    ("names", "path", "advice"),
    [
        (
            ["part-0.jsonl.gz", "part-1.jsonl.gz"],
            "data/*.gz",
            ". There: part-0.jsonl.gz (jsonl), part-1.jsonl.gz (jsonl). Say what it is: {type: jsonl, path: data/*.gz}",
        ),
        (
            [f"{n}.CSV" for n in range(5)],
            "data",
            ". There: 0.CSV (csv), 1.CSV (csv), 2.CSV (csv) and 2 more. Say what it is: {type: csv, path: data}",
        ),
        (
            ["a.csv", "b.pq", "readme.doc"],
            "data/*",
            (
                ". There: a.csv (csv), b.pq (parquet). These are csv and parquet: write a source for each type. "
                "Say what it is: {type: csv, path: data/*}"
            ),
        ),
        (["a.doc"], "data/*", ". Say what it is: {type: jsonl, path: data/*}"),
    ],
)
def test_what_has_no_known_ending_is_told_by_the_files_that_are_there(tmp_path, monkeypatch, names, path, advice):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in names:
        (tmp_path / "data" / name).touch()

    with pytest.raises(PydanticCustomError) as error:  # what a configuration means doesn't depend on what is there
        choose({"path": path})

    assert str(error.value).startswith(f"'{path}' has no known ending (.csv, .tsv, ")
    assert str(error.value).endswith(f"){advice}")


def test_a_file_of_json_is_said_to_need_a_row_on_each_line():
    with pytest.raises(PydanticCustomError) as error:
        choose("rows.json")

    assert str(error.value).endswith(f"Say what it is: {{type: jsonl, path: rows.json}}. {TO_LINES}")


def test_where_files_lie_is_no_part_of_the_fingerprint():
    assert what(Jsonl(path="/somewhere/x.jsonl")) == what(Jsonl(path="elsewhere/x.jsonl")) == {"type": "jsonl"}


def test_a_source_knows_its_own_settings_only():
    with pytest.raises(ValidationError):
        validate(Jsonl, {"path": "x", "delimiter": ";"})
    with pytest.raises(ValidationError):
        validate(Csv, {"path": "x", "delimiter": ";;"})


def test_files_are_read_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": name}).encode() + b"\n"))
    source = Jsonl(path=(f"{tmp_path}/c*.gz", f"{tmp_path}/[ab].jsonl.gz"))

    rows, _ = read_source(source, {"text": "text"})

    assert [row["text"] for row in rows] == ["a", "b", "c"]
    assert [name for name, _ in source.files()] == ["a.jsonl.gz", "b.jsonl.gz", "c.jsonl.gz"]

import csv
import gzip
import json
import random
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bmtool.commands.init.command import init
from bmtool.console import Console
from bmtool.errors import ConfigError, DataError, MissingInputError
from bmtool.runner.pipeline import load_pipeline

GOOD, BAD = ["lovely", "superb", "great"], ["awful", "dull", "broken"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def reviews(rows=300):
    rng = random.Random(0)
    for number in range(rows):
        stars = rng.choice([1, 5])
        words = rng.choices(GOOD if stars == 5 else BAD, k=8)
        yield {"id": f"{number:040x}", "customer": f"c{number % 60}", "body": " ".join(words), "stars": stars}


def write_csv(path, rows, *, encoding="utf-8", delimiter=","):
    rows = list(rows)
    with Path(path).open("w", newline="", encoding=encoding) as handle:
        writer = csv.DictWriter(handle, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def written(path, **flags):
    init(Path(path), console=Console(quiet=True), **flags)
    stem = Path(path).name.partition(".")[0]
    return load_pipeline(Path(f"{stem}.yaml")), Path(f"{stem}.yaml").read_text(encoding="utf-8")


def test_text_label_and_group_are_found(capsys):
    write_csv("reviews.csv", reviews())

    pipeline, text = written("reviews.csv")

    assert capsys.readouterr().out == "reviews.yaml\n"
    assert pipeline.prepare["corpus"].columns == {"text": "body"}
    assert pipeline.prepare["stars"].columns == {"text": "body", "label": "stars"}
    assert pipeline.prepare["stars"].split.group == "customer"
    assert len(text.splitlines()) <= 15
    assert text.startswith("# ")


def test_both_datasets_share_out_rows_alike():
    write_csv("reviews.csv", reviews())

    pipeline, _ = written("reviews.csv")

    corpus, stars = pipeline.prepare["corpus"], pipeline.prepare["stars"]
    assert corpus.split == stars.split
    assert (corpus.clean, corpus.deduplicate) == (stars.clean, stars.deduplicate)


def test_names_with_capitals_and_spaces_become_names_that_hold():
    rows = [{"Review Text": row["body"], "Star Rating": row["stars"]} for row in reviews()]
    write_csv("My Reviews.V2.csv", rows)

    init(Path("My Reviews.V2.csv"), console=Console(quiet=True))

    pipeline = load_pipeline(Path("My Reviews.V2.yaml"))
    assert pipeline.name == "my-reviews-v2"
    assert list(pipeline.prepare) == ["corpus", "star_rating"]


def test_what_was_guessed_and_why_is_said(capsys):
    write_csv("reviews.csv", reviews())

    init(Path("reviews.csv"), console=Console())

    said = capsys.readouterr().err.splitlines()
    assert said == [
        "reviews.csv: 300 rows, columns id, customer, body, stars",
        "'body' holds the text: 50 characters on average, the longest of its kind",
        "'stars' holds the label: 2 values (1, 5) and by its name",
        "'customer' says whose row it is: 60 values; rows of one stay in one split",
        "next: bmtool run reviews.yaml",
    ]


@pytest.mark.parametrize("label", [{"评论": "这个很好我非常喜欢", "标签": "好评"}, {"text": "a fine thing", "y": True}])
def test_names_and_values_in_any_script_are_written_so_that_they_are_read_back(label):
    name, target = list(label)
    with gzip.open("zh.jsonl.gz", "wt", encoding="utf-8") as handle:
        for number in range(200):
            value = {"好评": "差评", True: False}[label[target]] if number % 2 else label[target]
            handle.write(json.dumps({name: label[name] + str(number), target: value}, ensure_ascii=False) + "\n")

    pipeline, _ = written("zh.jsonl.gz")

    assert pipeline.prepare["corpus"].columns == {"text": name}
    labelled = next(config for config in pipeline.prepare.values() if config.task)
    assert labelled.columns == {"text": name, "label": target}
    assert labelled.split.group == "text"


def test_a_byte_order_mark_is_no_part_of_a_column(capsys):
    write_csv("bom.csv", ({"text": row["body"], "label": row["stars"]} for row in reviews()), encoding="utf-8-sig")

    pipeline, _ = written("bom.csv")

    assert pipeline.prepare["label"].columns == {"text": "text", "label": "label"}


@pytest.mark.parametrize(("delimiter", "shown"), [(";", '";"'), ("|", '"|"'), ("\t", '"\\t"')])
def test_other_delimiters_are_seen_said_and_written_down(capsys, delimiter, shown):
    write_csv("semi.csv", reviews(), delimiter=delimiter)

    init(Path("semi.csv"), console=Console())

    assert load_pipeline(Path("semi.yaml")).prepare["corpus"].sources[0].delimiter == delimiter
    said = capsys.readouterr().err
    assert f"{shown} stands between its columns: the configuration says so, as predict must" in said


@pytest.mark.parametrize("name", ["many.tsv", "many.jsonl", "many.parquet"])
def test_of_more_rows_than_are_looked_at_the_number_is_an_estimate(capsys, name):
    rows = [{"词语": f"呆若木鸡{n}", "情感": ["恶", "好", "乐"][n % 3]} for n in range(30_000)]
    if name == "many.tsv":
        write_csv(name, rows, delimiter="\t")
    elif name == "many.jsonl":
        Path(name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), name)

    init(Path(name), console=Console())

    said = capsys.readouterr().err
    about = int(said.partition("about ")[2].partition(" rows")[0].replace(",", ""))
    assert abs(about - 30_000) < 600


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_header_in_quotes_is_read_by_what_stands_between_its_names(capsys, encoding):
    rows = [{**row, "body": f'He said "no", and left; {row["body"]}'} for row in reviews()]
    with Path("excel.csv").open("w", newline="", encoding=encoding) as handle:
        writer = csv.DictWriter(handle, list(rows[0]), delimiter=";", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)

    pipeline, _ = written("excel.csv")

    assert pipeline.prepare["stars"].sources[0].delimiter == ";"
    assert pipeline.prepare["stars"].columns == {"text": "body", "label": "stars"}


def test_a_header_that_nothing_reads_is_said_as_it_is():
    Path("odd.csv").write_text('"text"x"label"\n1,2\n')

    with pytest.raises(DataError, match=r"odd.csv:1: the header line can't be read: ',' expected after"):
        init(Path("odd.csv"), console=Console())


def test_fields_with_commas_that_stand_in_no_quotes_are_said_to_need_some():
    Path("ragged.csv").write_text("text,label\n" + "good, but long,1\n" * 20)

    with pytest.raises(DataError, match=r"20 wrong number of fields; .* A field with a delimiter, .* stands in quotes"):
        init(Path("ragged.csv"), console=Console())


def test_where_there_is_one_column_no_other_is_asked_for(capsys):
    Path("texts.csv").write_text("body\n" + "all good\n" * 20)

    init(Path("texts.csv"), console=Console())

    assert "--column" not in capsys.readouterr().err


def test_not_a_number_is_no_label():
    rows = [dict(row, stars=float("nan") if n % 3 == 0 else 1.0) for n, row in enumerate(reviews())]
    Path("half.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    pipeline, _ = written("half.jsonl")

    assert list(pipeline.prepare) == ["corpus"]


def test_a_folder_is_read_by_its_commonest_ending():
    Path("raw").mkdir()
    for part in range(3):
        with gzip.open(f"raw/{part}.jsonl.gz", "wt") as handle:
            handle.writelines(json.dumps({"text": f"some words {n} of {part}", "meta": {}}) + "\n" for n in range(100))
    Path("raw/README.md").write_text("x")

    pipeline, text = written("raw")

    assert pipeline.prepare["corpus"].sources[0].path == "raw/*.jsonl.gz"
    assert pipeline.finetune is None
    assert pipeline.evaluate is not None
    assert "no labels" in text


def test_parquet_is_read():
    pq.write_table(pa.Table.from_pylist(list(reviews())), "reviews.parquet")

    pipeline, _ = written("reviews.parquet")

    assert pipeline.prepare["stars"].sources[0].name() == "parquet"


def test_budgets_grow_with_the_text_and_end():
    write_csv("small.csv", ({"text": row["body"], "label": row["stars"]} for row in reviews(100)))
    write_csv("large.csv", ({"text": row["body"] * 80, "label": row["stars"]} for row in reviews(3000)))

    small, large = written("small.csv")[0], written("large.csv")[0]

    assert small.pretrain.max_tokens == 400_000
    assert large.pretrain.max_tokens == 3_000_000
    assert small.finetune.num_train_epochs == 20
    assert large.finetune.num_train_epochs is None
    assert large.pretrain.max_seq_length == 256


def test_export_is_left_out_where_onnx_is_not_installed(monkeypatch):
    write_csv("reviews.csv", reviews())
    write_csv("pairs.csv", ({"source": row["body"], "target": row["body"]} for row in reviews()))
    assert written("pairs.csv")[0].export is not None
    monkeypatch.setattr("bmtool.commands.init.page.find_spec", lambda name: None)

    assert written("reviews.csv")[0].export is None
    assert written("pairs.csv", force=True)[0].export is None


def test_a_file_that_is_there_is_kept_unless_forced():
    write_csv("reviews.csv", reviews())
    Path("reviews.yaml").write_text("mine")

    with pytest.raises(ConfigError, match=r"reviews\.yaml exists already"):
        init(Path("reviews.csv"), console=Console())
    assert Path("reviews.yaml").read_text() == "mine"

    init(Path("reviews.csv"), force=True, console=Console(quiet=True))
    assert Path("reviews.yaml").read_text() != "mine"


def test_a_key_a_date_or_a_path_is_not_the_text():
    rows = (
        {"url": f"https://example.com/{'x' * 80}{n}", "day": "2026-01-02", "words": f"short text {n}"}
        for n in range(100)
    )
    write_csv("rows.csv", rows)

    assert written("rows.csv")[0].prepare["corpus"].columns == {"text": "words"}


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("nothing.csv", MissingInputError, "there is no such file or folder"),
        ("notes.txt", ConfigError, "init reads .csv"),
        ("empty.csv", DataError, "empty.csv: a header line, and no row"),
        (
            "chinese.csv",
            DataError,
            "no row could be read: 1 invalid UTF-8; the first is chinese.csv:2. Files are",
        ),
        (
            "list.jsonl",
            DataError,
            "1 not a JSON object; the first is list.jsonl:1. JSON is read with a row on each",
        ),
        ("list.json", ConfigError, "this file becomes that by: jq -c '.[]' list.json > list.jsonl"),
        ("lines.json", ConfigError, "If it has a row on each line, call it lines.jsonl"),
        ("nothing-in.csv", DataError, "empty, not a byte"),
        ("nothing-in.jsonl", DataError, "empty, not a byte"),
        ("/dev/null", MissingInputError, "this is neither a file nor a folder"),
        ("numbers.jsonl", DataError, "no column holds text. The columns are: a, b"),
        ("folder", MissingInputError, "no file here is one that init reads: .csv"),
    ],
)
def test_what_can_not_be_used_is_said(source, error, message):
    Path("folder").mkdir()
    Path("notes.txt").write_text("some text\n")
    Path("empty.csv").write_text("a,b\n")
    for name in ("nothing-in.csv", "nothing-in.jsonl"):
        Path(name).touch()
    Path("chinese.csv").write_bytes("text,label\n很好,好\n".encode("gb18030"))
    Path("lines.json").write_text('{"text": "good"}\n{"text": "bad"}\n')
    for name in ("list.jsonl", "list.json"):
        Path(name).write_text('[{"text": "good", "label": "a"}]')
    Path("numbers.jsonl").write_text('{"a": 1, "b": 2.5}\n')

    with pytest.raises(error) as raised:
        init(Path(source), console=Console())

    assert message in str(raised.value)


def test_rows_that_can_not_be_read_are_counted(capsys):
    Path("rows.csv").write_text("text,label\n" + "some good text,a\nsome bad text,b,more\n" * 20)

    init(Path("rows.csv"), console=Console())

    said = capsys.readouterr().err
    assert "rows.csv: 20 rows, columns text, label" in said
    assert "warning: 20 more rows can't be read: 20 wrong number of fields; the first is rows.csv:3" in said


def test_a_file_without_a_line_of_names_is_noticed(capsys):
    Path("raw.csv").write_text(
        "".join(f"{GOOD[n % 3]} film number {n},{'yes' if n % 2 else 'no'}\n" for n in range(300))
    )

    init(Path("raw.csv"), console=Console())

    assert (
        "'no' is the name of a column and one of its values. If the first line holds no names"
        in capsys.readouterr().err
    )


def test_a_name_among_values_of_json_lines_is_no_missing_line_of_names(capsys):
    rows = [{"text": f"{GOOD[n % 3]} film", "label": ["label", "other"][n % 2]} for n in range(300)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    init(Path("rows.jsonl"), console=Console())

    assert "one of its values" not in capsys.readouterr().err


# ---------------------------------------------------------------- numbers and lists in CSV


def essays(values, rows=200):
    return [{"essay": f"an essay about thing {n} of many", "grade": values[n % len(values)]} for n in range(rows)]


def test_grades_with_fractions_are_numbers_and_may_be_chosen_as_labels(capsys):
    write_csv("grades.csv", essays(["1.0", "1.3", "2.5"]))

    pipeline, _ = written("grades.csv")
    assert pipeline.prepare["rows"].task.name() == "text_regression"
    assert pipeline.prepare["rows"].columns["score"] == "grade"

    pipeline, _ = written("grades.csv", task="text_classification", force=True)
    assert pipeline.prepare["grade"].columns["label"] == "grade"


def test_a_few_whole_grades_are_labels(capsys):
    write_csv("grades.csv", essays([1, 2, 3]))

    pipeline, _ = written("grades.csv")

    assert pipeline.prepare["grade"].task.name() == "text_classification"


def test_decimal_commas_are_seen_said_and_written_down(capsys):
    write_csv("grades.csv", essays(["1,0", "1,3", "2"]), delimiter=";")

    init(Path("grades.csv"), console=Console())

    source = load_pipeline(Path("grades.yaml")).prepare["rows"].sources[0]
    assert (source.delimiter, source.decimal) == (";", ",")
    assert "'grade' has decimal commas" in capsys.readouterr().err


def test_thousands_are_no_fractions(capsys):
    write_csv("views.csv", essays(["1,000", "2,000"]))

    pipeline, _ = written("views.csv")

    assert pipeline.prepare["grade"].task.name() == "text_classification"


LABELS = [[], ["red"], ["green"], ["red", "green"], ["blue", "green"], ["blue", "red"], ["blue"]]


@pytest.mark.parametrize("separator", [",", "; ", "|"])
@pytest.mark.parametrize("name", ["labels", "tags"])
def test_labels_joined_in_a_field_are_several(capsys, separator, name):
    texts = [row["essay"] for row in essays([1])]
    write_csv("all.csv", ({"body": text, name: separator.join(LABELS[n % 7])} for n, text in enumerate(texts)))

    init(Path("all.csv"), console=Console())

    rows = load_pipeline(Path("all.yaml")).prepare["rows"]
    assert (rows.task.name(), rows.task.multi_label) == ("text_classification", True)
    assert rows.columns["labels"] == name
    assert rows.sources[0].list_separator == separator.strip()
    assert load_pipeline(Path("all.yaml")).finetune.head_learning_rate == 2e-3
    said = capsys.readouterr().err
    assert f"'{name}' holds lists of 3 labels (blue, green, red)" in said
    assert f"\"{separator.strip()}\" stands between the members of '{name}'" in said


@pytest.mark.parametrize("values", [["Paris, France", "Rome, Italy"], ["yes", "no, never"]])
def test_a_comma_in_a_label_is_a_part_of_it(capsys, values):
    texts = [row["essay"] for row in essays([1])]
    write_csv("places.csv", ({"body": text, "label": values[n % 2]} for n, text in enumerate(texts)))

    pipeline, _ = written("places.csv")

    assert pipeline.prepare["label"].task.multi_label is False


def test_what_is_within_mappings_is_found_by_its_path(capsys):
    rows = [
        {"text": {"body": row["essay"], "text": "x"}, "meta": {"label": "ab"[n % 2]}}
        for n, row in enumerate(essays([1]))
    ]
    Path("nested.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    pipeline, _ = written("nested.jsonl")

    assert pipeline.prepare["meta_label"].columns == {"text": "text.body", "label": "meta.label"}


QUESTIONS = [{"id": "q1", "question": "who?", "answers": [{"text": "Anna", "answer_start": 0}]}]
UNKNOWN = [{"id": "q2", "question": "where?", "answers": [], "is_impossible": True}]
PARAGRAPHS = [{"context": "Anna sings.", "qas": QUESTIONS + UNKNOWN}]
ROW = {"text": "good", "label": "a"}


@pytest.mark.skipif(shutil.which("jq") is None, reason="the advice is tried with jq")
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("name", "value", "rows"),
    [
        ("list.json", [ROW, ROW], [ROW, ROW]),
        ("within.json", {"version": "1", "rows": [ROW, ROW]}, [ROW, ROW]),
        (
            "squad.json",
            {"version": "1.1", "data": [{"title": "A", "paragraphs": PARAGRAPHS}]},
            [
                {"question": "who?", "context": "Anna sings.", "answers": [{"text": "Anna", "answer_start": 0}]},
                {"question": "where?", "context": "Anna sings.", "answers": []},
            ],
        ),
    ],
)
def test_the_command_that_is_advised_makes_rows_of_a_file_of_json(name, value, rows, indent):
    Path(name).write_text(json.dumps(value, indent=indent))

    with pytest.raises(ConfigError) as error:
        init(Path(name), console=Console())
    subprocess.run(str(error.value).partition("becomes that by: ")[2], shell=True, check=True)

    lines = Path(name).with_suffix(".jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_questions_in_one_line_are_no_row():
    Path("squad.jsonl").write_text(json.dumps({"version": "1.1", "data": [{"title": "A", "paragraphs": PARAGRAPHS}]}))

    with pytest.raises(DataError, match=r"squad.jsonl: all questions are one row. .* squad.jsonl > squad-rows.jsonl$"):
        init(Path("squad.jsonl"), console=Console())


@pytest.mark.parametrize("kind", ["intent {}", "{}"])
def test_many_kinds_are_labels_in_a_column_of_that_name_if_each_is_in_a_few_rows(capsys, kind):
    texts = [row["essay"] for row in essays([1], rows=400)]
    write_csv("intents.csv", ({"body": text, "label": kind.format(n % 100)} for n, text in enumerate(texts)))
    write_csv("ids.csv", ({"body": text, "label": kind.format(n // 2)} for n, text in enumerate(texts)))

    assert written("intents.csv")[0].prepare["label"].task.name() == "text_classification"
    assert list(written("ids.csv")[0].prepare) == ["corpus"]


def test_many_whole_scores_are_numbers(capsys):
    write_csv("points.csv", essays([*range(100)]))

    assert written("points.csv")[0].prepare["rows"].task.name() == "text_regression"


def test_a_column_called_label_that_is_none_is_named(capsys):
    write_csv("one.csv", ({"body": row["essay"], "label": "good"} for row in essays([1])))

    init(Path("one.csv"), console=Console())

    assert "each of them in several rows; 'label' has 1. If one is: --column label=NAME\n" in capsys.readouterr().err


def test_labels_in_lists_and_texts_in_bytes_are_found(capsys):
    texts = [row["essay"].encode() for row in essays([1])]
    labels = [["a"], ["a", "b"], []]
    pq.write_table(pa.table({"text": texts, "label": [labels[n % 3] for n in range(len(texts))]}), "lists.parquet")

    rows = written("lists.parquet")[0].prepare["rows"]

    assert (rows.task.multi_label, rows.columns["labels"]) == (True, "label")


def test_lists_in_a_column_named_for_several_labels_are_labels_of_whatever_text_there_is():
    icons = [{"name": f"arrow {n} left", "tags": [["Arrow"], ["Arrow", "Math"], []][n % 3]} for n in range(90)]
    Path("icons.jsonl").write_text("".join(json.dumps(row) + "\n" for row in icons))

    rows = written("icons.jsonl")[0].prepare["rows"]

    assert (rows.task.multi_label, rows.columns["text"], rows.columns["labels"]) == (True, "name", "tags")


def test_one_label_goes_before_lists_of_them():
    rows = [
        {"body": row["body"], "tags": [["new"], ["new", "used"]][n % 2], "stars": n % 5}
        for n, row in enumerate(reviews())
    ]
    Path("both.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert list(written("both.jsonl")[0].prepare) == ["corpus", "stars"]


def test_more_than_fifty_labels_in_a_field_are_several_if_each_is_in_a_few_rows():
    tags = [f"tag {n}" for n in range(70)]
    rows = [{"body": row["body"], "tags": f"{tags[n % 70]}; {tags[n % 61]}"} for n, row in enumerate(reviews())]
    write_csv("icons.csv", rows)

    assert written("icons.csv")[0].prepare["rows"].task.multi_label

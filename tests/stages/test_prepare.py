import csv
import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data import storage
from bmtool.data.dataset import open_dataset
from bmtool.data.readers import parquet_limits
from bmtool.errors import DataError, MissingInputError, StoppedError, TryAgainError
from bmtool.stages import prepare

sys.path.insert(0, str(Path(__file__).parent.parent))
from conftest import untimed

WORDS = ["the", "a", "film", "was", "is", "very", "good", "bad", "long", "plot", "actor", "scene", "story", "end"]
HAN = "这家餐厅的菜很好吃服务也不错环境安静价格便宜下次还会再来推荐给朋友"


def reviews(count, seed=0):
    """Rows of 40 authors with stars 1 to 5; every tenth text repeats an earlier one but for case and spaces."""
    rng = random.Random(seed)
    rows = []
    for index in range(count):
        text = " ".join(rng.choices(WORDS, k=rng.randint(3, 30))) + f" number {index}"
        if index % 10 == 9:
            text = "  ".join(rows[rng.randrange(len(rows))]["body"].upper().split())
        rows.append({"body": text, "stars": rng.randint(1, 5), "author": f"author {rng.randrange(40)}"})
    return rows


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def run(settings, job):
    config = validate(prepare.Config, settings)
    return prepare.run(config, job)


def corpus(path, **more):
    return {
        "sources": path,
        "columns": {"text": "body", "author": "author"},
        "deduplicate": ["exact"],
        "split": {"validation": 0.2, "group": "author"},
        "tokenizer": {"type": "wordpiece", "vocab_size": 128},
        **more,
    }


def stars(path, **more):
    return {
        "task": "text_classification",
        "sources": path,
        "columns": {"text": "body", "label": "stars", "author": "author"},
        "split": {"validation": 0.2, "test": 0.2, "group": "author"},
        **more,
    }


def hashes(folder):
    """Of all files: they have to be equal byte for byte, but for what the page says of time."""
    files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file() and "checkpoints" not in path.parts]
    return {str(path.relative_to(folder)): hashlib.sha256(untimed(path)).hexdigest() for path in files}


# ---------------------------------------------------------------- what comes out


def test_a_corpus_has_texts_tokens_and_a_tokenizer(tmp_path, make_job):
    job = make_job()

    summary = run(corpus(write_jsonl(tmp_path / "x.jsonl", reviews(500))), job)

    dataset = open_dataset(job.folder)
    assert list(dataset.splits) == ["train", "validation"]
    assert dataset.task is None
    assert dataset["train"].schema.names == ["id", "text", "author", "input_ids"]
    assert dataset.tokenizer_folder == job.folder / "tokenizer"
    assert summary["splits"] == {name: split.num_rows for name, split in dataset.splits.items()}
    assert summary["ledger"]["dropped"] == {"empty text": 0, "duplicate": 50, "no tokens": 0}
    assert summary["tokens"] == {name: split.tokens.sizes.places[-1] for name, split in dataset.splits.items()}
    assert summary["vocab_size"] == 128
    for name, split in dataset.splits.items():
        assert summary["text_bytes"][name] == sum(len(text.encode()) for text in split.column("text").to_pylist())


def test_token_ids_are_the_tokenizers_own_without_special_tokens(tmp_path, make_job):
    job = make_job()
    run(corpus(write_jsonl(tmp_path / "x.jsonl", reviews(200))), job)

    from bmtool.data.tokenizing.tokenizers import load_tokenizer

    dataset = open_dataset(job.folder)
    tokenizer = load_tokenizer(dataset.tokenizer_folder)
    train = dataset["train"]
    for text, ids in zip(train.column("text").to_pylist(), train.column("input_ids").to_pylist(), strict=True):
        assert ids == tokenizer.encode(text, add_special_tokens=False).ids


def test_datasets_opens_a_labelled_dataset_with_class_labels(tmp_path, make_job):
    job = make_job()

    summary = run(stars(write_jsonl(tmp_path / "x.jsonl", reviews(300))), job)

    loaded = datasets.load_from_disk(str(job.folder))
    assert summary["labels"] == ["1", "2", "3", "4", "5"]
    assert loaded["train"].features["label"] == datasets.ClassLabel(names=["1", "2", "3", "4", "5"])
    names = loaded["train"].features["label"].int2str
    came_out = [(row["text"], names(row["label"])) for split in loaded.values() for row in split]
    assert sorted(came_out) == sorted((row["body"], str(row["stars"])) for row in reviews(300))
    settings = {"labels": None, "pair": False, "multi_label": False}
    assert open_dataset(job.folder).task == {"type": "text_classification", **settings}
    assert open_dataset(job.folder)["test"].labels == ("1", "2", "3", "4", "5")
    assert "tokenizer" not in {path.name for path in job.folder.iterdir()}


def test_words_and_tags_come_through(tmp_path, make_job):
    rows = [{"w": ["anna", "saw", f"{n}"], "t": ["B-PER", "O", "O"]} for n in range(50)]
    rows += [{"w": ["a", "b"], "t": ["O"]}, {"w": [], "t": []}, {"w": ["anna", "saw", "3"], "t": ["B-PER", "O", "O"]}]
    settings = {
        "task": "token_classification",
        "sources": write_jsonl(tmp_path / "x.jsonl", rows),
        "columns": {"words": "w", "tags": "t"},
        "deduplicate": ["exact"],
        "split": {"validation": 0.3},
    }
    job = make_job()

    summary = run(settings, job)

    split = datasets.load_from_disk(str(job.folder))["train"]
    assert summary["ledger"]["dropped"] == {"empty text": 1, "duplicate": 1, "lists of different lengths": 1}
    assert split.features["tags"] == datasets.List(datasets.ClassLabel(names=["B-PER", "O"]))
    assert split[0]["tags"] == [0, 1, 1]
    assert open_dataset(job.folder)["train"].labels == ("B-PER", "O")


@pytest.mark.parametrize("tokenizer", [{"type": "wordpiece", "vocab_size": 200}, {"type": "bpe", "vocab_size": 400}])
def test_chinese_text_works(tmp_path, make_job, tokenizer):
    rng = random.Random(0)
    rows = [{"body": "".join(rng.choices(HAN, k=20)) + "\u3000。", "author": HAN[n % 9]} for n in range(200)]
    job = make_job()

    summary = run(
        corpus(write_jsonl(tmp_path / "x.jsonl", rows), clean=["unicode", "whitespace"], tokenizer=tokenizer), job
    )

    from bmtool.data.tokenizing.tokenizers import load_tokenizer

    train = open_dataset(job.folder)["train"]
    known = load_tokenizer(job.folder / "tokenizer")
    assert summary["ledger"]["rows_out"] == 200
    text = train.column("text")[0].as_py()
    ids = train.column("input_ids")[0].as_py()
    assert text.endswith(" 。")
    assert known.decode(ids).replace(" ", "") == text.replace(" ", "")


# ---------------------------------------------------------------- accounts


def test_every_row_is_accounted_for_and_no_text_is_in_the_rejections(tmp_path, make_job):
    path = tmp_path / "x.jsonl"
    write_jsonl(path, reviews(300))
    secret = "secret words"
    bad = [
        json.dumps({"body": secret, "author": None}),
        json.dumps({"body": [secret], "author": "x"}),
        json.dumps({"body": f"{secret}\0", "author": "x"}),
        json.dumps({"body": f"{secret}\ud800", "author": "x"}),
        json.dumps({"author": secret}),
        f'{{"body": "{secret}',
        "[" * 30_000,
        json.dumps({"body": " \t\u3000", "author": "x"}),
        json.dumps({"body": "hm", "author": "x"}),
    ]
    with path.open("ab") as handle:
        handle.write("".join(line + "\n" for line in bad).encode() + b'{"body": "\xff' + secret.encode() + b'"}\n')
    job = make_job()

    summary = run(corpus(str(path), filters=[{"type": "length", "min_chars": 5}]), job)

    ledger = summary["ledger"]
    assert ledger["rows_in"] == 310
    assert ledger["rows_in"] == ledger["rows_out"] + sum(ledger["dropped"].values())
    assert ledger["rows_out"] == sum(split.num_rows for split in open_dataset(job.folder).splits.values())
    assert summary["rejected"] == 8
    assert ledger["dropped"] == {
        "empty text": 1,
        "length": 1,
        "duplicate": 30,
        "no value in column 'author'": 1,
        "wrong type in column 'body'": 1,
        "NUL character in column 'body'": 1,
        "invalid UTF-8": 2,
        "no value in column 'body'": 1,
        "broken JSON": 1,
        "JSON nested too deeply": 1,
        "no tokens": 0,
    }
    rejections = (job.folder / "rejected.jsonl").read_text()
    assert secret not in rejections
    assert sorted(json.loads(line)["line"] for line in rejections.splitlines()) == [*range(301, 308), 310]
    report = json.loads((job.folder / "report.json").read_text())
    assert [step["rows"] for step in report["funnel"]] == [310, 302, 301, 300, 270, 270]
    assert "8 of 310 rows could not be read (in x.jsonl); rejected.jsonl says why" in job.console.lines


def test_the_ledger_balances_on_random_dirt(tmp_path, make_job):
    rng = random.Random(7)
    lines = [json.dumps(row).encode() for row in reviews(400)]
    for index in range(0, 400, 3):
        line = bytearray(lines[index])
        for _ in range(rng.randint(1, 4)):
            line[rng.randrange(len(line))] = rng.choice([0, 9, 34, 92, 123, 125, 128, 200, 255])
        lines[index] = bytes(line)
    (tmp_path / "x.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    job = make_job()

    ledger = run(stars(str(tmp_path / "x.jsonl"), deduplicate=["exact"]), job)["ledger"]

    assert ledger["rows_in"] == 400
    assert 0 < ledger["rows_out"] == 400 - sum(ledger["dropped"].values()) < 400
    assert ledger["rows_out"] == sum(len(split) for split in datasets.load_from_disk(str(job.folder)).values())


def test_gates_are_judged_on_what_was_recorded():
    settings = {"sources": "x.jsonl", "limits": {"max_rejected": "1%", "min_rows": 100}}
    config = validate(prepare.Config, settings)

    def judge(rows_in, rejected):
        ledger = {"rows_in": rows_in, "rows_out": rows_in - rejected, "dropped": {}}
        return [(gate.name, gate.passed) for gate in prepare.gates(config, {"rejected": rejected, "ledger": ledger})]

    assert judge(1000, 10) == [("max_rejected", True), ("min_rows", True)]
    assert judge(1000, 11) == [("max_rejected", False), ("min_rows", True)]
    assert judge(100, 1) == [("max_rejected", True), ("min_rows", False)]
    assert (
        prepare.gates(
            validate(prepare.Config, {"sources": "x.jsonl"}),
            {"rejected": 9, "ledger": {"rows_in": 9, "rows_out": 0, "dropped": {}}},
        )
        == []
    )


def test_nothing_left_is_an_error_that_says_why(tmp_path, make_job):
    path = write_jsonl(tmp_path / "x.jsonl", [{"body": "short", "author": "x"}] * 3 + [{"body": None, "author": "x"}])

    with pytest.raises(DataError) as error:
        run(corpus(path, filters=["length"]), make_job())

    assert str(error.value) == "no row is left: 4 came in; dropped: 3 length, 1 no value in column 'body'"


# ---------------------------------------------------------------- same in, same out


def test_the_same_bytes_come_out_whatever_the_batches_of_reading(tmp_path, make_job, monkeypatch):
    rows = reviews(700)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    settings = corpus(str(tmp_path / "x.parquet"), clean=["whitespace"])
    monkeypatch.setattr(storage, "MAX_BATCH_ROWS", 90)
    run(settings, make_job(tmp_path / "one"))

    monkeypatch.setattr(parquet_limits, "ROWS_AT_ONCE", 17)
    run(settings, make_job(tmp_path / "other"))

    assert hashes(tmp_path / "one") == hashes(tmp_path / "other")
    assert len(hashes(tmp_path / "one")) == 13


def test_the_same_rows_come_out_of_every_format(tmp_path, make_job):
    rows = reviews(200)
    write_jsonl(tmp_path / "x.jsonl", rows)
    pq.write_table(pa.table({name: [row[name] for row in rows] for name in rows[0]}), tmp_path / "x.parquet")
    with (tmp_path / "x.csv").open("w") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

    for ending in ("jsonl", "parquet", "csv"):
        run(stars(str(tmp_path / f"x.{ending}")), make_job(tmp_path / ending))

    found = {ending: hashes(tmp_path / ending) for ending in ("jsonl", "parquet", "csv")}
    for one in found.values():
        del one["report.json"], one["report.html"]  # they name the source
    assert found["jsonl"] == found["parquet"] == found["csv"]


PROGRAM = """
import sys
from pathlib import Path
from types import SimpleNamespace
from bmtool.config.model import validate
from bmtool.config.shared import Runtime
from bmtool.console import Console
from bmtool.contracts import Job
from bmtool.stages import prepare
import json
folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
folder.mkdir(exist_ok=True)
stop = SimpleNamespace(reason="")
job = Job(folder=folder, inputs={}, seed=0, runtime=Runtime(), console=Console(), stop=stop, fingerprint="f" * 64)
prepare.run(validate(prepare.Config, settings), job)
"""


def run_in_a_process(settings, folder, **environment):
    command = [sys.executable, "-c", PROGRAM, str(folder), json.dumps(settings)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", [corpus, stars])
def test_the_same_bytes_come_out_of_every_process(tmp_path, make_job, kind):
    settings = kind(write_jsonl(tmp_path / "x.jsonl", reviews(300)))
    run(settings, make_job(tmp_path / "here"))

    for seed in ("1", "2"):
        assert run_in_a_process(settings, tmp_path / seed, PYTHONHASHSEED=seed).returncode == 0

    assert hashes(tmp_path / "here") == hashes(tmp_path / "1") == hashes(tmp_path / "2")


def test_a_stopped_run_says_so_and_goes_on(tmp_path, make_job):
    settings = corpus(write_jsonl(tmp_path / "x.jsonl", reviews(100)))
    job = make_job(tmp_path / "stopped")
    job.stop.reason = "SIGTERM"
    with pytest.raises(TryAgainError) as error:
        run(settings, job)
    job.stop.reason = "Ctrl-C"
    with pytest.raises(StoppedError):
        run(settings, job)

    job.stop.reason = ""
    run(settings, job)
    run(settings, make_job(tmp_path / "whole"))

    assert str(error.value).startswith("stopped by SIGTERM; what is done is kept")
    assert hashes(tmp_path / "stopped") == hashes(tmp_path / "whole")


# ---------------------------------------------------------------- rules


def test_ids_come_from_rows_as_read_and_survive_other_rules(tmp_path, make_job):
    path = write_jsonl(tmp_path / "x.jsonl", reviews(100))
    plain, cleaned = make_job(tmp_path / "plain"), make_job(tmp_path / "cleaned")

    run(stars(path), plain)
    run(stars(path, clean=[{"type": "replace", "pattern": "[aeiou]", "with": "_"}]), cleaned)

    one, other = open_dataset(plain.folder), open_dataset(cleaned.folder)
    for name in one.splits:
        assert one[name].column("id").to_pylist() == other[name].column("id").to_pylist()
        assert one[name].column("text").to_pylist() != other[name].column("text").to_pylist()


def test_a_group_is_in_the_same_split_of_every_dataset(tmp_path, make_job):
    path = write_jsonl(tmp_path / "x.jsonl", reviews(500))
    few = write_jsonl(tmp_path / "y.jsonl", reviews(120, seed=3))
    split = {"validation": 0.2, "test": 0.2, "group": "author"}
    one, other = make_job(tmp_path / "one"), make_job(tmp_path / "other")

    run(corpus(path, split=split), one)
    run(stars(few, split=split), other)

    where = {}
    for folder in (one.folder, other.folder):
        for name, rows in open_dataset(folder).splits.items():
            for author in rows.column("author").to_pylist():
                assert where.setdefault(author, name) == name
    assert set(where.values()) == {"train", "validation", "test"}


def test_the_seed_moves_groups(tmp_path, make_job):
    path = write_jsonl(tmp_path / "x.jsonl", reviews(300))

    summaries = [run(stars(path), make_job(tmp_path / str(seed), seed=seed)) for seed in (0, 1)]

    assert summaries[0]["splits"] != summaries[1]["splits"]


def test_duplicates_go_before_splitting_and_the_first_one_stays(tmp_path, make_job):
    rows = [{"body": text, "author": "x"} for text in ("One two", "one  TWO ", "three", "one two")]
    job = make_job()

    summary = run(corpus(write_jsonl(tmp_path / "x.jsonl", rows), split={}), job)

    assert open_dataset(job.folder)["train"].column("text").to_pylist() == ["One two", "three"]
    assert summary["ledger"]["dropped"]["duplicate"] == 2


def test_the_configs_labels_give_the_order_and_others_leave(tmp_path, make_job):
    job = make_job()
    path = write_jsonl(tmp_path / "x.jsonl", reviews(300))
    count = sum(row["stars"] not in (5, 1) for row in reviews(300))

    summary = run(stars(path, task={"type": "text_classification", "labels": ["5", "1"]}), job)

    assert summary["labels"] == ["5", "1"]
    assert summary["ledger"]["dropped"]["label not listed"] == count
    assert open_dataset(job.folder)["test"].labels == ("5", "1")


def test_a_few_rows_of_each_label_are_drawn(tmp_path, make_job):
    path = write_jsonl(tmp_path / "x.jsonl", reviews(600))
    job, again = make_job(tmp_path / "one"), make_job(tmp_path / "other")

    summary = run(stars(path, sample={"train_per_label": 8, "test_per_label": 10}), job)
    run(stars(path, sample={"train_per_label": 8, "test_per_label": 10, "seed": 1}), again)

    report = json.loads((job.folder / "report.json").read_text())
    assert report["label_counts"]["train"] == {str(star): 8 for star in range(1, 6)}
    assert report["label_counts"]["test"] == {str(star): 10 for star in range(1, 6)}
    assert summary["ledger"]["dropped"]["not drawn"] == 600 - sum(summary["splits"].values())
    one, other = open_dataset(job.folder), open_dataset(again.folder)
    assert one["test"].column("id") == other["test"].column("id")
    assert one["train"].column("id") != other["train"].column("id")


def test_sources_are_read_in_their_order_with_columns_of_their_own(tmp_path, make_job):
    write_jsonl(tmp_path / "b.jsonl", [{"title": "from b", "author": "x"}])
    (tmp_path / "a.csv").write_text("body,author\nfrom a,y\n")
    sources = [{"path": str(tmp_path / "b.jsonl"), "columns": {"text": "title"}}, str(tmp_path / "a.csv")]
    job = make_job()

    run(corpus(sources, split={}), job)

    assert open_dataset(job.folder)["train"].column("text").to_pylist() == ["from b", "from a"]
    config = validate(prepare.Config, corpus(sources))
    assert [name for name, _ in prepare.raw(config)] == ["0/b.jsonl", "1/a.csv"]


def test_a_tokenizer_can_be_taken_over(tmp_path, make_job):
    path = write_jsonl(tmp_path / "x.jsonl", reviews(200))
    first, second = make_job(tmp_path / "first"), make_job(tmp_path / "second")
    made = run(corpus(path), first)
    settings = corpus(path, tokenizer={"from": f"{tmp_path}/first"}, filters=[{"type": "length", "min_chars": 60}])

    summary = run(settings, second)

    assert summary["vocab_size"] == made["vocab_size"]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        taken = (second.folder / "tokenizer" / name).read_bytes()
        assert taken == (first.folder / "tokenizer" / name).read_bytes()
    names = [name for name, _ in prepare.raw(validate(prepare.Config, settings))]
    assert names == ["x.jsonl", "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"]
    nowhere = validate(prepare.Config, corpus(path, tokenizer={"from": f"{tmp_path}/nowhere"}))
    with pytest.raises(MissingInputError):
        prepare.raw(nowhere)


def test_documents_without_any_token_are_counted_out(tmp_path, make_job):
    rows = [*reviews(50), {"body": "\u0301\u0302", "author": "x"}]
    job = make_job()

    summary = run(corpus(write_jsonl(tmp_path / "x.jsonl", rows), split={}), job)

    assert summary["ledger"]["dropped"]["no tokens"] == 1
    assert min(map(min, open_dataset(job.folder)["train"].tokens.sizes.batches())) > 0


def test_a_split_that_chance_left_empty_is_there_and_said(tmp_path, make_job):
    rows = [{"body": f"text {n}", "author": "one"} for n in range(20)]
    job = make_job()

    summary = run(corpus(write_jsonl(tmp_path / "x.jsonl", rows), split={"validation": 0.01, "group": "author"}), job)

    assert summary["splits"] == {"train": 20, "validation": 0}
    assert any("the validation split is empty" in line for line in job.console.lines)
    assert open_dataset(job.folder)["validation"].num_rows == 0


def test_a_label_that_a_split_lacks_is_said(tmp_path, make_job):
    rows = [{"body": f"text {n}", "stars": n % 2, "author": f"a{n}"} for n in range(60)]
    path = write_jsonl(tmp_path / "x.jsonl", [*rows, {"body": "the only one", "stars": 7, "author": "rare"}])
    job = make_job()

    run(stars(path, split={"validation": 0.3, "test": 0.3}), job)

    said = [line for line in job.console.lines if "row has the label 7" in line]
    assert len(said) == 2
    assert len({split for split in ("train", "validation", "test") for line in said if f"no {split} row" in line}) == 2


def test_sources_without_rows_are_said(tmp_path, make_job):
    with pytest.raises(DataError, match="no row is left: the sources hold none"):
        run(corpus(write_jsonl(tmp_path / "x.jsonl", [])), make_job())


def test_a_label_column_that_holds_no_labels_is_named(tmp_path, make_job):
    one = [{"body": f"text {n}", "stars": 1, "author": "x"} for n in range(20)]

    with pytest.raises(DataError) as error:
        run(stars(write_jsonl(tmp_path / "x.jsonl", one)), make_job())

    assert str(error.value) == "column 'label' has one value only, '1': there is nothing to tell apart"


def test_numbers_that_are_all_the_same_are_refused_like_labels(tmp_path, make_job):
    one = [{"text": f"text {n}", "score": 3} for n in range(20)]
    plan = {"task": "text_regression", "sources": write_jsonl(tmp_path / "x.jsonl", one), "split": {"test": 0.2}}

    with pytest.raises(DataError) as error:
        run(plan, make_job())

    assert str(error.value) == "column 'score' has one value only, 3: there is nothing to learn"


def test_a_column_that_no_file_has_is_named(tmp_path, make_job):
    path = write_jsonl(tmp_path / "x.jsonl", reviews(10))

    with pytest.raises(DataError, match=f"^{path}: there is no column 'customer'"):
        run(stars(path, split={"test": 0.5, "group": "customer"}), make_job())


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "text_classification", "tokenizer": "bpe"}, "the model brings it"),
        ({"sample": {"train_per_label": 4}}, "it needs a task with one label a row"),
        ({"task": "token_classification", "sample": {"train_per_label": 4}}, "it needs a task with one label a row"),
        ({"sample": {}}, "set train_per_label, test_per_label or both"),
        ({"split": {"validation": 0.6, "test": "50%"}}, "are more than 1 together"),
        ({"split": {"test": 1}}, "the split leaves no train rows"),
        ({"columns": {"id": "row"}}, "'id' is a column that bmtool makes itself"),
        ({"columns": {"#line": "row"}}, "'#line' is a column that bmtool makes itself"),
        (
            {"sources": {"path": "x.jsonl", "columns": {"id": "row"}}},
            "'id' is a column that bmtool makes itself",
        ),
        ({"task": "token_classification", "split": {"group": "words"}}, "rows can't be grouped by 'words'"),
        ({"split": {"group": "id"}}, "as in columns: {source_id: id}"),
        ({"deduplicate": ["near", "near"]}, "names the same way twice"),
        ({"split": {"group": "a", "time": "b", "test": 0.1}}, "not by both"),
        ({"split": {"time": "b"}}, "only with a share"),
        ({"split": {"stratify": "author"}}, "'author' is no label of the task"),
        ({"scrub": [{"type": "email", "replace": "pseudonym"}]}, "need a secret key"),
        ({"scrub": ["email"], "scrub_key": "key.txt"}, "only with a scrubber that makes pseudonyms"),
        ({"sources": []}, ""),
        ({"sources": "x.doc"}, "has no known ending"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(settings, message):
    with pytest.raises(ValidationError) as error:
        validate(prepare.Config, {"sources": "x.jsonl", **settings})

    assert message in str(error.value)


def test_one_value_may_stand_where_a_list_may():
    config = validate(
        prepare.Config, {"sources": "x.jsonl", "clean": "unicode", "filters": "length", "deduplicate": "exact"}
    )

    assert [one.name() for one in (*config.sources, *config.clean, *config.filters)] == ["jsonl", "unicode", "length"]


def test_an_evaluation_set_may_be_all_test(tmp_path, make_job):
    job = make_job()

    summary = run(stars(write_jsonl(tmp_path / "x.jsonl", reviews(50)), split={"test": 1.0}), job)

    assert summary["splits"] == {"test": 50}
    assert prepare.describe(summary)[1:] == ["splits: test 50", "5 labels: 1, 2, 3, 4, 5"]


def test_a_tokenizer_that_has_nothing_to_learn_from_is_an_error(tmp_path, make_job):
    rows = [{"text": f"the same day {n}", "day": "monday"} for n in range(12)]
    plan = corpus(write_jsonl(tmp_path / "x.jsonl", rows), columns={"day": "day"}, split={"test": 0.2, "time": "day"})

    with pytest.raises(DataError) as error:
        run(plan, make_job())

    assert str(error.value) == (
        "none of 12 rows is in train: the tokenizer has nothing to learn from. See what 'split' and 'decontaminate' "
        "say, or take a tokenizer from elsewhere (tokenizer: {from: ...})"
    )


def test_a_key_that_is_not_there_is_named_before_anything_is_read():
    scrub = {"scrub": [{"type": "email", "replace": "pseudonym"}], "scrub_key": "no/key"}
    config = validate(prepare.Config, {"sources": {"type": "text", "path": __file__}, **scrub})

    with pytest.raises(MissingInputError, match=r"^scrub_key: no/key: there is no such file. Make one: openssl"):
        prepare.raw(config)

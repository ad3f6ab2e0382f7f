"""What becomes of each row: every one is accounted for once, keeps its split, and the first of copies stays."""

import json
import random
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from bmtool.config.model import validate
from bmtool.config.shared import Runtime
from bmtool.data.dataset import open_dataset
from bmtool.data.passes import decide, units
from bmtool.data.passes.decide import Rows
from bmtool.data.readers import lines
from bmtool.data.rows import row_ids, schema_of
from bmtool.data.storage import read_stream
from bmtool.errors import DataError, MissingInputError
from bmtool.stages import prepare
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent))
from conftest import as_artifact, job_for
from reading import read_pieces

WORDS = ["river", "house", "green", "walks", "slowly", "under", "bright", "sun", "with", "many", "old", "friends"]


def text_of(seed, count=20):
    return " ".join(random.Random(seed).choices(WORDS, k=count)) + f" {seed}"


def write(path, rows):
    lines_ = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines_))
    return str(path)


def run(plan, folder, inputs=None, seed=0):
    config = validate(prepare.Config, plan)
    job = job_for(folder, inputs, seed)
    return prepare.run(config, job), job


def dropped(folder):
    return [row for batch in read_stream(folder / "dropped.arrow") for row in batch.to_pylist()]


def split_of(folder):
    """id -> split."""
    splits = open_dataset(folder).splits.items()
    return {one: name for name, split in splits for one in split.column("id").to_pylist()}


def split_of_texts(folder):
    """text -> split."""
    splits = open_dataset(folder).splits.items()
    return {one: name for name, split in splits for one in split.column("text").to_pylist()}


# ---------------------------------------------------------------- accounts

#: Things that a line of a source may hold; the weights make most of them good.
GOOD = st.integers(0, 40).map(lambda n: {"body": text_of(n), "stars": n % 3})
EDITED = st.integers(0, 40).map(lambda n: {"body": f"{text_of(n)} again", "stars": n % 3})
SHOUTED = st.integers(0, 40).map(lambda n: {"body": text_of(n).upper().replace(" ", "  "), "stars": (n + 1) % 3})
SHORT = st.integers(0, 5).map(lambda n: {"body": f"no {n}", "stars": 1})
EMPTY = st.sampled_from([{"body": " \t\u3000", "stars": 1}, {"body": "\u200b", "stars": 2}, {"body": "", "stars": 1}])
UNLISTED = st.integers(0, 9).map(lambda n: {"body": text_of(n), "stars": "x"})
BROKEN = st.sampled_from(
    [
        b"{",
        b"[1, 2]",
        b'{"body": 3, "stars": 1}',
        b'{"stars": 1}',
        b'{"body": "\xff", "stars": 1}',
        b'{"body": "a\\ud800"}',
    ]
)
BOTH_LABELS = [{"body": text_of(900), "stars": 0}, {"body": text_of(901), "stars": 1}]
BLANK = st.sampled_from([b"", b"  "])
LINES = st.lists(st.one_of(GOOD, GOOD, GOOD, EDITED, SHOUTED, SHORT, EMPTY, UNLISTED, BROKEN, BLANK), max_size=40)


def readable_and_rejected(config):
    """(ids of all rows that can be read, with how often; number of those that can't), read another way."""
    ids, rejected = Counter(), 0
    kinds = config.kinds()
    for source in config.sources:
        for name, path in source.files():
            batches, some = read_pieces(source, list(source.pieces(name, path, "x")), kinds, dict(config.columns))
            rejected += len(some)
            for batch in batches:
                ids.update(row_ids(batch.select(schema_of(kinds).names)).to_pylist())
    return ids, rejected


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sources=st.lists(st.tuples(LINES, st.sampled_from([1.0, 1.0, 0.5, 0.1])), min_size=1, max_size=3),
    ways=st.sampled_from([[], ["exact"], ["near"], ["exact", {"type": "near", "threshold": 0.8}]]),
    listed=st.sampled_from([None, ["0", "1"]]),
    sample=st.sampled_from([None, {"train_per_label": 2}]),
    filters=st.sampled_from([[], [{"type": "length", "min_chars": 8}]]),
    piece=st.sampled_from([200, 1000, 10**6]),
)
def test_every_row_is_in_a_split_or_dropped_or_rejected_and_each_once(
    tmp_path_factory, sources, ways, listed, sample, filters, piece
):
    folder = tmp_path_factory.mktemp("rows")
    plan = {
        "task": {"type": "text_classification", "labels": listed},
        "sources": [
            {"path": write(folder / f"{number}.jsonl", [*BOTH_LABELS[number % 2 :], *rows]), "weight": weight}
            for number, (rows, weight) in enumerate([*sources, (BOTH_LABELS, 1.0)])
        ],
        "columns": {"text": "body", "label": "stars"},
        "clean": ["unicode", "whitespace"],
        "filters": filters,
        "deduplicate": ways,
        "split": {"validation": 0.2, "test": 0.2},
        "sample": sample,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PIECE_BYTES", piece)
        patch.setattr(units, "UNIT_BYTES", 2 * piece)
        patch.setattr(units, "EARLY_BYTES", piece)
        patch.setattr(decide, "HASHES_AT_ONCE", 8)
        summary, job = run(plan, folder / "out")
    came, rejected = readable_and_rejected(validate(prepare.Config, plan))

    gone = dropped(job.folder)
    stayed = Counter(
        one for split in open_dataset(job.folder).splits.values() for one in split.column("id").to_pylist()
    )
    ledger = summary["ledger"]
    noted = [json.loads(line) for line in (job.folder / "rejected.jsonl").read_text().splitlines()]

    assert stayed + Counter(row["id"] for row in gone) == came
    assert len(noted) == rejected == summary["rejected"]
    assert ledger["rows_in"] == ledger["rows_out"] + sum(ledger["dropped"].values()) == came.total() + rejected
    reasons = Counter(row["reason"] for row in gone) + Counter(one["reason"].partition(": ")[0] for one in noted)
    assert reasons == Counter({reason: count for reason, count in ledger["dropped"].items() if count})
    if ways:
        kept = {row["kept"] for row in gone if row["kept"] is not None}
        assert kept <= came.keys()
        last_to_go = {row["id"] for row in gone if row["reason"] == "not drawn"}
        assert kept <= stayed.keys() | last_to_go | {row["id"] for row in gone if row["reason"] == "near duplicate"}
    report = json.loads((job.folder / "report.json").read_text())
    assert report["funnel"][-1]["rows"] == ledger["rows_out"]
    assert sum(one["rows_in"] for one in report["sources"].values()) == ledger["rows_in"]


# ---------------------------------------------------------------- copies


def copies(*texts, label=lambda number: "ab"[number % 2]):
    return [{"text": text, "label": label(number), "n": str(number)} for number, text in enumerate(texts)]


def plan(path, **more):
    return {
        "task": "text_classification",
        "sources": path,
        "columns": {"n": "n"},
        "deduplicate": ["exact"],
        **more,
    }


@pytest.mark.parametrize("at_once", [4_000_000, 3])
def test_the_first_of_copies_stays_over_all_units_and_rounds(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(lines, "PIECE_BYTES", 300)
    monkeypatch.setattr(units, "UNIT_BYTES", 300)
    monkeypatch.setattr(decide, "HASHES_AT_ONCE", at_once)
    texts = [text_of(n % 7) if n % 2 else text_of(n % 7).upper() for n in range(60)]

    _, job = run(plan(write(tmp_path / "x.jsonl", copies(*texts))), tmp_path / "out")

    dataset = open_dataset(job.folder)
    assert dataset["train"].column("n").to_pylist() == ["0", "1", "2", "3", "4", "5", "6"]
    ids = dict(zip("0123456", dataset["train"].column("id").to_pylist(), strict=True))
    gone = dropped(job.folder)
    assert [row["line"] for row in gone] == list(range(8, 61))
    assert [row["kept"] for row in gone] == [ids[str((row["line"] - 1) % 7)] for row in gone]
    assert {row["reason"] for row in gone} == {"duplicate"}


def test_copies_with_another_label_are_counted_and_shown(tmp_path):
    rows = copies(text_of(1), text_of(1), text_of(2), text_of(1), label=lambda number: "aabb"[number])

    _, job = run(plan(write(tmp_path / "x.jsonl", rows)), tmp_path / "out")

    report = json.loads((job.folder / "report.json").read_text())
    [last] = [row["id"] for row in dropped(job.folder) if row["line"] == 4]
    [first] = [one for one, text in zip(*(open_dataset(job.folder)["train"].column(c).to_pylist() for c in ("id", "text"))) if text == text_of(1)]  # fmt: skip  # noqa: B905,E501
    assert report["conflicting_labels"]["rows"] == 1
    assert report["conflicting_labels"]["examples"] == [{"id": last, "label": "b", "kept": first, "kept_label": "a"}]
    assert report["top_copies"] == [{"kept": first, "copies": 2}]


def near_plan(path, **more):
    return plan(path, deduplicate=["exact", {"type": "near", "threshold": 0.7, **more}])


def test_rows_of_an_earlier_dataset_and_their_like_do_not_come_again(tmp_path):
    old = copies(*(text_of(n) for n in range(6)))
    new = copies(f"{text_of(3)} more", text_of(4).upper(), *(text_of(n) for n in range(10, 16)), f"{text_of(11)} end")
    _, first = run(
        near_plan(write(tmp_path / "a.jsonl", old)) | {"split": {"validation": 0.3, "test": 0.3}}, tmp_path / "old"
    )
    inputs = {"against:0": as_artifact(first.folder, "dataset")}

    summary, job = run(near_plan(write(tmp_path / "b.jsonl", new), against="./old"), tmp_path / "new", inputs)

    by_line = {row["line"]: row for row in dropped(job.folder)}
    old_ids = {text: one for name in ("train", "validation", "test") for text, one in zip(*(open_dataset(first.folder)[name].column(c).to_pylist() for c in ("text", "id")))}  # fmt: skip  # noqa: B905,E501
    assert summary["ledger"]["dropped"] == {
        "empty text": 0,
        "duplicate": 0,
        "in an earlier dataset": 2,
        "near duplicate": 1,
    }
    assert by_line[1]["kept"] == old_ids[text_of(3)]
    assert 0.7 <= by_line[1]["similarity"] < 1
    assert (by_line[2]["kept"], by_line[2]["similarity"]) == (old_ids[text_of(4)], 1.0)
    assert by_line[9]["reason"] == "near duplicate"


def test_an_earlier_dataset_may_call_its_texts_otherwise(tmp_path):
    questions = [{"question": f"what of {text_of(n)}", "context": text_of(50 + n), "answers": []} for n in range(4)]
    old = {"task": "question_answering", "sources": write(tmp_path / "a.jsonl", questions), "deduplicate": "near"}
    _, first = run(old, tmp_path / "old")
    inputs = {"against:0": as_artifact(first.folder, "dataset")}
    both = [f"{one['question']} {one['context']}" for one in questions[:2]]
    new = copies(f"{both[0]} {text_of(90, 12)}", both[1], *(text_of(n) for n in range(10, 16)))

    summary, job = run(near_plan(write(tmp_path / "b.jsonl", new), against="./old"), tmp_path / "new", inputs)

    assert summary["ledger"]["dropped"]["in an earlier dataset"] == 2
    assert [row["line"] for row in dropped(job.folder)] == [1, 2]


def test_an_earlier_dataset_without_sketches_is_named(tmp_path):
    _, first = run(plan(write(tmp_path / "a.jsonl", copies(text_of(1), text_of(2)))), tmp_path / "old")
    inputs = {"against:0": as_artifact(first.folder, "dataset")}

    with pytest.raises(MissingInputError, match=r"old: it holds no sketches of its rows"):
        run(near_plan(write(tmp_path / "b.jsonl", copies("x y", "z w")), against="./old"), tmp_path / "new", inputs)


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_that_give_test_rows_away_go_and_are_counted_by_dataset(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(lines, "PIECE_BYTES", 2000)
    monkeypatch.setattr(units, "UNIT_BYTES", 2000)
    labelled = copies(*(text_of(n, 30) for n in range(40)))
    _, stars = run(plan(write(tmp_path / "a.jsonl", labelled)) | {"split": {"test": 0.5}}, tmp_path / "stars")
    tested = open_dataset(stars.folder)["test"].column("text").to_pylist()
    planted = [f"{text_of(500 + n, 30)} {text} and more" for n, text in enumerate(tested)]
    trained = open_dataset(stars.folder)["train"].column("text").to_pylist()
    texts = [*(text_of(n, 30) for n in range(100, 150)), *planted, *trained]
    settings_ = plan(write(tmp_path / "b.jsonl", copies(*texts))) | {"decontaminate": f"{tmp_path}/stars"}

    folder, inputs = tmp_path / "corpus", {"decontaminate:0": as_artifact(stars.folder, "dataset")}
    job = replace(job_for(folder, inputs), runtime=Runtime(workers=workers))
    summary = prepare.run(validate(prepare.Config, settings_), job)

    gone = dropped(folder)
    ids = dict(zip(tested, open_dataset(stars.folder)["test"].column("id").to_pylist(), strict=True))
    assert summary["ledger"]["dropped"]["contaminated"] == len(tested) == len(gone)
    assert [(row["line"], row["kept"]) for row in gone] == [(51 + n, ids[text]) for n, text in enumerate(tested)]
    assert {row["rule"].partition(":")[0] for row in gone} == {"stars"}
    assert json.loads((folder / "report.json").read_text())["contaminated"] == {"stars": len(tested)}
    for path in folder.rglob("*"):
        assert not path.is_file() or "checkpoints" in path.parts or str(tmp_path).encode() not in path.read_bytes()


def test_where_an_earlier_dataset_lies_is_not_in_the_roles():
    roles = [
        list(prepare.needs(validate(prepare.Config, near_plan("x.jsonl", against=path)), None))
        for path in ("./old", "/some/where/else/old")
    ]

    assert roles[0] == roles[1] == ["against:0"]


# ---------------------------------------------------------------- splits

SPLIT = {"validation": 0.25, "test": 0.25}


def test_a_row_keeps_its_split_when_rows_are_added_and_removed(tmp_path):
    rows = copies(*(text_of(n) for n in range(200)))
    few = near_plan(write(tmp_path / "a.jsonl", rows[:120])) | {"split": SPLIT}
    many = near_plan(write(tmp_path / "b.jsonl", rows[50:])) | {"split": SPLIT}

    before, after = (split_of(run(one, tmp_path / f"{number}")[1].folder) for number, one in enumerate((few, many)))

    both = before.keys() & after.keys()
    assert len(both) == 70
    assert all(before[one] == after[one] for one in both)
    assert set(before.values()) == {"train", "validation", "test"}


def test_a_row_changes_its_split_only_where_its_cluster_grew_and_that_is_counted(tmp_path):
    rows = copies(*(text_of(n) for n in range(80)))
    grown = [*rows, *copies(*(f"{text_of(n)} more" for n in range(40)))]
    before = split_of_texts(
        run(near_plan(write(tmp_path / "a.jsonl", rows)) | {"split": SPLIT}, tmp_path / "1")[1].folder
    )

    _, job = run(near_plan(write(tmp_path / "b.jsonl", grown)) | {"split": SPLIT}, tmp_path / "2")

    after = split_of_texts(job.folder)
    changed = {text for text in before if before[text] != after[text]}
    report = json.loads((job.folder / "report.json").read_text())
    assert len(changed) > 0
    assert changed <= {text_of(n) for n in range(40)}
    assert report["split_by_cluster"] == {"rows": 40, "moved": len(changed)}


def test_rows_that_a_chain_of_similar_ones_joins_are_in_one_split(tmp_path):
    rng = random.Random(0)
    chains = [rng.choices(range(10_000), k=60) for _ in range(25)]  # windows 4 apart have J = 0.8, 8 apart 0.66
    texts = [" ".join(map(str, chain[start : start + 43])) for chain in chains for start in (0, 4, 8, 12, 16)]

    summary, job = run(near_plan(write(tmp_path / "a.jsonl", copies(*texts))) | {"split": SPLIT}, tmp_path / "1")

    where = split_of_texts(job.folder)
    by_chain = [{where[text] for text in texts[n : n + 5] if text in where} for n in range(0, 125, 5)]
    assert summary["ledger"]["dropped"]["near duplicate"] == 50
    assert sum(len(one) == 1 for one in by_chain) >= 22  # 5 if each row went its own way; a link may stay unfound
    assert set.union(*by_chain) == {"train", "validation", "test"}
    assert sum(one["similar"] for one in summary["overlap"].values()) == 0


def test_at_threshold_1_only_rows_with_all_the_same_five_word_runs_go(tmp_path):
    rows = copies(*(f"{text_of(n // 4, 60)} {n % 4}" for n in range(160)))  # J = 0.97

    summary, _ = run(
        plan(write(tmp_path / "a.jsonl", rows), deduplicate=[{"type": "near", "threshold": 1.0}]), tmp_path / "1"
    )

    assert summary["ledger"]["rows_out"] == 160


def test_with_the_same_seed_a_group_is_in_the_same_split_of_two_datasets(tmp_path):
    one = [{"text": text_of(n), "label": n % 2, "who": f"w{n % 30}"} for n in range(150)]
    other = [{"text": text_of(n), "label": n % 2, "who": f"w{n % 41}"} for n in range(500, 700)]
    where = [{}, {}]

    for number, rows in enumerate((one, other)):
        more = {"split": {**SPLIT, "group": "who"}, "deduplicate": ["near"]}
        _, job = run(
            plan(write(tmp_path / f"{number}.jsonl", rows)) | {"columns": {"who": "who"}} | more, tmp_path / f"{number}"
        )
        for name, split in open_dataset(job.folder).splits.items():
            for who in split.column("who").to_pylist():
                assert where[number].setdefault(who, name) == name

    assert {who: where[1][who] for who in where[0]} == where[0]
    assert set(where[0].values()) == {"train", "validation", "test"}


def by_time(tmp_path, times):
    rows = [{"text": text_of(n), "label": n % 2, "at": at} for n, at in enumerate(times)]
    settings_ = plan(write(tmp_path / "t.jsonl", rows)) | {"columns": {"at": "at"}, "split": {"validation": 0.2, "test": 0.1, "time": "at"}}  # fmt: skip  # noqa: E501
    _, job = run(settings_, tmp_path / "out")
    return {name: sorted(split.column("at").to_pylist()) for name, split in open_dataset(job.folder).splits.items()}


def test_the_latest_rows_are_test_and_those_before_them_validation(tmp_path):
    days = [f"2026-{month:02d}-01" for month in (5, 1, 12, 3, 11, 2, 9, 4, 10, 6)]

    found = by_time(tmp_path, days)

    assert found["test"] == ["2026-12-01"]
    assert found["validation"] == ["2026-10-01", "2026-11-01"]
    assert len(found["train"]) == 7


def test_times_may_be_numbers(tmp_path):
    found = by_time(tmp_path, [9, 10, 100, 1, 2, 3, 4, 5, 6, 7])

    assert (found["test"], found["validation"]) == (["100"], ["10", "9"])


def test_equal_times_stay_together_in_the_later_split(tmp_path):
    found = by_time(tmp_path, [1, 1, 1, 1, 1, 2, 3, 3, 4, 4])

    assert (found["test"], found["validation"]) == (["4", "4"], ["3", "3"])


def test_a_time_that_is_no_number_makes_all_of_them_text(tmp_path):
    found = by_time(tmp_path, ["NaN", "7", "8", "1", "2", "3", "4", "5", "6", "9"])

    assert found["test"] == ["NaN"]
    assert found["validation"] == ["8", "9"]


def test_a_row_that_went_does_not_say_how_times_are_ordered(tmp_path):
    rows = [{"text": text_of(n), "label": n % 2, "at": n} for n in range(1, 13)]
    copy = {**rows[3], "at": "unknown"}
    split = {"test": 0.25, "time": "at"}
    settings_ = plan(write(tmp_path / "t.jsonl", [*rows, copy])) | {"columns": {"at": "at"}, "split": split}

    summary, job = run(settings_, tmp_path / "out")

    assert sorted(open_dataset(job.folder)["test"].column("at").to_pylist()) == ["10", "11", "12"]
    assert summary["warnings"] == []


def test_times_of_which_some_are_numbers_are_warned_of(tmp_path):
    rows = [{"text": text_of(n), "label": n % 2, "at": at} for n, at in enumerate([9, "10", "-1.5e3", "unknown", "2d"])]
    split = {"test": 0.2, "time": "at"}
    settings_ = plan(write(tmp_path / "t.jsonl", rows)) | {"columns": {"at": "at"}, "split": split}

    summary, _ = run(settings_, tmp_path / "out")

    assert (
        "split.time: 3 of 5 times are numbers, the others aren't; so all are ordered as text, 10 before 9. "
        "Mend the others, or leave these rows out"
    ) in summary["warnings"]


def test_a_label_that_is_missing_in_a_split_is_an_error_where_that_was_asked(tmp_path):
    rows = [{"text": text_of(n), "label": "rare" if n == 0 else n % 2, "n": f"{n}"} for n in range(60)]
    path = write(tmp_path / "x.jsonl", rows)

    with pytest.raises(DataError, match=r"^split.stratify: no row with label 'rare' in \w+, 'rare' in \w+\. The split"):
        run(plan(path) | {"split": {**SPLIT, "stratify": "label"}}, tmp_path / "out")
    summary, _ = run(
        plan(write(tmp_path / "y.jsonl", rows[1:])) | {"split": {**SPLIT, "stratify": "label"}}, tmp_path / "2"
    )

    assert summary["labels"] == ["0", "1"]


# ---------------------------------------------------------------- values of numbered rows


def test_values_of_rows_come_in_the_order_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "PIECE_BYTES", 400)
    monkeypatch.setattr(units, "UNIT_BYTES", 400)
    from bmtool.data.passes.collect import collect

    config = validate(prepare.Config, plan(write(tmp_path / "x.jsonl", copies(*(text_of(n) for n in range(40))))))
    rows = Rows(collect(prepare.row_rules(config, {}), job_for(tmp_path / "out")).units)

    wanted = np.array([39, 0, 17, 17, 5])
    assert len(rows.units) > 3
    assert rows.column(wanted, "n").to_pylist() == ["39", "0", "17", "17", "5"]
    assert rows.column(wanted[:0], "n").to_pylist() == []
    assert pc.utf8_length(rows.texts(wanted, ["text"])).to_pylist() == [len(text_of(n)) for n in wanted.tolist()]


def test_a_near_copy_of_a_row_that_gives_a_test_row_away_stays_if_it_gives_none_away(tmp_path):
    _, stars = run(
        plan(write(tmp_path / "a.jsonl", copies(*(text_of(n, 30) for n in range(20))))) | {"split": {"test": 0.5}},
        tmp_path / "stars",
    )
    tested = open_dataset(stars.folder)["test"].column("text")[0].as_py().split()
    common = text_of(900, 200)
    near = f"{common} {' '.join(tested[:5])} and that is all"
    texts = [f"{common} {' '.join(tested[:14])}", near, *(text_of(n, 30) for n in range(100, 110))]
    settings_ = near_plan(write(tmp_path / "b.jsonl", copies(*texts))) | {"decontaminate": f"{tmp_path}/stars"}

    summary, job = run(settings_, tmp_path / "corpus", {"decontaminate:0": as_artifact(stars.folder, "dataset")})

    assert [(row["line"], row["reason"]) for row in dropped(job.folder)] == [(1, "contaminated")]
    assert summary["ledger"]["rows_out"] == 11

"""What is said of a dataset: warnings of what looks wrong, facts of the run apart from facts of the data."""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bmtool.config.model import validate
from bmtool.contracts import Ledger
from bmtool.data.passes.collected import Collected
from bmtool.data.passes.decide import Decisions
from bmtool.data.passes.draft import Draft
from bmtool.data.passes.publish import Published
from bmtool.data.passes.summary import say_rejected, throughput, write_report
from bmtool.data.passes.units import RowRules
from bmtool.data.passes.writing import Written
from bmtool.stages import prepare

sys.path.insert(0, str(Path(__file__).parents[2]))
from conftest import job_for


def prepared(folder, texts, **more):
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps({"text": text, "label": "ab"[n % 2]}) + "\n" for n, text in enumerate(texts)))
    plan = {"task": "text_classification", "sources": str(path), **more}
    job = job_for(folder / "out")
    return prepare.run(validate(prepare.Config, plan), job), job


def test_a_rule_that_drops_nearly_everything_is_said(tmp_path):
    texts = [
        *(f"short {n}" for n in range(19)),
        "a long text that is long enough",
        "and another long text of that kind",
    ]

    _, job = prepared(tmp_path, texts, filters=[{"type": "length", "min_chars": 20}])

    assert "warning: length.min_chars drops 19 of 21 rows (90%): is it set right?" in job.console.lines


def test_labels_that_are_written_alike_are_said(tmp_path):
    path = tmp_path / "x.jsonl"
    labels = ["1", "1.0", "2", "好", "好 ", "Yes", "yes"] * 20
    path.write_text("".join(json.dumps({"text": f"t {n}", "label": one}) + "\n" for n, one in enumerate(labels)))
    job = job_for(tmp_path / "out")

    prepare.run(validate(prepare.Config, {"task": "text_classification", "sources": str(path)}), job)

    said = [line for line in job.console.lines if "alike" in line]
    pairs = "'1' and '1.0', 'Yes' and 'yes', '好' and '好 '"
    assert said == [
        f"warning: labels that are written alike are told apart: {pairs}. If they mean the same, mend the source"
    ]


def test_a_rule_that_drops_nothing_is_said(tmp_path):
    _, job = prepared(
        tmp_path, ["one", "two"], filters=[{"type": "length", "min_chars": 1}], deduplicate=["exact", "near"]
    )

    said = [line for line in job.console.lines if line.endswith("drops nothing")]
    assert said == ["length drops nothing", "duplicate drops nothing", "near duplicate drops nothing"]


def test_rules_cleaners_and_scrubbers_that_match_nothing_are_said_a_line_each(tmp_path):
    texts = [*(f"a text  that stays, by me{n}@home.org" for n in range(9)), "NO WAY OUT", "a b c d e f"]

    summary, job = prepared(
        tmp_path,
        texts,
        clean=["unicode", "whitespace", "boilerplate"],
        filters=["symbols", {"type": "length", "min_chars": 3, "max_line_chars": 90}],
        scrub=["email", "iban", "phone", "ip"],
    )

    report = json.loads((job.folder / "report.json").read_text())
    said = [line for line in job.console.lines if "nothing" in line or "no text" in line]
    assert said == [
        "clean: unicode and boilerplate change no text",
        "symbols: 3 of 4 rules drop nothing: max_symbol_ratio, max_digit_ratio, min_letter_ratio",
        "length drops nothing",
        "scrub: iban, phone and ip find nothing to take out",
    ]
    assert report["cleaned"] == {"unicode": 0, "whitespace": 9, "boilerplate": 0}
    assert "scrubbed: 9 email" in prepare.describe(summary)


def test_a_filter_whose_rules_drop_nearly_everything_together_is_said(tmp_path):
    texts = [
        *("tiny " + "ab"[n % 2] for n in range(10)),
        *("long " * 20 + str(n) for n in range(9)),
        "as it is",
        "just as it is",
    ]

    _, job = prepared(tmp_path, texts, filters=[{"type": "length", "min_chars": 7, "max_chars": 50}])

    assert "warning: length drops 19 of 21 rows (90%): is it set right?" in job.console.lines


def test_bytes_and_words_that_a_rule_drops_are_counted(tmp_path):
    texts = ["ab cd", "ä", "a text that stays", "another one that stays", "one two three four five six seven"]

    _, job = prepared(tmp_path, texts, filters=[{"type": "length", "min_chars": 6, "max_chars": 30}])

    report = json.loads((job.folder / "report.json").read_text())
    assert report["rules"]["length"] == {
        "min_chars": {"rows": 2, "bytes": 7, "words": 3},
        "max_chars": {"rows": 1, "bytes": 33, "words": 7},
    }
    assert report["by_rule"]["length"]["min_chars"] == 2
    assert report["tokens_per_word"] is None


def test_tokens_are_counted_for_what_stays_and_estimated_for_what_went(tmp_path):
    (tmp_path / "x.txt").write_text("".join(f"the word number {n} of many words\n" for n in range(300)) + "no\n" * 30)
    plan = {
        "sources": str(tmp_path / "x.txt"),
        "filters": [{"type": "length", "min_chars": 5}],
        "tokenizer": {"type": "wordpiece", "vocab_size": 120},
    }
    job = job_for(tmp_path / "out")

    summary = prepare.run(validate(prepare.Config, plan), job)

    report = json.loads((job.folder / "report.json").read_text())
    first, readable, *_, last = report["funnel"]
    assert first == {"step": "read", "rows": 330}
    assert last == {"step": "no tokens", "rows": 300, "bytes": last["bytes"], "words": 2100, "tokens": summary["tokens"]["train"]}  # fmt: skip  # noqa: E501
    assert report["tokens_per_word"] == last["tokens"] / 2100
    assert readable["estimated_tokens"] == round(2130 * report["tokens_per_word"])
    assert report["rules"]["length"]["min_chars"]["estimated_tokens"] == round(30 * report["tokens_per_word"])


def test_the_funnel_ends_with_the_bytes_of_the_splits_also_with_scrubbers_and_copies(tmp_path):
    texts = [f"write to somebody.{n % 7}@example.org about the number {n % 9}" for n in range(40)]

    summary, job = prepared(tmp_path, texts, scrub=["email"], deduplicate=["exact"])

    funnel = {step.pop("step"): step for step in json.loads((job.folder / "report.json").read_text())["funnel"]}
    assert funnel["scrub"]["rows"] == funnel["empty text"]["rows"] == 40
    assert funnel["empty text"]["bytes"] - funnel["scrub"]["bytes"] == 40 * (len("somebody.1@example.org") - 7)
    assert funnel["empty text"]["words"] - funnel["scrub"]["words"] == 40 * 3
    assert list(funnel)[-1] == "duplicate"
    assert funnel["duplicate"]["bytes"] == sum(summary["text_bytes"].values())


def test_facts_of_the_run_are_no_part_of_the_report(tmp_path):
    summary, job = prepared(tmp_path, [f"some text {n}" for n in range(9)], deduplicate=["near"])

    environment = summary["environment"]
    report = (job.folder / "report.json").read_text()
    took = environment["throughput"]
    assert {"read", "ids", "fingerprint", "near", "write"} <= set(took)
    assert took["write"]["mb"] > 0
    assert len(environment["kept"]["rows"]) == 1
    assert "seconds" not in report
    assert "throughput" not in report
    page = (job.folder / "report.html").read_text()
    assert page.count("<h2>Throughput</h2>") == 1
    assert page.rindex("<h2>") == page.index("<h2>Throughput</h2>")
    assert environment["kept"]["rows"][0] not in report


def test_throughput_is_bytes_by_seconds_of_each_step():
    collected = Collected(seconds=Counter(read=2.0, clean=0.0), worked_bytes=Counter(read=50_000_000))

    assert throughput(collected) == {
        "read": {"cpu_seconds": 2.0, "mb": 50.0, "mb_per_second": 25.0},
        "clean": {"cpu_seconds": 0.0, "mb": 0.0, "mb_per_second": None},
    }


def test_rejected_rows_are_said_with_their_files(tmp_path):
    job = job_for(tmp_path)
    files = {f"{name}.csv": 2 for name in "abcdefg"}
    collected = Collected(ledger=Ledger(rows_in=1500), rejected_by_reason={"broken JSON": 14}, rejected_by_file=files)

    say_rejected(collected, job.console)
    say_rejected(Collected(), job.console)

    assert job.console.lines == [
        "14 of 1,500 rows could not be read (in a.csv, b.csv, c.csv, d.csv, e.csv, ...); rejected.jsonl says why"
    ]


@pytest.mark.parametrize(
    ("rows_out", "message"), [(5, "the ledger says that 5 rows came out"), (4, "ledger doesn't balance")]
)
def test_a_ledger_that_does_not_balance_is_a_bug(tmp_path, rows_out, message):
    rules = RowRules(sources=[], columns={}, kinds={"text": "text"})
    published = Published({"train": Written(rows=4)}, (), {})
    collected = Collected(ledger=Ledger(rows_in=5, rows_out=rows_out))
    draft = Draft(rules, collected, Decisions(np.ones(5, bool)), job_for(tmp_path))

    with pytest.raises(AssertionError, match=message):
        write_report(None, draft, published)


def test_warnings_stay_with_the_dataset(tmp_path):
    summary, job = prepared(tmp_path, ["one", "two"], split={"test": 0.5})

    assert summary["warnings"]
    assert [f"warning: {one}" for one in summary["warnings"]] == [
        line for line in job.console.lines if line.startswith("warning")
    ]


def test_copies_with_another_label_are_warned_of(tmp_path):
    summary, _ = prepared(tmp_path, ["one", "one", "two", "three"], deduplicate=["exact"])

    assert summary["warnings"] == [
        "1 copies had another label than the row that stays; report.json names some (conflicting_labels)"
    ]

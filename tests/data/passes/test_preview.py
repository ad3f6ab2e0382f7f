"""A preview of all rows says what prepare does; of some rows it says about that."""

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest
from bmtool.config.model import validate
from bmtool.data.passes.preview import MAX_EXAMPLES, preview
from bmtool.errors import DataError
from bmtool.filters.length import Length
from bmtool.stages.prepare import Config, row_rules, run

WORDS = ["the", "a", "film", "was", "very", "good", "plot", "of", "and", "that", "scene", "actor"]


def write(path, texts, **more):
    lines = [json.dumps({"text": text, **more}, ensure_ascii=False) + "\n" for text in texts]
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def texts(count, seed=0):
    """Texts of 1 to 40 words, all different; every tenth is blank."""
    rng = random.Random(seed)
    return [
        " " * (index + 1) if index % 10 == 9 else " ".join(rng.choices(WORDS, k=rng.randint(1, 40))) + f" {index}"
        for index in range(count)
    ]


def look(settings, share=1.0):
    return preview(row_rules(validate(Config, settings), {}), share, advance=lambda rows: None)


FILTERS = [{"type": "length", "min_chars": 60, "max_chars": 150}, {"type": "length", "min_chars": 80}]


def test_a_preview_of_all_rows_counts_what_prepare_drops(tmp_path, make_job):
    path = write(
        tmp_path / "a.jsonl",
        [*texts(300), "that is the film of ann@example.com and that of bob@example.com to be seen"],
    )
    filters = [{"type": "gopher_quality", "min_doc_words": 10}, {"type": "length", "min_chars": 60, "max_chars": 150}]
    settings = {"sources": path, "clean": ["whitespace"], "filters": filters, "scrub": ["email"]}

    seen = look(settings)
    summary = run(validate(Config, settings), make_job())

    ledger = summary["ledger"]
    assert seen.rows_in == seen.drawn_from == seen.rows == ledger["rows_in"] == 301
    assert seen.lost == {reason: ledger["dropped"][reason] for reason in seen.lost}
    assert seen.lost["empty text"] == 30
    assert seen.lost["gopher_quality"] > 0 < seen.lost["length"]
    by_rule = {}
    for rule in seen.rules:
        by_rule.setdefault(rule.filter, {})[rule.rule] = rule.drops
    assert by_rule == summary["by_rule"]
    assert dict(seen.scrubbed) == summary["scrubbed"] == {"email": 2}
    assert seen.kept == seen.rows - sum(seen.lost.values())


def test_each_rule_is_also_counted_whatever_the_others_say(tmp_path):
    path = write(tmp_path / "a.jsonl", ["x" * size for size in (10, 50, 70, 100, 200)])

    rules = look({"sources": path, "filters": FILTERS}).rules

    assert [(rule.rule, rule.drops, rule.fails) for rule in rules] == [
        ("min_chars", 2, 2),
        ("max_chars", 1, 1),
        ("min_chars", 1, 3),
        ("max_chars", 0, 0),
    ]


def test_a_rule_behind_another_rule_of_its_filter_is_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", ["zzz " * 10])

    rules = {rule.rule: rule for rule in look({"sources": path, "filters": "gopher_quality"}).rules}

    assert (rules["min_doc_words"].drops, rules["min_doc_words"].fails) == (1, 1)
    assert (rules["min_stop_words"].drops, rules["min_stop_words"].fails) == (0, 1)


def test_rules_that_drop_nothing_or_nearly_all_say_so(tmp_path):
    path = write(tmp_path / "a.jsonl", ["short", "also short", "x" * 100, "y" * 300])
    strict = {"type": "length", "min_chars": 1000, "max_chars": 2000}

    seen = look(
        {"sources": path, "filters": [{"type": "length", "min_chars": 90, "max_chars": 200}, strict, FILTERS[1]]}
    )

    assert [rule.remark(seen.judged) for rule in seen.rules] == [
        "",
        "",
        "fails nearly all",
        "drops nothing",
        "others drop them",
        "drops nothing",
    ]


def test_examples_hold_the_measured_value_and_the_place(tmp_path):
    path = write(tmp_path / "a.jsonl", ["z" * 100, "one", "three", "seven77", "nine99999"])

    rule = look({"sources": path, "filters": {"type": "length", "min_chars": 20}}).rules[0]

    assert [(one.file, one.line, one.value, one.threshold, one.text) for one in rule.examples] == [
        ("a.jsonl", 2, 3.0, 20.0, "one"),
        ("a.jsonl", 3, 5.0, 20.0, "three"),
        ("a.jsonl", 4, 7.0, 20.0, "seven77"),
    ]
    assert len(rule.examples) == MAX_EXAMPLES < rule.fails
    assert len({one.id for one in rule.examples}) == 3


def test_examples_are_scrubbed_even_where_the_dataset_is_not(tmp_path):
    path = write(tmp_path / "a.jsonl", ["write to ann.canary@example.com"])

    seen = look({"sources": path, "filters": {"type": "length", "min_chars": 1000}})

    assert seen.rules[0].examples[0].text == "write to [EMAIL]"
    assert not seen.scrubbed


def test_a_share_stands_for_all_rows(tmp_path):
    path = write(tmp_path / "a.jsonl", texts(4000))
    settings = {"sources": path, "filters": {"type": "length", "min_chars": 100}}

    some, whole = look(settings, 0.25), look(settings)

    assert some.drawn_from == whole.rows == 4000
    assert some.rows == pytest.approx(1000, abs=5 * np.sqrt(4000 * 0.25 * 0.75))
    share = whole.rules[0].drops / whole.judged
    assert some.rules[0].drops / some.judged == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / 1000))
    assert some.of_all(some.rows) == 4000
    assert some.of_all(some.kept) == pytest.approx(whole.kept, rel=0.15)


def test_the_sample_is_drawn_of_the_rows_that_a_weight_leaves(tmp_path):
    path = write(tmp_path / "a.jsonl", texts(4000))
    settings = {"sources": {"path": path, "weight": 0.5}}

    seen = look(settings, 0.5)

    assert seen.not_sampled + seen.drawn_from == 4000
    assert seen.drawn_from == pytest.approx(2000, abs=160)
    assert seen.rows == pytest.approx(1000, abs=140)


def test_only_reading_and_ids_are_done_to_all_rows_and_the_rest_is_projected_by_length(tmp_path):
    path = write(tmp_path / "a.jsonl", texts(2000))

    seen = look({"sources": path, "filters": {"type": "length"}}, 0.1)

    factor = seen.bytes_drawn_from / seen.bytes
    assert 5 < factor < 20
    for step, seconds in seen.projected().items():
        assert seconds == pytest.approx(seen.seconds[step] * (1 if step in {"read", "ids"} else factor))
    assert {"read", "ids", "clean", "filter", "scrub", "fingerprint"} <= set(seen.seconds)


def test_rows_that_cannot_be_read_are_counted_by_reason(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n{broken\n{"text": 3}\n')

    seen = look({"sources": str(path)})

    assert (seen.rows_in, seen.rows, seen.rejected.total()) == (3, 1, 2)


def test_a_column_that_a_file_does_not_have_is_an_error(tmp_path):
    path = write(tmp_path / "a.jsonl", [], text="")
    (tmp_path / "a.jsonl").write_text('{"body": "x"}\n{"body": "y"}\n')

    with pytest.raises(DataError) as error:
        look({"sources": path})

    assert "there is no column 'text'. Its columns are: body" in str(error.value)


def test_labels_that_are_not_listed_are_lost_as_in_prepare(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": f"text {i}", "label": "abc"[i % 3]}) + "\n" for i in range(9)))
    task = {"type": "text_classification", "labels": ["a", "b"]}

    seen = look({"task": task, "sources": str(path)})

    assert seen.lost == {"empty text": 0, "label not listed": 3}
    assert seen.kept == 6


def test_a_filter_that_knows_only_its_first_failure_is_counted_by_that(tmp_path, monkeypatch):
    path = write(tmp_path / "a.jsonl", ["short"])
    judge = Length.judge

    def first_only(self, documents):
        verdict = judge(self, documents)
        return SimpleNamespace(rule=verdict.rule, value=verdict.value, threshold=verdict.threshold, failed=None)

    monkeypatch.setattr(Length, "judge", first_only)
    rules = look({"sources": path, "filters": {"type": "length"}}).rules

    assert [(rule.drops, rule.fails) for rule in rules] == [(1, 1), (0, 0)]

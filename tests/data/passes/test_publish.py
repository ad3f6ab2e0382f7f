from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from bmtool.contracts import Ledger
from bmtool.data.passes.collected import Collected, KeptUnit
from bmtool.data.passes.publish import SampledTexts, count_labels, find_labels, kept_rows
from bmtool.data.passes.split import share_of_ids
from bmtool.data.passes.summary import funnel
from bmtool.data.passes.unit_pass import ROWS
from bmtool.data.passes.units import RowRules
from bmtool.data.passes.writing import Written
from bmtool.data.rows import row_ids
from bmtool.data.storage import StreamFile
from bmtool.errors import DataError


def rules(labels=None):
    return RowRules(sources=[], columns={}, kinds={"text": "text", "label": "label"}, labels=labels)


def units_of(folder, *parts):
    """A kept unit for each list of texts, in batches of 100."""
    units, start = [], 0
    for number, texts in enumerate(parts):
        batch = pa.record_batch({"text": pa.array(texts, pa.string())})
        batch = batch.append_column("id", row_ids(batch))
        (folder / f"{number}").mkdir()
        file = StreamFile(folder / f"{number}" / ROWS, batch.schema)
        for first in range(0, len(texts), 100):
            file.write(batch.slice(first, 100))
        file.close()
        units.append(KeptUnit(f"{number}", 0, folder / f"{number}", {"totals": {"rows": len(texts)}}, start))
        start += len(texts)
    return units


def test_a_tokenizer_reads_all_texts_if_they_are_few_and_as_many_as_fit_if_they_are_many(tmp_path):
    texts = [f"text number {n:05d}" for n in range(2000)]
    units = units_of(tmp_path, texts[:700], [], texts[700:])
    mask = np.ones(2000, bool)

    every = SampledTexts(units, mask, "text", max_bytes=len("".join(texts)), seed=0)
    some = SampledTexts(units, mask, "text", max_bytes=len("".join(texts)) // 4, seed=0)

    assert list(every) == list(every) == texts
    assert list(some) == list(some) == sorted(some)
    assert 490 <= len(list(some)) <= 500


@pytest.mark.parametrize("weight", [1.0, 0.5, 0.1])
def test_the_bound_of_what_a_tokenizer_reads_holds_whatever_share_of_the_rows_was_kept(tmp_path, weight):
    ids = row_ids(pa.record_batch({"text": pa.array([f"text number {n:05d}" for n in range(20_000)])}))
    texts = [f"text number {n:05d}" for n in np.flatnonzero(share_of_ids(ids, weight)).tolist()]
    units = units_of(tmp_path, texts)

    sample = SampledTexts(units, np.ones(len(texts), bool), "text", max_bytes=20_000, seed=0)

    assert 19_000 < len("".join(sample)) <= 20_000


def test_another_seed_is_another_sample_and_both_are_of_all_rows(tmp_path):
    texts = [f"text number {n:05d}" for n in range(4000)]
    units = units_of(tmp_path, texts)

    first, second = ({*SampledTexts(units, np.ones(4000, bool), "text", max_bytes=34_000, seed=n)} for n in (0, 1))

    assert 900 < len(first & second) < 1100
    assert sum(text < texts[2000] for text in first) == pytest.approx(1000, abs=100)


def test_a_text_larger_than_the_bound_is_read_if_there_is_no_other(tmp_path):
    units = units_of(tmp_path, ["x" * 1000])

    assert list(SampledTexts(units, np.ones(1, bool), "text", max_bytes=10, seed=0)) == ["x" * 1000]


def test_only_the_rows_that_are_asked_for_come(tmp_path):
    texts = [f"{n}" for n in range(500)]
    units = units_of(tmp_path, texts[:130], texts[130:140], texts[140:])
    mask = np.zeros(500, bool)
    mask[[0, 99, 100, 129, 140, 499]] = True

    found = [text for batch in kept_rows(units, mask) for text in batch.column("text").to_pylist()]

    assert found == ["0", "99", "100", "129", "140", "499"]


def test_too_many_labels_are_no_labels():
    batches = [
        pa.record_batch({"label": [f"{n}" for n in range(start, start + 1000)]}) for start in range(0, 40_000, 1000)
    ]

    counts = count_labels(iter(batches), ["label"], most=10_000)

    assert 10_000 < len(counts) < 12_000
    with pytest.raises(DataError, match=r"column 'label' has 1[01],000 different values \(such as '0' and '1"):
        find_labels(rules(), {"train": counts})


def test_rows_without_any_label_are_told_that_there_is_nothing_to_learn():
    with pytest.raises(DataError) as error:
        find_labels(rules(), {"train": Counter(), "test": Counter()})

    assert str(error.value) == "column 'label' has no label in any row that stays: there is nothing to learn"


def test_labels_are_those_of_all_splits_or_the_configs():
    counts = {"train": Counter({"b": 2}), "test": Counter({"a": 1})}

    assert find_labels(rules(), counts) == ("a", "b")
    assert find_labels(rules(labels=("b", "c", "a")), counts) == ("b", "c", "a")


def test_lengths_are_told_by_their_spread():
    written = Written(lengths=[np.arange(1, 51), np.arange(51, 101)])

    assert written.length_summary() == {"p50": 51, "p90": 91, "p99": 100, "max": 100}
    assert Written().length_summary() == {}


def test_lengths_are_counted_between_powers_of_two():
    written = Written(lengths=[np.array([0, 1, 2, 3, 4]), np.array([7, 8, 1023, 1024])])

    assert written.length_histogram() == [[0, 1], [1, 1], [2, 2], [4, 2], [8, 1], [512, 1], [1024, 1]]


def test_the_funnel_goes_down_to_the_rows_bytes_and_words_that_are_there():
    collected = Collected(ledger=Ledger(rows_in=10), totals=Counter(bytes=700, words=70))
    for reason, counts in {"not sampled": [1, 90, 9], "empty text": [1, 0, 0], "length": [1, 5, 1]}.items():
        collected.lose(reason, counts)
    collected.rejected_by_reason = {"broken JSON": 2}
    collected.lose("duplicate", [3, 300, 30])

    steps = {step.pop("step"): step for step in funnel(collected)}

    assert steps == {
        "read": {"rows": 10},
        "readable": {"rows": 8, "bytes": 700, "words": 70},
        "not sampled": {"rows": 7, "bytes": 700, "words": 70},
        "empty text": {"rows": 6, "bytes": 700, "words": 70},
        "length": {"rows": 5, "bytes": 695, "words": 69},
        "duplicate": {"rows": 2, "bytes": 395, "words": 39},
    }

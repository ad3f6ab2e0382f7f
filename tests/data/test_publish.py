from collections import Counter

import pyarrow as pa
import pytest
from bmtool.contracts import Ledger
from bmtool.data.collect import Collected, Rules
from bmtool.data.publish import SampledTexts, Written, count_labels, find_labels
from bmtool.data.rows import row_ids
from bmtool.data.storage import StreamFile
from bmtool.data.summary import funnel
from bmtool.errors import DataError


def rules(labels=None):
    return Rules(
        sources=[],
        columns={},
        kinds={"text": "text", "label": "label"},
        cleaners=[],
        filters=[],
        is_deduplicated=False,
        labels=labels,
        group=None,
        validation=0,
        test=0,
        seed=0,
    )


def collected(folder, texts):
    batch = pa.record_batch({"text": texts})
    batch = batch.append_column("id", row_ids(batch))
    file = StreamFile(folder / "train.arrow", batch.schema)
    for start in range(0, len(texts), 100):
        file.write(batch.slice(start, 100))
    file.close()
    return Collected(folder, rows={"train": len(texts)})


def test_a_tokenizer_reads_all_texts_if_they_are_few_and_a_fixed_share_if_they_are_many(tmp_path):
    texts = [f"text number {n:05d}" for n in range(2000)]
    rows = collected(tmp_path, texts)

    every, some = SampledTexts(rows, "text"), SampledTexts(rows, "text", max_bytes=len("".join(texts)) // 4)

    assert list(every) == list(every) == texts
    assert list(some) == list(some) == sorted(some)
    assert len(list(some)) == pytest.approx(500, rel=0.15)


def test_too_many_labels_are_no_labels():
    batches = [
        pa.record_batch({"label": [f"{n}" for n in range(start, start + 1000)]}) for start in range(0, 40_000, 1000)
    ]

    counts = count_labels(iter(batches), ["label"], most=10_000)

    assert 10_000 < len(counts) < 12_000
    with pytest.raises(DataError, match=r"column 'label' has 1[01],000 different values \(such as '0' and '1"):
        find_labels(rules(), {"train": counts})


def test_labels_are_those_of_all_splits_or_the_configs():
    counts = {"train": Counter({"b": 2}), "test": Counter({"a": 1})}

    assert find_labels(rules(), counts) == ("a", "b")
    assert find_labels(rules(labels=("b", "c", "a")), counts) == ("b", "c", "a")


def test_lengths_are_told_by_their_spread():
    import numpy as np

    written = Written(lengths=[np.arange(1, 51), np.arange(51, 101)])

    assert written.length_summary() == {"p50": 51, "p90": 91, "p99": 100, "max": 100}
    assert Written().length_summary() == {}


def test_the_funnel_ends_with_the_rows_that_are_there():
    ledger = Ledger(rows_in=10, rows_out=4, dropped={"empty text": 1, "broken JSON": 2, "duplicate": 3})
    summary = {"ledger": {"rows_in": 10, "dropped": ledger.dropped}, "rejected": 2}

    ledger.check()
    assert funnel(summary, {"broken JSON": 2}) == [
        {"step": "read", "rows": 10},
        {"step": "readable", "rows": 8},
        {"step": "empty text", "rows": 7},
        {"step": "duplicate", "rows": 4},
    ]

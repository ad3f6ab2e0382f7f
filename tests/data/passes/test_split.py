import numpy as np
import pyarrow as pa
import pytest
import xxhash
from bmtool.data.passes.split import LOTS, SPLITS, Draw, assign, lots, share_of_ids, sorted_labels
from bmtool.data.settings import Split


def places(values, seed=0, **ratios):
    return [SPLITS[index] for index in assign(pa.array(values), seed, **ratios)]


def test_the_split_follows_from_seed_and_value_alone():
    values = [f"author {n}" for n in range(1000)]
    ratios = {"validation": 0.1, "test": 0.2}

    once = dict(zip(values, places(values, **ratios), strict=True))

    assert dict(zip(values[::-1], places(values[::-1], **ratios), strict=True)) == once
    assert places(values[500:501] * 3, **ratios) == [once[values[500]]] * 3
    assert places(values, seed=1, **ratios) != list(once.values())


def test_ratios_hold_in_expectation():
    counts = np.bincount(assign(pa.array([str(n) for n in range(20_000)]), 7, validation=0.1, test=0.25), minlength=3)

    assert counts / 20_000 == pytest.approx([0.65, 0.1, 0.25], abs=0.01)


def test_the_split_is_the_documented_formula():
    for value in ("a", "b", "你好", "author 17", "x" * 1000, "0123456789abcdef" * 2, "é" * 16):
        u = xxhash.xxh3_64_intdigest(value.encode(), 3) / 2**64
        expected = "test" if u >= 0.6 else "validation" if u >= 0.3 else "train"

        assert places([value], seed=3, validation=0.3, test=0.4) == [expected]


def test_a_row_leaves_train_only_into_a_split_that_grows():
    values = [str(n) for n in range(2000)]

    small = places(values, validation=0.1, test=0.1)
    large = places(values, validation=0.1, test=0.3)

    assert all(after == "test" for before, after in zip(small, large, strict=True) if before == "test")


def test_only_splits_with_a_share_exist():
    assert Split(validation=0.0, test=0.0).names() == ["train"]
    assert Split(validation=0.1, test=0.0).names() == ["train", "validation"]
    assert Split(validation=0.1, test=0.9).names() == ["validation", "test"]
    assert Split(validation=0.0, test=1.0).names() == ["test"]
    assert set(places([str(n) for n in range(500)], validation=0.0, test=1.0)) == {"test"}
    assert set(places([str(n) for n in range(500)], validation=0.0, test=0.0)) == {"train"}


def ids_of(count):
    return [xxhash.xxh3_128_hexdigest(str(n).encode()) for n in range(count)]


@pytest.mark.parametrize("step", [1, 7, 300])
def test_the_smallest_ids_of_each_label_are_drawn(step):
    ids = ids_of(300)
    labels = ["rare" if n in {5, 100} else "abc"[n % 3] for n in range(300)]
    draw = Draw(10, None)

    for start in range(0, 300, step):
        draw.add(pa.array(ids[start : start + step]), pa.array(labels[start : start + step]))

    drawn = {ids[n] for n in np.flatnonzero(draw.drawn())}
    for label in set(labels):
        of_label = sorted(id_ for id_, other in zip(ids, labels, strict=True) if other == label)
        assert drawn.intersection(of_label) == set(of_label[:10])
    assert len(drawn) == 32


def test_another_seed_draws_other_rows_and_equal_ids_are_counted_one_by_one():
    ids, labels = pa.array(ids_of(200)), pa.array(["a"] * 200)

    def drawn(seed):
        draw = Draw(20, seed)
        draw.add(ids, labels)
        return set(np.flatnonzero(draw.drawn()))

    twins = Draw(2, None)
    twins.add(pa.array(["same"] * 5), pa.array(["a"] * 5))

    assert drawn(1) == drawn(1)
    assert len(drawn(1) & drawn(2)) < 10
    assert twins.drawn().tolist() == [True, True, False, False, False]


def test_whole_numbers_are_sorted_as_numbers():
    assert sorted_labels({"10", "9", "-1"}) == ("-1", "9", "10")
    assert sorted_labels({"10", "9", "b"}) == ("10", "9", "b")
    assert sorted_labels({"1", "01"}) == ("01", "1")


def test_a_share_of_ids_is_about_that_share():
    kept = share_of_ids(pa.array(ids_of(5000)), 0.3).to_pylist()

    assert sum(kept) / 5000 == pytest.approx(0.3, abs=0.03)
    assert all(share_of_ids(pa.array(ids_of(100)), 1.0).to_pylist())


def test_lots_are_even_whatever_share_of_the_ids_is_there():
    ids = pa.array(ids_of(100_000))
    few = ids.filter(share_of_ids(ids, 0.1))

    for seed in (0, 1, 2**63 - 1):
        counts = np.bincount((lots(few, seed) * 16 // LOTS).astype(int), minlength=16)
        assert len(counts) == 16
        assert counts / len(few) == pytest.approx(np.full(16, 1 / 16), rel=0.15)
    assert len(set(lots(few, 0).tolist())) > 0.98 * len(few)
    assert lots(few[5:9], 3).tolist() == lots(few, 3)[5:9].tolist()

import pyarrow as pa
import pytest
from bmtool.data.rows import BadRowError, converter, row_ids, scalar_text, text_bytes


def batch(**columns):
    return pa.record_batch(columns)


def test_labels_are_text_whatever_they_were():
    assert [scalar_text(value) for value in ("05", 5, 5.0, 1.5, True, None)] == ["05", "5", "5", "1.5", "true", None]


@pytest.mark.parametrize("value", [[1], {"a": 1}, float("nan"), float("inf")])
def test_what_is_no_single_value_is_no_label(value):
    with pytest.raises(BadRowError):
        scalar_text(value)


def test_ids_depend_on_content_alone():
    one = batch(text=["a", "b"], label=["x", "y"])
    turned = batch(label=["y", "x"], text=["b", "a"])

    ids = row_ids(one).to_pylist()

    assert all(len(value) == 32 and int(value, 16) >= 0 for value in ids)
    assert row_ids(turned).to_pylist() == ids[::-1]
    assert row_ids(one.slice(1)).to_pylist() == ids[1:]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": ["x"], "b": ["yz"]}, {"a": ["xy"], "b": ["z"]}),
        ({"a": ["x"]}, {"b": ["x"]}),
        ({"a": pa.array([None], pa.string())}, {"a": [""]}),
        ({"a": pa.array([None], pa.string())}, {"a": ["-"]}),
        ({"a": [["x", "y"]]}, {"a": [["xy"]]}),
        ({"a": [["x"]], "b": [["y"]]}, {"a": [["x", "y"]], "b": pa.array([[]], pa.list_(pa.string()))}),
    ],
)
def test_different_rows_have_different_ids(one, other):
    assert row_ids(batch(**one)).to_pylist() != row_ids(batch(**other)).to_pylist()


def test_an_id_is_for_ever():
    # A change here makes every prepared dataset another one: raise the stage's VERSION.
    rows = batch(text=["hello", "你好"], words=[["a", "b"], []], who=pa.array([None, "x"]))

    assert row_ids(rows).to_pylist() == ["731c9b881bcc32c12cd1d5b9e7d821de", "39264c40bf5d242bd5c3beff7e93e09d"]


def test_text_is_measured_in_bytes():
    rows = batch(text=["hello", "你好", None], words=[["a", "bc"], [], ["é"]])

    assert text_bytes(rows, ["text"]).tolist() == [5, 6, 0]
    assert text_bytes(rows, ["text", "words"]).tolist() == [8, 6, 2]


@pytest.mark.parametrize("value", ["3.5", 3.5, " 3.5 ", 7 / 2])
def test_a_number_may_be_written_as_text(value):
    assert converter("number")(value) == 3.5


@pytest.mark.parametrize("value", ["three", True, [1], float("nan"), "inf", 10**400])
def test_what_is_no_finite_number_makes_a_row_unreadable(value):
    with pytest.raises(BadRowError, match="expected a number"):
        converter("number")(value)


def test_rows_that_differ_in_a_number_have_different_ids():
    batch = pa.record_batch({"text": ["a", "a", "a"], "score": pa.array([1.0, 2.0, None])})

    assert len(set(row_ids(batch).to_pylist())) == 3

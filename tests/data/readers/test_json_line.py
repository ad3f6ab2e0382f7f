import json
import sys
from pathlib import Path

import pytest
from bmtool.data.readers import json_line
from bmtool.data.readers.advice import TO_LINES
from bmtool.data.readers.json_line import object_on
from bmtool.data.rows import BadRowError, scalar_text
from bmtool.sources.jsonl import Jsonl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))
from reading import read_file

numbers = st.one_of(
    st.integers(),
    st.integers(min_value=2**62, max_value=2**70),
    st.integers(min_value=-(2**70), max_value=-(2**62)),
    st.floats(allow_nan=True),
    st.integers(min_value=10**300, max_value=10**330),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(st.characters(exclude_categories=()))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=6,
)
rows = st.dictionaries(st.sampled_from(["text", "label", "more"]), values, max_size=3)


def as_lines(row):
    return st.booleans().map(
        lambda ascii_only: json.dumps(row, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    )


def damaged(line):
    places = st.integers(0, max(len(line) - 1, 0))
    return st.builds(lambda place, byte: line[:place] + byte + line[place + 1 :], places, st.binary(max_size=2))


lines = rows.flatmap(as_lines)
any_lines = st.one_of(lines, lines.flatmap(damaged), st.binary(max_size=20)).map(lambda line: line.replace(b"\n", b" "))


def slowly(line):
    """The object by Python's own parser, or why there is none."""

    def refuse(name):
        raise ValueError(name)

    try:
        row = json.loads(line.decode("utf-8"), parse_constant=refuse)
    except UnicodeDecodeError:
        return "invalid UTF-8"
    except RecursionError:
        return "JSON nested too deeply"
    except ValueError:
        return "broken JSON"
    return row if isinstance(row, dict) else "not a JSON object"


def exact(value):
    """Whether orjson can't have rounded it."""
    if isinstance(value, list | dict):
        return all(map(exact, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, int | float) or abs(value) < 2**63


@settings(max_examples=500, deadline=None)
@given(any_lines)
def test_the_fast_parser_says_what_pythons_says(line):
    expected = slowly(line)

    found = object_on(line)

    if isinstance(expected, str):
        assert found.partition(": ")[0] == expected
    elif exact(expected):
        assert found == expected
    else:
        assert found.keys() == expected.keys()  # numbers this large are read once more, if they are wanted


def expected_of(line):
    """What becomes of a line that is asked for its text and label."""
    row = slowly(line)
    if isinstance(row, str):
        return row
    text, label = row.get("text"), row.get("label")
    if text is not None and not isinstance(text, str):
        return "wrong type in column 'text'"
    try:
        label = scalar_text(label)
    except BadRowError:
        return "wrong type in column 'label'"
    except ValueError:
        return None  # more digits than Python writes
    for value in (text, label):
        try:
            (value or "").encode()
        except UnicodeEncodeError:
            return "invalid UTF-8"
    for name, value in (("text", text), ("label", label)):
        if value is None:
            return f"no value in column '{name}'"
        if "\0" in value:
            return f"NUL character in column '{name}'"
        if name == "label" and value == "":
            return "no value in column 'label'"
    return {"text": text, "label": label}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_lines, min_size=1, max_size=8))
@example([b'{"text": "a", "label": 123456789012345678901234567890}', b'{"text": "b", "label": 1e30}'])
@example([b'{"text": "\\ud800", "label": 1}', b'{"text": "fine", "label": 2, "more": "\\ud800"}'])
def test_every_line_becomes_a_row_or_a_reason_as_with_pythons_parser(tmp_path, lines):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "first", "label": "x"}\n' + b"\n".join(lines) + b"\n")

    kept, rejected = read_file(Jsonl(path=str(path)), {"text": "text", "label": "label"})

    for number, line in enumerate(lines, 2):
        expected = expected_of(line) if line.strip() else None
        found = kept.get(number) or rejected.get(number, "").partition(": ")[0] or None
        assert found == expected, line


def test_numbers_are_exact_in_lists_too(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"words": ["a", "b"], "tags": [18446744073709551616, 1]}\n')

    rows, _ = read_file(Jsonl(path=str(path)), {"words": "words", "tags": "tags"})

    assert rows[1]["tags"] == ["18446744073709551616", "1"]


def test_a_line_of_very_many_values_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr(json_line, "MAX_COMMAS", 1000)

    assert object_on(b'{"text": "a", "more": [' + b"{}," * 2000 + b"{}]}") == "a line of more than 4,000,000 values"


@pytest.mark.parametrize("depth", [1_100, 100_000])
def test_deep_nesting_is_a_reason_or_a_row(depth):
    found = object_on(b'{"text": "t", "deep": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}")

    assert found == "JSON nested too deeply" or (depth < 10_000 and found["text"] == "t")


def test_a_number_that_json_does_not_know_is_named():
    assert object_on(b'{"label": NaN}') == "broken JSON: NaN is no value of JSON; a missing one is null"
    assert object_on(b'{"label": -Infinity}') == "broken JSON: -Infinity is no value of JSON; a missing one is null"


@pytest.mark.parametrize(("text", "reason"), [("[\n", "broken JSON"), ('[{"text": "a"}]\n', "not a JSON object")])
def test_a_list_at_the_start_of_a_file_is_said(tmp_path, text, reason):
    path = tmp_path / "x.jsonl"
    path.write_text(text + '{"text": "a"}\n' + text)

    kept, rejected = read_file(Jsonl(path=str(path)), {"text": "text"})

    hint = f"a list begins here. {TO_LINES}"
    assert rejected == {1: f"{reason}: {hint}", 3: reason}
    assert list(kept) == [2]

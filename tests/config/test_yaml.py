"""Reading YAML: scalars of YAML 1.2, places, and everything that is refused."""

# whole messages stand beside what causes them
import time

import pytest
from bmtool.commands.table import FORMATS
from bmtool.config.yaml import MAX_FILE_BYTES, read_file, read_value
from bmtool.errors import ConfigError


def read(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_file(path, source="c.yaml")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("1e-4", 0.0001),
        ("3E5", 300000.0),
        (".5", 0.5),
        ("-3", -3),
        ("+5", 5),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("4M", "4M"),
        ("10m", "10m"),
        ("1%", "1%"),
        ("~", None),
        ("null", None),
        ("", None),
        ('"5"', "5"),
        ("'no'", "no"),
        (".inf", float("inf")),
        ("=", "="),
        ("[1, a, {b: c}]", [1, "a", {"b": "c"}]),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_a_scalar_is_read_by_the_core_schema_of_yaml_1_2(tmp_path, written, value):
    document = read(tmp_path, f"a: {written}\n")

    found = document.root.plain()["a"]
    assert (found, type(found)) == (value, type(value))
    assert document.problems == []


def test_every_value_knows_its_line_and_column(tmp_path):
    root = read(tmp_path, "a: 1\nb:\n  - x\n  - {c: 2, d: 3}\n").root

    assert str(root.place_of(("b",))) == "c.yaml:2:1"
    assert str(root.place_of(("b", 0))) == "c.yaml:3:5"
    assert str(root.place_of(("b", 1, "d"))) == "c.yaml:4:12"
    assert str(root.place_of(("b", 1, "missing"))) == "c.yaml:4:5"


@pytest.mark.parametrize(
    "name", ["a.b.csv", "rows.jsonl.gz", *(f"rows{ending}" for ending, kind in FORMATS.items() if kind != "lines")]
)
def test_data_in_the_place_of_a_configuration_leads_to_init(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"text,label\n")

    with pytest.raises(ConfigError, match=f"no configuration. 'bmtool init .*{name}' writes one"):
        read_file(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.yaml:1:1: the file is empty. It starts with 'version: 1' and 'name: ...'"),
        ("# only a comment\n", "c.yaml:1:1: the file is empty. It starts with 'version: 1' and 'name: ...'"),
        ("- a\n- b\n", "c.yaml:1:1: expected settings as 'key: value' lines"),
        ("just text\n", "c.yaml:1:1: expected settings as 'key: value' lines"),
        ("a:\n\tb: 1\n", "c.yaml:2:1: a tab. Indent with spaces"),
        (
            "a: b: c\n",
            "c.yaml:1:5: a ':' that doesn't belong here. Is the line indented wrongly? Text with ': ' in it is quoted",
        ),
        ("a: 'x\nb: 3\n", "c.yaml:1:4: a quote is opened here and never closed"),
        ("a: [1, 2\nb: 3\n", "c.yaml:1:4: '[' is opened here and not closed, or a comma is missing"),
        ("a: {b: 1\nc: 3\n", "c.yaml:1:4: '{' is opened here and not closed, or a comma is missing"),
        ("a: [1]]\n", "c.yaml:1:7: a ']' that doesn't belong here"),
        ("a:\n  b: 1\n c: 2\n", "c.yaml:3:2: wrong indentation: it matches no line above"),
        ("a: 1\nb\nc: 2\n", "c.yaml:2:1: expected 'key: value'; there is no ':' behind this"),
        ("a: *.csv\n", "c.yaml:1:4: text that starts with '*' must be quoted, such as '*.jsonl'"),
        ("a: @b\n", "c.yaml:1:4: text that starts with '@' must be quoted"),
        ("a: 1\n---\nb: 2\n", "c.yaml:2:1: a second document starts here ('---'). One file holds one configuration"),
        (b"a: 1\nb: caf\xe9\n", "c.yaml:2:7: not UTF-8 (byte 0xe9). Save the file as UTF-8"),
        ("a: 1\nb: x\x01\n", "c.yaml:2:5: the character '\\x01' isn't allowed in a configuration file"),
        ("a: " + "[" * 40 + "]" * 40, "c.yaml:1:36: more than 32 levels of nesting"),
    ],
)
def test_a_syntax_error_is_explained_where_it_is(tmp_path, text, message):
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)

    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:\n  a: 1\n  a: 2\n", "c.yaml:3:3: 'a' is already set on line 2"),
        ("a: &x 1\n", "c.yaml:1:4: '&x' is a YAML anchor, which isn't read. Text that starts with '&' must be quoted"),
        ("a: *x\n", "c.yaml:1:4: '*x' is a YAML alias, which isn't read. Text that starts with '*' must be quoted"),
        (
            "a: !!str 5\n",
            "c.yaml:1:4: '!!str' is a YAML tag, which isn't read. Text that starts with '!' must be quoted",
        ),
        (
            "a: !x {b: 1}\n",
            "c.yaml:1:4: '!x' is a YAML tag, which isn't read. Text that starts with '!' must be quoted",
        ),
        ("<<: {a: 1}\n", "c.yaml:1:1: '<<' (a merge key) isn't read. A shared part goes into a file for 'extends:'"),
        ("1: a\n", "c.yaml:1:1: a key must be text, not '1'. Put it in quotes"),
        ("[a]: b\n", "c.yaml:1:1: a key must be text, not a list or a mapping. Put it in quotes"),
        ('a: "\\ud800"\n', "c.yaml:1:1: a: the text holds a character that can't be stored (NUL or half a pair)"),
        ("a: " + "9" * 5000, "c.yaml:1:1: a: a number of 5,000 digits"),
    ],
)
def test_what_we_do_not_read_is_a_problem_with_a_place(tmp_path, text, message):
    assert [str(problem) for problem in read(tmp_path, text).problems] == [message]


def test_problems_of_form_are_all_found_at_once(tmp_path):
    document = read(tmp_path, "a: &x 1\nb: *x\nb: 2\nc: !t 3\n")

    assert [problem.place.line for problem in document.problems] == [1, 2, 4, 3]


def test_a_byte_order_mark_is_skipped(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfa: 1\n").root.plain() == {"a": 1}


def test_a_missing_file_names_the_one_beside_it(tmp_path):
    (tmp_path / "reviews.yaml").write_text("version: 1\n")

    with pytest.raises(ConfigError) as error:
        read_file(tmp_path / "review.yaml")

    assert str(error.value) == (
        f"{tmp_path}/review.yaml: there is no such file. Did you mean '{tmp_path}/reviews.yaml'?"
    )


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError) as error:
        read_file(tmp_path)

    assert (
        str(error.value)
        == f"{tmp_path}: a folder is no configuration. 'bmtool init {tmp_path}' writes one for data in it"
    )


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "big.yaml"
    path.write_bytes(b"a" * (MAX_FILE_BYTES + 1))

    with pytest.raises(ConfigError) as error:
        read_file(path)

    assert str(error.value) == f"{path}: more than 262,144 bytes: this is no configuration file"


def test_a_nesting_bomb_costs_no_time(tmp_path):
    started = time.process_time()

    with pytest.raises(ConfigError):
        read(tmp_path, "a: " + "[" * 250_000)

    assert time.process_time() - started < 2


def test_one_value_is_read_with_its_source_as_place():
    document = read_value("{a: [1, x]}", rank=5, source="--set b={a: [1, x]}")

    assert document.root.plain() == {"a": [1, "x"]}
    assert str(document.root.place_of(("a", 1))) == "--set b={a: [1, x]}"

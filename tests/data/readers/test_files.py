import gzip

import pytest
from bmtool.data.readers import lines
from bmtool.data.readers.files import find_files
from bmtool.data.readers.lines import read_lines
from bmtool.errors import ConfigError, DataError, MissingInputError


def names(*patterns):
    return [name for name, _ in find_files([str(pattern) for pattern in patterns])]


def test_names_are_what_lies_below_the_fixed_part_of_a_glob(tmp_path):
    for place in ("raw/b/2.jsonl", "raw/a/1.jsonl", "raw/a/note.txt", "raw/3.jsonl"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()

    assert names(tmp_path / "raw" / "**" / "*.jsonl") == ["3.jsonl", "a/1.jsonl", "b/2.jsonl"]
    assert names(tmp_path / "raw" / "a" / "1.jsonl") == ["1.jsonl"]


def test_a_name_that_two_patterns_share_gets_the_patterns_number(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.csv").touch()

    assert names(tmp_path / "b" / "x.csv", tmp_path / "a" / "x.csv") == ["0/x.csv", "1/x.csv"]


def test_a_folder_that_is_called_as_a_patterns_number_gets_no_file_the_name_of_another(tmp_path):
    for place in ("d/a.csv", "d/0/a.csv", "e/a.csv"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()

    assert names(tmp_path / "d" / "**" / "*.csv", tmp_path / "e") == ["0/0/a.csv", "0/a.csv", "1/a.csv"]


def test_a_file_that_two_patterns_match_is_read_once(tmp_path):
    (tmp_path / "x.csv").touch()

    assert names(tmp_path / "*.csv", tmp_path / "x.csv") == ["x.csv"]


def test_variables_are_replaced_in_paths(tmp_path, monkeypatch):
    (tmp_path / "x.csv").touch()
    monkeypatch.setenv("WHERE", str(tmp_path))

    assert names("${WHERE}/x.csv") == ["x.csv"]
    with pytest.raises(ConfigError, match="'NOWHERE_AT_ALL' isn't set"):
        names("${NOWHERE_AT_ALL}/x.csv")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInputError) as no_match:
        names(tmp_path / "*.csv")
    with pytest.raises(MissingInputError) as no_file:
        names(tmp_path / "x.csv")
    with pytest.raises(MissingInputError) as folder:
        names(tmp_path)

    assert str(no_match.value).startswith(f"{tmp_path}/*.csv: no file matches")
    assert str(no_file.value).startswith(f"{tmp_path}/x.csv: there is no such file")
    assert str(folder.value).startswith(f"{tmp_path}: there is no file in this folder")


def test_a_file_name_with_brackets_is_that_file(tmp_path):
    (tmp_path / "x[1].csv").touch()

    assert names(tmp_path / "x[1].csv") == ["x[1].csv"]


def test_lines_of_a_gzipped_file_are_those_of_the_plain_one(tmp_path):
    content = b"\xef\xbb\xbfone\ntwo\r\n\nlast"
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "zipped").write_bytes(gzip.compress(content))

    expected = [(1, b"one\n"), (2, b"two\r\n"), (3, b"\n"), (4, b"last")]
    assert list(read_lines(tmp_path / "plain")) == expected
    assert list(read_lines(tmp_path / "zipped")) == expected


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:30] + b"\0\0\0\0" + data[34:]])
def test_a_damaged_gzip_is_named(tmp_path, damage):
    path = tmp_path / "x.gz"
    path.write_bytes(damage(gzip.compress(bytes(range(256)) * 40)))

    with pytest.raises(DataError) as error:
        list(read_lines(path))

    assert str(error.value).startswith(f"{path}: the gzip stream is damaged or cut off")


def test_an_endless_line_is_passed_over_without_being_held(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10)
    (tmp_path / "x").write_bytes(b"a" * 35 + b"\nshort\n" + b"b" * 9 + b"\n" + b"c" * 20)

    assert list(read_lines(tmp_path / "x")) == [(1, None), (2, b"short\n"), (3, b"b" * 9 + b"\n"), (4, None)]


def test_utf16_is_named_and_mended(tmp_path):
    (tmp_path / "x").write_text("hello", encoding="utf-16")

    with pytest.raises(DataError) as error:
        list(read_lines(tmp_path / "x"))

    assert str(error.value) == f"{tmp_path}/x: the file is UTF-16. Convert it: iconv -f UTF-16 -t UTF-8"

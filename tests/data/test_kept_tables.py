"""Tables of characters are read from a file where an earlier process has made them."""

import numpy as np
import pytest
from bmtool.data.compiled import nb
from bmtool.data.kept_tables import kept_table, read_table, write_table


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A function that gives a new process's function of a table, which notes each time that it is made."""
    monkeypatch.setattr(nb.config, "CACHE_DIR", str(tmp_path))
    calls = []

    def in_new_process(version=""):
        @kept_table(version)
        def squares(name):
            calls.append(name)
            return np.arange(5) ** 2

        return squares

    in_new_process.calls = calls
    return in_new_process


def test_a_table_is_made_once_and_then_read(made):
    first, again = made()("a"), made()("a")

    assert made.calls == ["a"]
    assert first.dtype == again.dtype
    assert first.tolist() == again.tolist() == [0, 1, 4, 9, 16]


def test_another_argument_or_version_is_another_table(made):
    made()("a")

    made()("b")
    made("2")("a")

    assert made.calls == ["a", "b", "a"]


def test_a_table_is_read_only_whether_it_was_made_or_read(made):
    for table in (made()("a"), made()("a")):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 1


def test_a_torn_file_is_made_anew(made, tmp_path):
    made()("a")
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))

    assert made()("a").tolist() == [0, 1, 4, 9, 16]
    assert made.calls == ["a", "a"]
    assert read_table(path).tolist() == [0, 1, 4, 9, 16]


def test_a_file_of_no_bytes_is_no_table(tmp_path):
    (tmp_path / "empty").write_bytes(b"")

    assert read_table(tmp_path / "empty") is None
    assert read_table(tmp_path / "missing") is None


def test_what_is_written_leaves_one_file(tmp_path):
    write_table(tmp_path / "one", np.zeros(3, np.uint8))

    assert [path.name for path in tmp_path.iterdir()] == ["one"]

"""What is kept is whole and unchanged, or not found; several runs may fill and read the same shelf."""

import errno
import json
import os
import resource
import socket

import numpy as np
import pytest
from bmtool.data.kept import FACTS, Shelf, read_array, sealed, unsealed, write_array

KEY = "ab12"


def fill(shelf, key=KEY, values=(1, 2, 3), **facts):
    with shelf.filling(key) as (folder, noted):
        write_array(folder / "values.npy", np.array(values))
        noted.update(facts)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_was_put_there_is_found_with_its_facts(tmp_path):
    shelf = Shelf(tmp_path)

    fill(shelf, rows=3, names=["ä", "\ud800"])

    facts = shelf.find(KEY)
    assert (facts["rows"], facts["names"], list(facts["files"])) == (3, ["ä", "\ud800"], ["values.npy"])
    assert read_array(shelf.path(KEY) / "values.npy").tolist() == [1, 2, 3]
    assert names(tmp_path) == ["ab/ab12/facts.json", "ab/ab12/values.npy"]


def test_what_was_never_put_there_is_not_found(tmp_path):
    assert Shelf(tmp_path / "nowhere").find(KEY) is None


def test_nothing_is_kept_of_work_that_failed(tmp_path):
    shelf = Shelf(tmp_path)

    with pytest.raises(TypeError):
        fill(shelf, facts=object())

    assert shelf.find(KEY) is None
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "values.npy").unlink(),
        lambda folder: (folder / "values.npy").write_bytes(b""),
        lambda folder: (folder / FACTS).write_text("{"),
        lambda folder: (folder / FACTS).write_text("[]"),
        lambda folder: (folder / FACTS).write_bytes(b"\xff"),
        lambda folder: (folder / FACTS).write_text((folder / FACTS).read_text().replace('"rows": 3', '"rows": 4')),
    ],
)
def test_what_is_damaged_is_not_found_and_is_replaced_by_the_next(tmp_path, harm):
    shelf = Shelf(tmp_path)
    fill(shelf, rows=3)
    harm(shelf.path(KEY))

    found = shelf.find(KEY)
    fill(shelf, rows=3)

    assert found is None
    assert shelf.find(KEY)["rows"] == 3
    assert names(tmp_path) == ["ab/ab12/facts.json", "ab/ab12/values.npy"]


def test_what_is_whole_stays_where_it_is_for_those_who_read_it(tmp_path):
    shelf = Shelf(tmp_path)
    fill(shelf)
    before = (shelf.path(KEY) / "values.npy").stat().st_ino

    fill(shelf)
    same = (shelf.path(KEY) / "values.npy").stat().st_ino
    fill(shelf, values=(4,))

    assert same == before
    assert read_array(shelf.path(KEY) / "values.npy").tolist() == [4]
    assert names(tmp_path) == ["ab/ab12/facts.json", "ab/ab12/values.npy"]


def test_a_run_that_was_faster_is_no_trouble(tmp_path):
    shelf = Shelf(tmp_path)

    with shelf.filling(KEY) as (folder, _):
        write_array(folder / "values.npy", np.array([1, 2, 3]))
        folder.rename(tmp_path / "aside")  # another process has a folder of its own
        fill(shelf)
        (tmp_path / "aside").rename(folder)

    assert shelf.find(KEY)


def test_what_processes_that_are_gone_left_is_removed_and_what_others_work_on_is_not(tmp_path):
    shelf = Shelf(tmp_path)
    mine = f".{KEY}.{socket.gethostname()}"
    for name in (f"{mine}.999999999", f"{mine}.{os.getpid()}", f"{mine}.{os.getppid()}", f".{KEY}.elsewhere.1"):
        (tmp_path / "ab" / name).mkdir(parents=True)

    fill(shelf)

    left = sorted(path.name for path in (tmp_path / "ab").iterdir())
    assert left == sorted([KEY, f"{mine}.{os.getppid()}", f".{KEY}.elsewhere.1"])


def test_a_seal_breaks_when_a_value_changes():
    text = sealed({"a": [1, {"b": None}], "c": 0.1})

    assert unsealed(text) == {"a": [1, {"b": None}], "c": 0.1}
    for other in (text.replace("0.1", "0.2"), json.dumps({"a": 1}), "[]", "null", text[:-1]):
        with pytest.raises(ValueError, match=r".*"):
            unsealed(other)


def test_an_array_that_the_disk_has_no_room_for_says_what_the_system_said(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            write_array(tmp_path / "values.npy", np.zeros((1000, 7), np.uint64))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert error.value.errno == errno.EFBIG


@pytest.mark.parametrize("values", [np.zeros((0, 2), np.uint64), np.arange(12, dtype=np.uint16).reshape(4, 3)[:, 1:]])
def test_an_array_comes_back_as_it_was(tmp_path, values):
    write_array(tmp_path / "values.npy", values)

    again = read_array(tmp_path / "values.npy")

    assert (again.dtype, again.shape, again.tolist()) == (values.dtype, values.shape, values.tolist())

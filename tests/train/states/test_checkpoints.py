"""Saved states are whole or not there, verified before use, and two are kept."""

import errno
import os
import subprocess
import sys
import textwrap

import pytest
import torch
from bmtool.console import Console
from bmtool.errors import ConfigError, StorageError
from bmtool.train.machine.world import World
from bmtool.train.states import checkpoints
from bmtool.train.states.checkpoints import BEST, MODEL, OPTIMIZER, Checkpoints, check_space, storage_errors
from bmtool.train.states.state import State


class Log(Console):
    def __init__(self):
        super().__init__()
        self.lines = []

    def _write(self, text, *, prefix=True):
        self.lines.append(text)


def files_of(step, best=False):
    tensor = torch.full((8,), float(step))
    return {MODEL: {"w": tensor}, OPTIMIZER: {"m": tensor}, **({BEST: {"w": tensor}} if best else {})}


def save(store, step, best=None, new_best=False):
    store.save({"step": step, "best": best}, files_of(step, new_best))
    store.finish()


@pytest.fixture
def store(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", Log())


def names(store):
    return sorted(path.name for path in store.folder.iterdir())


def test_nothing_is_found_where_nothing_was_saved(store):
    assert store.newest(World()) is None


def test_the_newest_state_comes_back_and_two_are_kept(store):
    for step in (5, 10, 15):
        save(store, step)

    saved = Checkpoints(store.folder, Log()).newest(World())

    assert (saved.step, saved.state) == (15, {"step": 15, "best": None})
    assert saved.tensors(MODEL)["w"].tolist() == [15.0] * 8
    assert names(store) == ["step-00000010", "step-00000015"]


@pytest.mark.parametrize("name", [MODEL, OPTIMIZER, "state.json"])
def test_a_flipped_bit_puts_a_state_aside_and_the_one_before_is_used(store, name):
    save(store, 5)
    save(store, 10)
    path = store.folder / "step-00000010" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    reader = Checkpoints(store.folder, Log())

    saved = reader.newest(World())

    assert saved.step == 5
    assert names(store) == ["quarantine-step-00000010", "step-00000005"]
    problem = f"{name} has other bytes than were written"
    aside = "it is put aside as quarantine-step-00000010"
    assert reader.console.lines == [f"warning: saved state step-00000010 is damaged ({problem}); {aside}"]


def test_a_lost_file_and_a_lost_manifest_are_seen(store):
    save(store, 5)
    save(store, 10)
    (store.folder / "step-00000010" / OPTIMIZER).unlink()
    (store.folder / "step-00000005" / "manifest.json").unlink()
    reader = Checkpoints(store.folder, Log())

    assert reader.newest(World()) is None
    assert len(reader.console.lines) == 2


def test_an_unchanged_best_model_is_linked_and_not_written_again(store):
    best = {"step": 5}
    save(store, 5, best, new_best=True)
    save(store, 10, best)
    save(store, 15, best)

    saved = store.newest(World())

    assert saved.tensors(BEST)["w"].tolist() == [5.0] * 8
    assert saved.tensors(MODEL)["w"].tolist() == [15.0] * 8
    assert (saved.folder / BEST).stat().st_nlink == 2


def test_what_a_killed_save_left_is_removed(store):
    save(store, 5)
    (store.folder / ".step-00000010").mkdir()

    assert store.newest(World()).step == 5
    assert names(store) == ["step-00000005"]


@pytest.mark.parametrize(("fault", "found"), [("save:written", 5), ("save:renamed", 10)])
def test_a_kill_in_a_save_leaves_a_whole_state(tmp_path, fault, found):
    code = f"""
        import os, sys, torch
        from pathlib import Path
        from bmtool.console import Console
        from bmtool.train.states.checkpoints import MODEL, OPTIMIZER, Checkpoints
        store = Checkpoints(Path(sys.argv[1]), Console())
        for step in (5, 10):
            os.environ["BMTOOL_FAULT"] = "kill@{fault}" if step == 10 else ""
            tensors = {{"w": torch.full((8,), float(step))}}
            store.save({{"step": step}}, {{MODEL: tensors, OPTIMIZER: tensors}})
            store.finish()
    """
    process = subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path / "c"], check=False)

    assert process.returncode == -9
    assert Checkpoints(tmp_path / "c", Log()).newest(World()).step == found


def test_a_full_disk_is_said_and_the_last_state_is_kept(store, monkeypatch):
    save(store, 5)
    monkeypatch.setenv("BMTOOL_FAULT", "enospc@write")
    store.save({"step": 10}, files_of(10))

    with pytest.raises(StorageError, match="a state could not be saved: No space left on device"):
        store.finish()

    monkeypatch.delenv("BMTOOL_FAULT")
    assert store.newest(World()).step == 5


def test_a_failed_save_is_seen_without_waiting(store, monkeypatch):
    monkeypatch.setenv("BMTOOL_FAULT", "enospc@write")
    store.save({"step": 10}, files_of(10))
    store.writing.exception(timeout=10)

    with pytest.raises(StorageError):
        store.check()


def test_other_errors_of_the_system_are_not_called_a_full_disk():
    with pytest.raises(PermissionError), storage_errors("x"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_a_disk_that_is_too_small_is_said_before_the_first_step(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 9_000_000})
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda folder: usage)

    check_space(tmp_path, 100_000, keeps_best=False)
    with pytest.raises(StorageError) as error:
        check_space(tmp_path, 1_000_000, keeps_best=True)

    assert str(error.value) == (
        f"{tmp_path}: training needs 52 MB for its saved states and the model, and 9 MB are free"
    )


def test_a_state_of_a_version_that_knew_more_says_so():
    plain = State().to_json() | {"moons": 3}

    with pytest.raises(ConfigError) as error:
        State.from_json(plain)

    assert str(error.value) == (
        "the saved state was written by another version of bmtool (moons isn't known here). Go on with that "
        "version, or begin again with --force"
    )
    assert State.from_json({"step": 5}).step == 5

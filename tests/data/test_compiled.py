"""Compiled kernels belong to one state of the source: another state never finds them."""

import os
import sys
import time
from pathlib import Path

import bmtool
from bmtool.data.compiled import NAME, kernel_folder, nb, source_key
from numba.core.dispatcher import Dispatcher

PACKAGE = Path(bmtool.__file__).parent


def test_kernels_are_kept_under_a_hash_of_the_source():
    assert Path(nb.config.CACHE_DIR).name == f"{NAME}{source_key()}"


def test_the_hash_follows_every_file_that_kernels_are_made_from(monkeypatch, tmp_path):
    import shutil

    shutil.copytree(PACKAGE, tmp_path / "bmtool", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("bmtool.data.compiled.__file__", str(tmp_path / "bmtool" / "data" / "compiled.py"))
    before = source_key()
    assert before == source_key()

    words = tmp_path / "bmtool" / "data" / "text" / "words.py"
    words.write_text(words.read_text() + "\n")

    assert source_key() != before


def test_the_first_folder_that_can_be_written_is_taken_and_old_kernels_go(tmp_path):
    blocked, base = tmp_path / "file", tmp_path / "cache"
    blocked.write_text("")
    old, young = base / f"{NAME}old", base / f"{NAME}young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    long_ago = time.time() - 30 * 86_400
    os.utime(old, (long_ago, long_ago))

    folder = kernel_folder([blocked, base])

    assert folder == base / f"{NAME}{source_key()}"
    assert not old.exists()
    assert young.exists()


def test_without_a_folder_kernels_are_compiled_for_this_process_alone(tmp_path):
    (tmp_path / "file").write_text("")

    one, other = kernel_folder([tmp_path / "file"]), kernel_folder([tmp_path / "file"])

    assert one != other
    assert one.stat().st_mode & 0o077 == 0


def test_every_module_takes_numba_from_there():
    others = [path for path in PACKAGE.rglob("*.py") if "import numba" in path.read_text()]

    assert [path.name for path in others] == ["compiled.py"]


def test_no_kernel_that_python_calls_is_compiled_by_each_process_anew():
    from bmtool.data.quality.tables import tables

    tables()

    called = [
        value
        for name, module in list(sys.modules.items())
        if name.startswith("bmtool.data.")
        for value in vars(module).values()
        if isinstance(value, Dispatcher) and value.signatures
    ]
    assert len(called) > 3
    assert [kernel.__name__ for kernel in called if kernel.stats.cache_path is None] == []

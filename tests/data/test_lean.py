"""Libraries are loaded without those that they can do without."""

import subprocess
import sys

import pytest

WORK = """
import sys
from bmtool.data.lean import load_lean, own_process
own_process()
load_lean()
import numba, numpy as np, pyarrow as pa, pyarrow.compute as pc

@numba.njit
def total(values):
    return values.sum()

assert total(np.arange(4.0)) == 6
texts = pa.array(["a", None]), pa.array(np.array(["b", "c"], object)), pa.scalar("d")
assert pc.binary_join_element_wise(*texts, "-").to_pylist() == ["a-b-d", None]
assert pa.array(np.array([1, np.nan]), from_pandas=True).null_count == 1
"""


def run(more: str) -> list[str]:
    words = [sys.executable, "-c", WORK + more]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()


def test_pandas_and_scipy_are_not_loaded_with_kernels_and_columns():
    assert run("print(*(name for name in ('numba', 'pyarrow', 'pandas', 'scipy') if name in sys.modules))") == [
        "numba",
        "pyarrow",
    ]


def test_both_can_be_loaded_afterwards():
    pytest.importorskip("pandas")
    pytest.importorskip("scipy")

    assert run("import pandas, scipy.linalg; print(pandas.__name__, scipy.linalg.__name__)") == [
        "pandas",
        "scipy.linalg",
    ]


def test_a_process_that_is_not_a_commands_own_can_convert_columns_to_pandas():
    pytest.importorskip("pandas")
    work = WORK.replace("own_process()\n", "")

    words = [sys.executable, "-c", work + "print(pa.table({'a': [1, 2]}).to_pandas()['a'].sum())"]

    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout.split() == ["3"]


LOADING = """
import gc
from bmtool.data.lean import loading, own_process
gc.unfreeze()  # what the start of this Python froze, if it did
"""


def test_no_garbage_is_looked_for_while_a_command_loads_libraries_and_they_stay_out_of_later_looks():
    work = "own_process()\nwith loading():\n    print(gc.isenabled())\nprint(gc.isenabled(), gc.get_freeze_count() > 0)"

    words = [sys.executable, "-c", LOADING + work]

    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout.split() == ["False", "True", "True"]


def test_loading_leaves_the_garbage_of_a_process_that_is_not_a_commands_own_alone():
    work = "with loading():\n    print(gc.isenabled())\nprint(gc.isenabled(), gc.get_freeze_count() > 0)"

    words = [sys.executable, "-c", LOADING + work]

    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout.split() == ["True", "True", "False"]

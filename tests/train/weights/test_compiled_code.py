"""What torch compiled for layers is kept on purpose, in a folder of this user."""

import os
import subprocess
import sys
from pathlib import Path

COMPILING = """
import warnings
warnings.simplefilter("ignore")
import torch
from bmtool.train.weights.compiled_code import keep_compiled
from bmtool.train.weights.compiling import fault_of_compiler
print(keep_compiled())
print(fault_of_compiler(torch.device("cpu")))
"""


def compiled(tmp_path, **variables):
    """(what is in the temporary folder, where code is kept) once something was compiled."""
    (tmp_path / "temporary").mkdir()
    wanted = {"TMPDIR": str(tmp_path / "temporary"), "NUMBA_CACHE_DIR": str(tmp_path / "kept")} | variables
    environment = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILING], env=environment | wanted, check=True, capture_output=True, text=True
    )
    folder, fault = done.stdout.splitlines()
    assert fault == ""
    return [path.name for path in (tmp_path / "temporary").iterdir()], Path(folder)


def test_it_is_kept_with_bmtools_own_and_nothing_is_left_in_the_temporary_folder(tmp_path):
    left, folder = compiled(tmp_path)

    assert left == []
    assert folder.parent == tmp_path / "kept"
    assert folder.name.startswith("layers-")
    assert list(folder.rglob("*.so"))


def test_where_the_environment_says_otherwise_that_is_taken(tmp_path):
    left, folder = compiled(tmp_path, TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "theirs"))

    assert left == []
    assert folder == tmp_path / "theirs"
    assert list(folder.rglob("*.so"))

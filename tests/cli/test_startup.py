import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "datasets", "pyarrow", "numpy", "sklearn")

PROGRAM = """
import sys
from bmtool.cli import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    print(end.code, [name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["prepare", "--help"],
        ["--version"],
        ["list"],
        ["list", "filters"],
        ["check", "tiny.yaml"],
        ["prepare", "tiny.yaml", "--dry-run"],
    ],
)
def test_light_commands_import_nothing_heavy(tmp_path, words, project_folder):
    program = PROGRAM.replace("{heavy}", repr(HEAVY))

    done = subprocess.run([sys.executable, "-c", program, *words], cwd=project_folder, capture_output=True, text=True)

    assert done.stderr.splitlines()[-1] == "0 []", done.stderr

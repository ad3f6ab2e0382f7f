import subprocess
import sys
from pathlib import Path

import pytest

READ = """
import os, sys
from bmtool.data.readers.lines import bytes_of
from bmtool.sources.jsonl import Jsonl
source = Jsonl(path="-")
[(name, path)] = source.files()
[(again, same)] = source.files()
assert (again, same) == (name, path)
if os.fork() == 0:
    sys.exit(0)
os.wait()
print(name, path, [bytes_of(piece) for piece in source.pieces(name, path, "")])
"""


def run(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, **options)


def test_standard_input_is_a_file_called_stdin_that_is_gone_at_the_exit():
    done = run(READ, input='{"text": "a"}\n')

    name, path, data = done.stdout.split(" ", 2)
    assert (name, data.strip()) == ("stdin", """[b'{"text": "a"}\\n']""")
    assert not Path(path).exists()


@pytest.mark.parametrize("end", ["terminal", "closed"])
def test_nothing_piped_in_is_said(end):
    code = "import os, pty, sys\n"
    code += "main, sub = pty.openpty(); sys.stdin = os.fdopen(sub)\n" if end == "terminal" else "sys.stdin.close()\n"
    code += "from bmtool.data.readers.files import find_files\n"
    code += "try: find_files(['-'])\nexcept Exception as error: print(type(error).__name__, error)"

    done = run(code, stdin=subprocess.DEVNULL)

    assert done.stdout.startswith("MissingInputError '-' reads standard input, and nothing is piped into it."), (
        done.stderr
    )

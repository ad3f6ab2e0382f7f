"""Small files and sizes where other processes are at work at the same time."""

import subprocess
import sys
import threading

from bmtool.artifacts.files import tree_bytes

WRITER = """
import sys
from pathlib import Path
from bmtool.artifacts.files import write_json
for number in range(300):
    write_json(Path(sys.argv[1]), {"number": number})
"""


def test_two_processes_that_write_the_same_file_leave_it_whole(tmp_path):
    file = tmp_path / "peaks.json"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, file], stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]

    said = [writer.communicate()[1] for writer in writers]

    assert said == ["", ""]
    assert file.read_text() == '{\n  "number": 299\n}\n'
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_in_which_a_run_writes_and_removes_has_a_size_all_the_same(tmp_path):
    (tmp_path / "kept").write_bytes(bytes(1000))
    done = threading.Event()

    def work():
        while not done.is_set():
            folder = tmp_path / "step"
            folder.mkdir()
            (folder / "state").write_bytes(bytes(10))
            (folder / "state").unlink()
            folder.rmdir()

    worker = threading.Thread(target=work)
    worker.start()
    sizes = {tree_bytes(tmp_path) for _ in range(2000)}
    done.set()
    worker.join()

    assert sizes <= {1000, 1010}

"""Numbers go where the environment says, and no service's makers hear of it."""

import importlib.util
import os
import subprocess
import sys

import pytest

#: Sends a line, waits for threads that may ask for an address, and prints at the very end all that were asked for.
SCRIPT = """
import atexit, sys, time
from pathlib import Path

asked = []
atexit.register(lambda: print("asked for:", asked))
sys.addaudithook(lambda event, given: asked.append(given[0]) if event == "socket.getaddrinfo" else None)

from bmtool.contracts import ReportedRun
from bmtool.registry import REPORTERS

run = ReportedRun("pretrain-1", "tiny", Path(sys.argv[2]), "", "new-1")
channel = REPORTERS.load(sys.argv[1])().open(run)
channel.write(1, {"train/loss": 1.0})
channel.close()
time.sleep(2)
"""


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_no_address_is_asked_for_that_nobody_named(name, tmp_path):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} isn't installed")
    # Not all of this environment: in tests and in CI these packages keep quiet of themselves.
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "PYTHONPATH") if key in os.environ}
    told = {"MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name, str(tmp_path)], env=kept | told, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "asked for: []"

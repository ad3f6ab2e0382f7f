"""W&B's own client keeps the numbers offline; a server that is away costs them, and nothing else."""

import re
import socket

import pytest
from bmtool.reporters.wandb import Wandb

wandb = pytest.importorskip("wandb")


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_DIR", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    yield
    wandb.teardown()


def test_without_a_key_numbers_are_kept_for_a_later_sync_under_one_id(send, job):
    lost = [send(Wandb(), steps) for steps in (range(1, 4), range(2, 6))]
    wandb.teardown()  # as at the end of a process: W&B's own may not have written all before

    files = sorted((job.reports / "wandb").glob("offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime)
    # Protobuf: a name, and behind it the value as JSON; a line and the summary after it have the same.
    kept = [re.findall(rb"\ntrain/loss\x82\x01.([0-9.]+)", path.read_bytes(), re.DOTALL) for path in files]
    assert lost == [0, 0]
    assert len({path.stem for path in files}) == 1
    assert [[float(value) for value in dict.fromkeys(values)] for values in kept] == [
        [pytest.approx(1.0 / step) for step in steps] for steps in ((1, 2, 3), (4, 5))
    ]


def test_a_server_that_refuses_costs_its_lines(send, job, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")

    lost = send(Wandb(), range(1, 3))

    assert lost == 2
    assert "warning: wandb: CommError: " in job.console.lines[0]
    assert job.console.lines[-1] == "warning: wandb: 2 lines were lost; metrics.jsonl has them all"

"""MLflow's own client finds the numbers where they were sent; a server that is away costs them, and nothing else."""

import socket

import pytest
import torch
from bmtool.config.model import validate
from bmtool.reporters.mlflow import Mlflow
from bmtool.stages import pretrain
from safetensors.torch import load_file

pytest.importorskip("mlflow")


@pytest.fixture
def away(monkeypatch):
    """Send to an address of this machine: `away(port)`; the client's patience is a second."""

    def away(port):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")

    return away


def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_its_client_reads_the_numbers_of_a_run_that_was_taken_up_again(send, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # the client alone, without the database of a server

    lost = [send(Mlflow(), steps) for steps in (range(1, 4), range(2, 6))]

    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    [run] = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    numbers = client.get_metric_history(run.info.run_id, "train/loss")
    assert lost == [0, 0]
    assert (run.info.run_name, run.info.status) == ("pretrain-ffffffffffff", "FINISHED")
    assert [(number.step, number.value) for number in numbers] == [(step, 1.0 / step) for step in range(1, 6)]


def test_a_server_that_refuses_changes_no_weight(make_job, tmp_path, corpus, away):
    away(unused_port())
    settings = {
        "data": "corpus",
        "model": {"architecture": "bert", "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1},
        "objective": "mlm",
        "max_seq_length": 32,
        "per_device_batch_tokens": 256,
        "max_steps": 3,
        "precision": "fp32",
    }
    alone, reported = (make_job(tmp_path / name, {"data": corpus}) for name in ("alone", "reported"))

    pretrain.run(validate(pretrain.Config, settings), alone)
    pretrain.run(validate(pretrain.Config, settings | {"report_to": "mlflow"}), reported)

    weights, others = (load_file(job.folder / "model.safetensors") for job in (alone, reported))
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    said = [line for line in reported.console.lines if "mlflow" in line]
    assert "Training goes on; what is lost will be counted" in said[0]
    assert "lines were lost; metrics.jsonl has them all" in said[1]


def test_a_server_that_never_answers_costs_its_lines(send, job, away):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        away(silent.getsockname()[1])
        lost = send(Mlflow(), range(1, 3))

    assert lost == 2
    assert job.console.lines[-1] == "warning: mlflow: 2 lines were lost; metrics.jsonl has them all"

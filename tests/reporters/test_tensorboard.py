"""TensorBoard's own reader finds the numbers of metrics.jsonl in the event files."""

from dataclasses import replace

import pytest
from bmtool.config.model import validate
from bmtool.reporters.tensorboard import Tensorboard
from bmtool.stages import pretrain
from bmtool.train.watching.monitor import read_log

pytest.importorskip("tensorboard")


def losses(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (run,) = (folder / "tensorboard").iterdir()
    return EventAccumulator(str(run)).Reload()


def test_it_reads_what_the_log_of_a_training_has(make_job, tmp_path, corpus):
    job = replace(make_job(tmp_path / "a", {"data": corpus}), reports=tmp_path / "x" / "reports" / "pretrain")
    settings = {
        "data": "corpus",
        "model": {"architecture": "bert", "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1},
        "objective": "mlm",
        "max_seq_length": 32,
        "per_device_batch_tokens": 256,
        "max_steps": 6,
        "eval_every": "3 steps",
        "precision": "fp32",
        "report_to": ["tensorboard"],
    }

    pretrain.run(validate(pretrain.Config, settings), job)

    events, log = losses(job.reports), read_log(job.folder / "metrics.jsonl")
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in events.Scalars("validation/loss")] == [
        pytest.approx(line["metrics"]["loss"]) for line in log if line["kind"] == "validation"
    ]


def test_a_run_that_goes_on_adds_its_steps(send, job):
    lost = [send(Tensorboard(), steps) for steps in (range(1, 4), range(2, 6))]

    assert lost == [0, 0]
    assert [event.step for event in losses(job.reports).Scalars("train/loss")] == [1, 2, 3, 4, 5]


def test_a_place_where_nothing_can_be_written_costs_its_lines_and_nothing_else(send, job):
    job.reports.parent.mkdir(parents=True)
    job.reports.write_text("no folder")

    lost = send(Tensorboard(), range(1, 4))

    assert lost == 3
    first, last = job.console.lines
    assert first.startswith("warning: tensorboard: NotADirectoryError: [Errno 20] Not a directory: ")
    assert last == "warning: tensorboard: 3 lines were lost; metrics.jsonl has them all"

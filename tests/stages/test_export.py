import json
import shutil
import sys
from pathlib import Path

import pytest
from bmtool.config.model import validate, what
from bmtool.errors import ConfigError, DataError, GateError
from bmtool.models.files.opening import load
from bmtool.runner.pipeline import Pipeline
from bmtool.stages import export

sys.path.insert(0, str(Path(__file__).parent.parent))
from checkpoints import TEXTS, write_checkpoint

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("bert") / "finetune-0123", "bert")


def config(**settings):
    return validate(export.Config, {"formats": ["onnx"], **settings})


def test_the_bundle_its_numbers_and_its_card(checkpoint, reviews, make_job):
    job = make_job(inputs={"from": (checkpoint, "checkpoint"), "data": reviews})

    summary = export.run(config(max_rows=10), job)

    numbers = summary["formats"]["onnx"]
    assert numbers["rows"] == 10
    assert numbers["same_answers"] == 1.0
    assert [gate.passed for gate in export.gates(config(), summary)] == [True]
    assert export.describe(summary)[0].startswith("onnx: equal to the checkpoint on 10 rows")
    assert load(job.folder)(TEXTS)[0]["label"] == load(checkpoint)(TEXTS)[0]["label"]
    card = (job.folder / "README.md").read_text()
    assert "| rows | 10 |" in card
    assert "finetune-0123" in card


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint, reviews, make_job, tmp_path):
    inputs = {"from": (checkpoint, "checkpoint"), "data": reviews}
    first, second = make_job(tmp_path / "1", inputs), make_job(tmp_path / "2", inputs)

    export.run(config(), first)
    export.run(config(), second)

    assert (first.folder / "model.onnx").read_bytes() == (second.folder / "model.onnx").read_bytes()


def test_a_model_that_differs_is_a_failed_gate(checkpoint, reviews, make_job):
    job = make_job(inputs={"from": (checkpoint, "checkpoint"), "data": reviews})

    with pytest.raises(GateError, match="the exported model isn't the checkpoint"):
        export.run(config(formats=[{"type": "onnx", "tolerance": 1e-12}]), job)


def test_a_split_without_rows_proves_nothing(checkpoint, reviews, make_job, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(reviews.folder, folder)
    path = folder / "test" / "dataset_info.json"
    info = json.loads(path.read_text(encoding="utf-8"))
    info["splits"]["test"]["num_examples"] = 0
    path.write_text(json.dumps(info), encoding="utf-8")

    with pytest.raises(DataError, match="the test split has no rows to compare on"):
        export.run(config(), make_job(inputs={"from": (checkpoint, "checkpoint"), "data": (folder, "dataset")}))


def test_rows_without_a_column_that_the_model_reads_are_a_data_error(reviews, make_job, tmp_path):
    info = {"goal": {"type": "text_classification", "pair": True}, "goal_kind": "task", "labels": ["neg", "pos", "mid"]}
    checkpoint = write_checkpoint(tmp_path / "pairs", "bert", info | {"max_seq_length": 48})

    with pytest.raises(DataError, match=r"split 'test': there is no column 'text_pair'\. The columns are: "):
        export.run(config(), make_job(inputs={"from": (checkpoint, "checkpoint"), "data": reviews}))


def test_the_data_is_what_the_checkpoint_was_trained_on():
    finetune = type("Finetune", (), {"data": "stars"})()

    needs = export.needs(config(), Pipeline(Path("x.yaml"), "x", finetune=finetune))

    assert needs["data"].reference == "stars"
    assert str(needs["from"].reference) == "finetune"


def test_without_a_finetune_section_the_data_must_be_named():
    with pytest.raises(ConfigError, match=r"x\.yaml: 'export\.data' is missing"):
        export.needs(config(**{"from": "runs/x/finetune"}), Pipeline(Path("x.yaml"), "x"))


def test_where_the_inputs_come_from_is_no_part_of_what_is_made():
    assert what(config()) == what(config(**{"from": "runs/x/finetune", "data": "stars"}))
    assert what(config()) != what(config(split="validation"))

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from bmtool.report.card import Measured, ModelFacts, render, write_checkpoint_card, write_model_card
from huggingface_hub import ModelCard

sys.path.insert(0, str(Path(__file__).parent.parent))
from checkpoints import write_checkpoint

INFO = {
    "goal": {"type": "text_classification"},
    "goal_kind": "task",
    "labels": ["neg", "pos", "mid"],
    "max_seq_length": 48,
    "data_fingerprint": "abc",
}

FACTS = ModelFacts(
    name="reviews",
    goal="text_classification",
    labels=["1", "5", "多云|x"],
    model={"parameters": 600_000, "max_seq_length": 128},
    data={"name": "stars", "fingerprint": "3f9a0c11d2e4", "train rows": 900},
    metrics=[Measured("accuracy", 0.871, "validation", 1500, 0.85, 0.89), Measured("f1_macro", 0.86, "validation")],
    training={"learning_rate": 5e-4},
    versions={"torch": "2.13.0"},
)


def test_the_hub_reads_the_metadata_and_the_results(tmp_path):
    write_model_card(tmp_path, FACTS)

    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "transformers"
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["accuracy"].metric_value == 0.871
    assert results["accuracy"].dataset_name == "stars"
    assert results["accuracy"].dataset_split == "validation"


def test_intervals_rows_and_labels_are_in_the_text():
    text = render(FACTS)

    assert "| accuracy | validation | 0.8710 | 0.8500 | 0.8900 | 1,500 |" in text
    assert "| 2 | 多云\\|x |" in text
    assert "| train rows | 900 |" in text


def test_what_is_not_known_is_not_said():
    text = render(ModelFacts(name="r", goal="mlm"))

    front = yaml.safe_load(text.split("---")[1])
    assert front == {"library_name": "transformers", "tags": ["bmtool", "mlm"], "pipeline_tag": "fill-mask"}
    assert "## Labels" not in text
    assert "## Measured" not in text


def test_a_trained_checkpoint_gets_a_card_of_what_was_recorded(tmp_path):
    folder = write_checkpoint(tmp_path / "model", "bert", INFO)
    inputs = {"from": SimpleNamespace(folder=Path("pretrain-1"))}
    job = SimpleNamespace(fingerprint="0123456789abcdef", seed=7, inputs=inputs, is_smoke=False)
    summary = {
        "rows": {"train": 90, "validation": 10},
        "validation": {"accuracy": 0.9, "loss": None},
        "steps": 12,
        "seconds": 3.5,
    }

    write_checkpoint_card(folder, job, {"data": "stars", "learning_rate": 1e-4, "model": None}, summary)

    text = (folder / "README.md").read_text()
    assert "# finetune-0123456789ab\n" in text
    assert "| accuracy | validation | 0.9000 | - | - | 10 |" in text
    assert "| starts from | pretrain-1 |" in text
    assert "| train rows | 90 |" in text
    assert "| learning_rate | 1.00e-04 |" in text
    assert "| seed | 7 |" in text
    assert f"| parameters | {count_parameters(folder):,} |" in text
    assert "3.5" not in text
    assert ModelCard.load(folder / "README.md").data.eval_results[0].dataset_name == "stars"


@pytest.mark.parametrize("doubt", ["too little", None])
def test_what_is_doubted_of_a_model_is_in_its_card(tmp_path, doubt):
    folder = write_checkpoint(tmp_path / "model", "bert", INFO)
    job = SimpleNamespace(fingerprint="0123456789abcdef", seed=7, inputs={}, is_smoke=False)

    write_checkpoint_card(folder, job, {"data": "stars"}, {"validation": {}}, doubt=doubt)

    found = [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("| doubt")]
    assert found == ([] if doubt is None else [f"| doubt | {doubt} |"])


DOMAINS = {
    "tickets": {"before": {"loss": 4.0}, "after": {"loss": 3.0}},
    "general": {"before": {"loss": 2.0}, "after": {"loss": 2.02}},
    "empty": {"before": {}, "after": {"loss": None}},
}


def test_what_became_of_other_domains_and_what_went_wrong_is_in_the_card(tmp_path):
    folder = write_checkpoint(tmp_path / "model", "bert", INFO)
    job = SimpleNamespace(fingerprint="0123456789abcdef", seed=7, inputs={}, is_smoke=False)
    summary = {
        "validation": {},
        "domains": DOMAINS,
        "skipped_steps": 3,
        "rollbacks": [{"step": 1200, "to": 1000}, {"step": 1500, "to": 1000}],
    }

    write_checkpoint_card(folder, job, {"data": "tickets"}, summary)
    told = (folder / "README.md").read_text()
    write_checkpoint_card(
        folder, job, {"data": "tickets"}, {**summary, "domains": {}, "skipped_steps": 0, "rollbacks": []}
    )
    silent = (folder / "README.md").read_text()

    lines = [
        "## Loss before and after training",
        "| tickets | 4.0000 | 3.0000 | -25.0% |",
        "| general | 2.0000 | 2.0200 | +1.0% |",
        "| empty | - | - | - |",
        "| skipped steps | 3 |",
        "| went back | from step 1,200 to 1,000, from step 1,500 to 1,000 |",
    ]
    assert [line for line in told.splitlines() if line in lines] == lines
    assert [line for line in silent.splitlines() if line in lines] == []


def count_parameters(folder):
    from safetensors.numpy import load_file

    return sum(weights.size for weights in load_file(folder / "model.safetensors").values())


@pytest.mark.parametrize(
    ("goal", "use"),
    [
        ("generation", 'bmtool.load("path/to/this/folder")\nmodel(["a text", "another text"])'),
        ("question_answering", 'model([{"question": "...", "context": "..."}])'),
        ("clm", 'pipeline("text-generation", "path/to/this/folder")'),
    ],
)
def test_a_card_says_how_a_model_of_its_kind_is_used(goal, use):
    assert use in render(ModelFacts(name="r", goal=goal))

"""Models of others that write are measured as they are, before anybody tuned them."""

import json
import sys
from pathlib import Path

import pytest
from bmtool.config.model import validate
from bmtool.errors import ConfigError, MissingInputError
from bmtool.stages import evaluate

sys.path.insert(0, str(Path(__file__).parents[1]))
from checkpoints import TEXTS, write_checkpoint
from conftest import prepare


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Pairs and conversations of plain words."""
    folder = tmp_path_factory.mktemp("rows")
    path = folder / "rows.jsonl"
    with path.open("w") as handle:
        for number in range(20):
            asked, said = TEXTS[number % 3] + " good" * number, TEXTS[(number + 1) % 3]
            turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
            handle.write(json.dumps({"source": asked, "target": said, "messages": turns, "id": number}) + "\n")
    tasks = {
        "pairs": {"type": "translation", "max_new_tokens": 6},
        "chats": {"type": "generation", "messages": True, "max_new_tokens": 6},
    }
    return {
        name: prepare(folder / name, {"sources": str(path), "task": task, "split": {"test": 0.5}})
        for name, task in tasks.items()
    }


@pytest.mark.parametrize(
    ("kind", "data"), [("t5", "pairs"), ("bart", "pairs"), ("writing_gpt", "pairs"), ("writing_gpt", "chats")]
)
def test_a_foreign_model_that_writes_is_asked_as_the_dataset_asks(rows, make_job, tmp_path, kind, data):
    model = write_checkpoint(tmp_path / kind, kind)
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(settings | {"eos_token": "[SEP]"}))
    job = make_job(inputs={"from": (model, "checkpoint"), f"data:{data}": rows[data]})

    evaluate.run(validate(evaluate.Config, {}), job)

    [result] = json.loads((job.folder / "metrics.json").read_text())["datasets"].values()
    assert {"chrf", "bleu", "loss"} <= set(result["metrics"])
    task = {"pairs": "translation", "chats": "generation"}[data]
    said = f"{model} was tuned for no task: it is asked as it is for what '{data}' is for ({task})"
    assert said in job.console.lines


def test_a_foreign_model_that_can_not_write_is_refused(rows, make_job, tmp_path):
    for kind, error, why in (
        ("mlm", ConfigError, "translation needs a model that writes"),
        ("bert", MissingInputError, "was trained for text_classification, and"),
    ):
        model = write_checkpoint(tmp_path / kind, kind)

        with pytest.raises(error, match=why):
            evaluate.run(
                validate(evaluate.Config, {}),
                make_job(inputs={"from": (model, "checkpoint"), "data:pairs": rows["pairs"]}),
            )

"""What settings alone say of a run is about what is said once its data is there."""

import json
import random

import pytest
import torch
from bmtool.artifacts.manifest import Artifact
from bmtool.config.model import validate
from bmtool.contracts import Planned
from bmtool.stages import finetune, prepare, pretrain
from bmtool.train.jobs.sketch import foresee
from bmtool.train.sizing.estimate import estimate

CPU = torch.device("cpu")
WORDPIECE = {"type": "wordpiece", "vocab_size": 300}
BPE = {"type": "bpe", "vocab_size": 400, "mask": True}
UNIGRAM = {"type": "unigram", "vocab_size": 300, "sentinels": 30}
SMALL = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}


def write_texts(path):
    """Long texts of many words."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghij", k=5)) for _ in range(600)]
    texts = [" ".join(rng.choices(words, k=120)) + "." for _ in range(150)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


@pytest.mark.parametrize(
    ("objective", "architecture", "tokenizer"),
    [
        ("mlm", "bert", WORDPIECE),
        ("mlm_nsp", "bert", WORDPIECE),
        ("clm", "llama", BPE),
        ("denoising", "bart", BPE),
        ("span_corruption", "t5", UNIGRAM),
    ],
)
def test_of_every_objective(make_job, tmp_path, objective, architecture, tokenizer):
    write_texts(tmp_path / "texts.jsonl")
    dataset = validate(prepare.Config, {"sources": str(tmp_path / "texts.jsonl"), "tokenizer": tokenizer})
    plain = {"data": "corpus", "model": {"architecture": architecture, **SMALL}, "objective": objective}
    plain |= {"max_seq_length": 64, "per_device_batch_tokens": 640, "max_tokens": 12800, "precision": "fp32"}
    config = validate(pretrain.Config, plain)
    folder = tmp_path / "corpus"

    sketch = pretrain.sketch(config, {"data": Planned("prepare", "prepare.corpus", dataset, {})}, make_job())
    before = foresee(sketch, torch.float32, 0, device=CPU)
    prepare.run(dataset, make_job(folder))
    outline = pretrain.outline(config, make_job(tmp_path / "b", {"data": (folder, "dataset")}))
    after = estimate(outline, torch.float32, 0, device=CPU)

    assert before.parameters == after.parameters
    assert before.steps == pytest.approx(after.steps, rel=0.2)
    assert before.operations == pytest.approx(after.operations, rel=0.15)
    assert sum(before.memory.values()) == pytest.approx(sum(after.memory.values()), rel=0.05)
    assert before.disk == after.disk


def test_of_phases_each_has_its_own_steps(make_job):
    dataset = validate(prepare.Config, {"sources": "x.jsonl", "tokenizer": WORDPIECE})
    inputs = {"data": Planned("prepare", "prepare.corpus", dataset, {})}
    plain = {"data": "corpus", "model": {"architecture": "bert", **SMALL}, "objective": "mlm"}
    phases = [{"max_seq_length": 32, "max_steps": 5}, {"max_seq_length": 64, "max_tokens": 8192}]
    set_ones = validate(pretrain.Config, plain | {"phases": phases})
    open_one = validate(pretrain.Config, plain | {"phases": [phases[0], {"num_train_epochs": 2}]})

    found, unknown = (
        foresee(pretrain.sketch(config, inputs, make_job()), torch.float32, 0, device=CPU)
        for config in (set_ones, open_one)
    )

    assert (found.steps, found.tokens) == (7, 7 * 4096)
    assert (unknown.steps, unknown.tokens, unknown.operations) == (None, None, None)
    assert unknown.step_operations > 0


def test_fine_tuning_has_the_head_of_its_task_on_the_checkpoint_that_is_there(make_job, tmp_path, reviews, pretrained):
    config = validate(finetune.Config, {"data": "stars", "num_train_epochs": 2, "max_seq_length": 32})
    labelled = validate(
        prepare.Config, {"sources": "x.csv", "task": "text_classification", "split": {"validation": 0.2}}
    )
    inputs = {"data": Planned("prepare", "prepare.stars", labelled, {}), "from": pretrained}

    before = foresee(finetune.sketch(config, inputs, make_job()), torch.float32, 0, device=CPU)
    job = make_job(tmp_path / "b", {"data": reviews, "from": pretrained})
    after = estimate(finetune.outline(config, job), torch.float32, 0, device=CPU)

    assert isinstance(pretrained, Artifact)
    assert (before.parameters, before.disk) == (after.parameters, after.disk)
    assert before.memory["optimizer"] == after.memory["optimizer"]


def test_several_tasks_share_an_encoder_and_adapters_are_counted(make_job, pretrained):
    kinds = {"stars": "text_classification", "grades": "text_regression"}
    data = {name: validate(prepare.Config, {"sources": "x.csv", "task": task}) for name, task in kinds.items()}
    inputs = {f"data:{name}": Planned("prepare", f"prepare.{name}", one, {}) for name, one in data.items()}
    together = validate(finetune.Config, {"data": list(data), "max_steps": 2, "max_seq_length": 32})
    lora = validate(finetune.Config, {"data": "stars", "max_steps": 2, "max_seq_length": 32, "method": "lora"})

    joined = foresee(finetune.sketch(together, inputs | {"from": pretrained}, make_job()), torch.float32, 0, device=CPU)
    alone = {"data": inputs["data:stars"], "from": pretrained}
    adapted = foresee(finetune.sketch(lora, alone, make_job()), torch.float32, 0, device=CPU)

    assert joined.parameters == pytest.approx(adapted.parameters, rel=0.2)
    assert adapted.memory["optimizer"] < 0.5 * joined.memory["optimizer"]
    assert joined.steps == adapted.steps == 2


def test_a_text_is_written_by_the_class_that_suits_the_model(make_job):
    words = Planned("prepare", "prepare.words", validate(prepare.Config, {"sources": "x.jsonl", "tokenizer": BPE}), {})
    pairs = validate(prepare.Config, {"sources": "x.csv", "task": "translation"})
    inputs = {"data": Planned("prepare", "prepare.pairs", pairs, {}), "tokenizer": words}

    def made(architecture):
        model = {"architecture": architecture, **SMALL}
        config = validate(finetune.Config, {"data": "pairs", "max_steps": 2, "model": model, "tokenizer": "words"})
        return type(finetune.sketch(config, inputs, make_job()).outline.model).__name__

    assert (made("bart"), made("gpt")) == ("BartForConditionalGeneration", "GPT2LMHeadModel")

"""What `--dry-run` foresees of each method is what the run then does: steps, tokens, and what models read once."""

from types import SimpleNamespace

import pytest
import torch
from bmtool.contracts import Method
from bmtool.registry import METHODS
from bmtool.stages import finetune
from bmtool.train.sizing.estimate import estimate
from bmtool.train.weights.footprint import usable

CPU = torch.device("cpu")
NAMES = [name for name in METHODS.names() if name != "multi_task"]  # that one is in test_multi_task
SETTINGS = {
    "distillation": {"from": "./teacher"},
    "frozen": {},
    "lora": {},
    "semi_supervised": {"teachers": 2, "share": 0.5, "keep": 1.0},
    "supervised": {},
}


@pytest.fixture
def planned(make_job, reviews, pretrained, teacher, corpus, tmp_path):
    """A job before anything is made on the way, and the job of the run that follows."""
    known = {"data": reviews, "from": pretrained, "teacher": teacher, "unlabelled": corpus}
    made = {"teacher:0": teacher, "teacher:1": teacher}
    return SimpleNamespace(
        before=make_job(tmp_path / "before", known), run=make_job(tmp_path / "run", {**known, **made})
    )


def section(finetuned, name):
    return finetuned(method={"type": name, **SETTINGS[name]}, num_train_epochs=2)


@pytest.mark.parametrize("name", NAMES)
def test_steps_and_tokens_are_those_of_the_run(planned, finetuned, name):
    if name == "lora":
        pytest.importorskip("peft")
    config = section(finetuned, name)

    taken = estimate(finetune.outline(config, planned.before), torch.float32, 0, device=CPU)
    summary = finetune.run(config, planned.run)

    assert taken.steps == pytest.approx(summary["steps"], rel=0.05)
    assert taken.tokens == pytest.approx(summary["tokens"], rel=0.05)
    assert list(planned.before.folder.iterdir()) == []


def test_what_the_encoder_reads_once_is_counted_and_steps_on_features_take_next_to_nothing(planned, finetuned):
    frozen, supervised = (
        estimate(finetune.outline(section(finetuned, name), planned.before), torch.float32, 0, device=CPU)
        for name in ("frozen", "supervised")
    )
    summary = finetune.run(section(finetuned, "frozen"), planned.run)

    assert (frozen.read_tokens, supervised.read_tokens) == (summary["encoded"]["tokens"], 0)
    assert (frozen.operations, frozen.tokens) == (0, supervised.tokens)
    # One pass forward against two epochs forward and backward; and the rows of validation besides.
    both = frozen.read_tokens / (supervised.tokens / 2)
    assert frozen.read_operations == pytest.approx(supervised.operations / 2 / 3 * both, rel=0.1)
    assert frozen.memory["what was read"] == 4 * 32 * summary["encoded"]["texts"]


def test_a_teachers_answers_are_counted_by_its_own_size(planned, finetuned):
    config = finetuned(method={"type": "distillation", "from": "./teacher", "layers": 1}, num_train_epochs=1)
    job = planned.before

    taken = estimate(finetune.outline(config, job), torch.float32, 0, device=CPU)

    assert taken.read_tokens == taken.tokens
    # Of a model's last layer most tokens take keys and values alone; that is the student's only one, of two.
    assert taken.read_operations == pytest.approx(taken.operations / 3 * (12 + 3) / 3, rel=0.35)


def test_every_teacher_reads_every_text(planned, finetuned):
    config = section(finetuned, "semi_supervised")

    taken = estimate(finetune.outline(config, planned.before), torch.float32, 0, device=CPU)
    summary = finetune.run(config, planned.run)

    texts = summary["unlabelled"]["answered"]
    assert taken.read_tokens % 2 == 0
    assert texts * 5 < taken.read_tokens / 2 < texts * 32


def test_layers_below_the_first_that_learns_leave_nothing_behind(planned, finetuned):
    whole, half, none = (
        estimate(finetune.outline(finetuned(frozen_layers=count), planned.before), torch.float32, 0, device=CPU).memory
        for count in (None, 1, 2)
    )

    # Two layers, or one, leave something; on the way back there is a third more than one besides.
    assert half["activations"] == pytest.approx(whole["activations"] * (1 + 1) / (2 + 4 / 3), rel=0.1)
    assert none["activations"] == 0


def test_weights_that_processes_share_out_are_counted_once_over_all_of_them(planned, finetuned):
    outline = finetune.outline(section(finetuned, "supervised"), planned.before)

    whole, shared = (estimate(outline, torch.float32, 0, device=CPU, parts=parts).memory for parts in (1, 4))

    weights = 4 * sum(one.numel() for one in outline.model.parameters())
    layer = 4 * sum(one.numel() for one in outline.model.base_model.encoder.layer[0].parameters())
    assert shared["optimizer"] == whole["optimizer"] // 4
    # A fourth of all; and while it runs a layer, and what is outside of the two.
    assert shared["weights"] == weights // 4 + weights - layer
    assert whole["weights"] == weights


def test_where_weights_are_shared_out_freed_blocks_are_the_kernels_again_and_leave_no_gaps(planned, finetuned):
    outline = finetune.outline(section(finetuned, "supervised"), planned.before)

    whole, shared = (estimate(outline, torch.float32, 0, device=CPU, parts=parts).memory for parts in (1, 2))

    assert whole["gaps between blocks"] > 0
    assert "gaps between blocks" not in shared
    assert shared["activations"] == whole["activations"]
    assert (usable(CPU), usable(CPU, parts=2)) == (0.57, 1.0)


def test_a_method_that_gives_other_phases_says_what_they_take():
    for name in METHODS.names():
        method = METHODS.load(name)
        if method.phases is not Method.phases:
            assert method.foreseen is not Method.foreseen, name

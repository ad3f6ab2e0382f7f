"""What would be trained, as settings alone say it: for `--dry-run` where what is read isn't made yet.

Texts of `max_seq_length` stand in for those that will come: none takes more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bmtool.artifacts.manifest import Artifact
from bmtool.contracts import Batch, DocumentTask, Examples, Method, VectorTask
from bmtool.data.tokens import InMemoryTokens
from bmtool.models.building.build import bare_model
from bmtool.models.building.flops import Work
from bmtool.models.decoding.writing import class_for
from bmtool.models.heads.several_heads import SeveralHeads
from bmtool.train.course import Course
from bmtool.train.jobs.defaults import FINETUNE_RATE, GOING_ON_RATE, MAX_TOKENS, PRETRAIN_RATE, with_rate
from bmtool.train.jobs.shapes import labelled, new_shape, shape_of, tokenizer_of, vocabulary_of, widened
from bmtool.train.phases import Phase
from bmtool.train.sizing.estimate import Estimate, Outline, estimate, memory_of, tokens_of
from bmtool.train.states.checkpoints import space_needed
from bmtool.train.weights.layers import freeze

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bmtool.config.shared import Training
    from bmtool.contracts import Goal, Job, Planned
    from bmtool.stages import finetune, pretrain

#: Full batches that stand in for an epoch, to count steps by.
_BATCHES = 1000


@dataclass(frozen=True)
class Sketch:
    """What would be trained, and what of it may still be otherwise."""

    outline: Outline
    given: tuple[str, ...] = ()
    """What is reckoned with until it is known, such as `8,192 tokens of prepare.corpus.tokenizer`"""
    reads_first: str = ""
    """The method that lets models read something before the first step, or makes other steps"""
    is_counted: bool = False
    """Whether all rows are there: only the weights to start from are still to be made"""


def of_pretraining(config: pretrain.Config, inputs: Mapping[str, Planned | Artifact]) -> Sketch:
    """The new model, or the checkpoint's with rows for the corpus's tokens."""
    vocabulary = vocabulary_of(inputs["data"])
    if config.model is not None:
        shape = new_shape(config.model, vocabulary, config.longest)
    else:
        shape = widened(shape_of(inputs["from"]), vocabulary)
    goes_on = config.from_ is not None and not config.from_state
    config, choices = with_rate(config, shape.hidden_size, GOING_ON_RATE if goes_on else PRETRAIN_RATE)
    phases = [_phase(stretch.objective, stretch) for stretch in config.stretches()]
    outline = Outline(bare_model(shape, config.auto_class), phases, choices=choices)
    return Sketch(outline, (vocabulary.given,) if vocabulary.given else ())


def of_finetuning(config: finetune.Config, inputs: Mapping[str, Planned | Artifact], job: Job) -> Sketch:
    """The checkpoint's model, or a new one, with a head for each task."""
    given = []
    if config.model is not None:
        vocabulary = vocabulary_of(inputs["tokenizer"])
        shape = new_shape(config.model, vocabulary, config.max_seq_length)
        given.append(vocabulary.given)
    else:
        shape = shape_of(inputs["from"])
    tasks = {role.partition(":")[2]: labelled(one) for role, one in inputs.items() if role.split(":")[0] == "data"}
    given += [one.given for one in tasks.values()]
    models = {
        name: bare_model(shape, class_for(one.task, shape), one.task.head_labels(one.labels))
        for name, one in tasks.items()
    }
    together, method = config.together, config.method
    model: Any = next(iter(models.values()))
    if together is not None:
        model = SeveralHeads(models, learns_weights=together.weights_of(tasks) is None)
    model = method.shaped(model, job)
    if config.frozen_layers is not None:
        freeze(model, config.frozen_layers)
    config, choices = with_rate(config, shape.hidden_size, FINETUNE_RATE * method.rate_ratio)
    if config.per_device_batch_tokens is None:
        tokens = max(MAX_TOKENS, config.max_seq_length)
        config = config.model_copy(update={"per_device_batch_tokens": tokens})
        choices |= {"batches": f"at most {tokens:,} tokens (train rows will say)"}
    phases = [_phase(next(iter(tasks.values())).task, config)]
    keeps_best = any(one.has_validation for one in tasks.values())
    reads_first = method.name() if type(method).foreseen is not Method.foreseen else ""
    return Sketch(
        Outline(model, phases, keeps_best=keeps_best, choices=choices), tuple(filter(None, given)), reads_first
    )


def rows_are_there(config: finetune.Config, inputs: Mapping[str, Planned | Artifact]) -> bool:
    """Whether all that fine-tuning reads is there but the weights to start from, and the tokenizer is known."""
    are_made = all(isinstance(one, Artifact) for role, one in inputs.items() if role != "from")
    adds_nothing = type(config.method).foreseen is Method.foreseen
    return are_made and adds_nothing and "from" in inputs and tokenizer_of(inputs["from"]) is not None


def foresee(sketch: Sketch, dtype: torch.dtype, seed: int, *, device: torch.device, parts: int = 1) -> Estimate:
    """Count as `estimate` does; what the data decides stays open."""
    if sketch.is_counted:
        return estimate(sketch.outline, dtype, seed, device=device, parts=parts)
    outline = sketch.outline
    work = Work.of(outline.model)
    steps = tokens = 0
    operations = 0.0
    for number, phase in enumerate(outline.phases):
        course = Course(np.full(_BATCHES, phase.training.batch_tokens), phase.training, seed, number)
        batch = _batch(phase.goal, outline.model, phase.training)
        own_steps, own_tokens = course.num_steps, tokens_of(course)
        steps, tokens = steps + own_steps, tokens + own_tokens
        operations += own_tokens * work.of_batch(batch) / batch.num_tokens
    has_steps = all(phase.training.num_train_epochs is None for phase in outline.phases)
    count = sum(parameter.numel() for parameter in outline.model.parameters())
    return Estimate(
        parameters=count,
        memory=memory_of(outline, dtype, device, parts),
        steps=steps if has_steps else None,
        tokens=tokens if has_steps else None,
        operations=operations if has_steps and not sketch.reads_first else None,
        step_operations=operations / steps if not sketch.reads_first else None,
        read_tokens=0,
        read_operations=0.0,
        disk=space_needed(count, keeps_best=outline.keeps_best),
    )


def _phase(goal: Goal, training: Training) -> Phase:
    """What is learned, from one text that is as long as any."""
    length = training.max_seq_length
    text = Examples(InMemoryTokens(np.zeros(length, np.int64)), np.zeros(1, np.int64), np.array([length]), (), (), {})
    return Phase(goal, text, None, training, score=dict)


def _batch(goal: Goal, model: Any, training: Training) -> Batch:
    """A batch of such texts, to count its arithmetic by."""
    length = training.max_seq_length
    number = training.batch_tokens // length
    tokens, share = number * length, goal.target_share
    is_written = torch.arange(length) >= length - round(share * length)
    has_two_sides = getattr(model.config, "is_encoder_decoder", False)
    return Batch(
        input_ids=torch.zeros(1, tokens, dtype=torch.int64),
        position_ids=torch.arange(length).repeat(number)[None],
        cu_seq_lens=torch.arange(0, tokens + 1, length, dtype=torch.int32),
        max_length=length,
        rows=np.arange(number),
        targets={},
        counts={"targets": number if isinstance(goal, DocumentTask) else round(share * tokens)},
        token_type_ids=is_written.long().repeat(number)[None] if has_two_sides else None,
        reads_all=isinstance(goal, VectorTask),
        task=model.names[0] if isinstance(model, SeveralHeads) else "",
    )

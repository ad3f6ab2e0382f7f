"""Settings of what pre-training is made of: stretches run in order, and corpora that go along."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from bmtool.config.model import HOW, Settings
from bmtool.config.references import Ref
from bmtool.config.shared import Training
from bmtool.config.units import AutoCount, Count, Ratio, Share
from bmtool.contracts import OneObjective


class Corpus(Settings):
    """Another corpus that goes along, so that what was learned from it isn't forgotten."""

    data: Annotated[Ref, HOW]
    """The corpus: a name under `prepare:`, or a path with a slash. Its tokenizer must be that of `data`."""
    weight: Annotated[Share, Field(ge=0, lt=1)] = 0.05
    """Its share of the tokens. With 0 the loss on it is measured, before and after, and nothing else."""


class Phase(Settings):
    """A stretch of pre-training. What it doesn't set is as in the section, but for its budget, which it must."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = Training.exclusive

    objective: OneObjective | None = None
    max_seq_length: Annotated[int, Field(ge=8, le=8192)] | None = None
    per_device_batch_tokens: AutoCount | None = None
    global_batch_tokens: Count | None = None
    gradient_accumulation_steps: PositiveInt | None = None
    max_tokens: Count | None = None
    max_steps: PositiveInt | None = None
    num_train_epochs: PositiveFloat | None = None
    learning_rate: PositiveFloat | None = None
    lr_scheduler_type: Literal["wsd", "cosine", "linear", "constant"] | None = None
    """`constant` in all phases but the last: what was decayed would have to be warmed up again."""
    warmup_ratio: Ratio | None = None
    """0 in all phases but the first."""
    decay_ratio: Ratio | None = None

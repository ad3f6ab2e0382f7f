"""Settings that several stages share: the head of a file, the machine, and how a model is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from bmtool.config.model import HOW, Settings, explained
from bmtool.config.units import Count, Every, Interval, Ratio
from bmtool.config.variables import expand
from bmtool.errors import ConfigError


class Runtime(Settings):
    """The machine: none of it decides what is made, all of it is recorded."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt | None = None
    workers: PositiveInt | None = None


def _path(value: object) -> object:
    if not isinstance(value, str) or not value:
        return value
    try:
        return expand(value)
    except ConfigError as error:
        raise explained(str(error)) from None


class Head(Settings):
    """What stands at the top of a file and is the same for every stage."""

    version: Literal[1]
    """The format of the file."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
    """What the results are called: their names are links under `output_dir/name`."""
    extends: str | None = None
    """Another file that this one is laid over, relative to this one."""
    output_dir: Annotated[Path, BeforeValidator(_path)] = Path("runs")
    """Where artifacts and their names are kept."""
    seed: NonNegativeInt = 0
    """The default seed of pretrain, finetune and evaluate."""
    runtime: Runtime = Runtime()
    """The machine."""


class Training(Settings):
    """How a model is trained: the budget (exactly one of three), the optimizer, the schedule, when to save."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (("max_tokens", "max_steps", "num_train_epochs"),)

    max_seq_length: Annotated[int, Field(ge=8, le=8192)] = 128
    per_device_batch_tokens: Count = 4096
    gradient_accumulation_steps: PositiveInt = 1
    max_tokens: Count | None = None
    max_steps: PositiveInt | None = None
    num_train_epochs: PositiveFloat | None = None
    optim: Literal["adamw"] = "adamw"
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat = 0.01
    lr_scheduler_type: Literal["wsd", "cosine", "linear", "constant"] = "wsd"
    warmup_ratio: Ratio = 0.05
    decay_ratio: Ratio = 0.5
    max_grad_norm: PositiveFloat = 1.0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    save_every: Annotated[Every, HOW] = Interval(seconds=600.0)
    eval_every: Every | None = None
    seed: NonNegativeInt | None = None

    @model_validator(mode="after")
    def _one_budget(self) -> Training:
        given = [name for name in self.exclusive[0] if getattr(self, name) is not None]
        if len(given) != 1:
            raise explained(
                f"set exactly one of {', '.join(self.exclusive[0])}"
                + (f"; got {' and '.join(given)}" if given else ""),
                at=given[1] if given else None,
            )
        if self.per_device_batch_tokens < self.max_seq_length:
            raise explained(
                f"per_device_batch_tokens ({self.per_device_batch_tokens}) must hold at least one text of "
                f"max_seq_length ({self.max_seq_length}) tokens",
                at="per_device_batch_tokens",
            )
        return self

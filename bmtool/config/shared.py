"""Settings that several stages share: the head of a file, the machine, and how a model is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from bmtool.config.model import HOW, LISTED, Settings, Words, chosen, explained
from bmtool.config.smoke import SMOKE_EVAL_STEPS, SMOKE_STEPS, little_budget
from bmtool.config.units import AutoCount, Count, Every, EverySteps, Interval, Ratio, Seed
from bmtool.config.variables import expand
from bmtool.errors import ConfigError
from bmtool.registry import REPORTERS

Name = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64), Words("small letters, digits, '_' and '-'")
]
"""What names a file's results or a dataset: it becomes a folder's name."""


class Runtime(Settings):
    """The machine: none of it decides what is made, all of it is recorded."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a GPU if there is one."""
    threads: PositiveInt | None = None
    """By default what the machine and the container allow, shared by the processes."""
    processes: PositiveInt = 1
    """Processes that train together on this machine, one a GPU. They share the batches of a step, so that
    `gradient_accumulation_steps` must be a multiple of it; the result is the same but for rounding."""
    fsdp: Literal["auto", "always", "never"] = "auto"
    """Whether each of several processes holds only its rows of weights, gradients and the optimizer's state: `auto`
    where they take more than half of a process's memory."""
    torch_compile: Literal["auto", "always", "never"] = "auto"
    """Whether torch compiles each layer while it is trained: `auto` in bfloat16 on a GPU, from 2,000 steps on. On a CPU
    Llama and GPT-2 gain a tenth or two in bfloat16, and BERT nothing."""
    workers: PositiveInt | None = None
    """Processes that prepare data; by default one a processor that may be used."""


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
    name: Name
    """What the results are called: their names are links under `output_dir/name`."""
    extends: str | None = None
    """Another file that this one is laid over, relative to this one."""
    output_dir: Annotated[Path, BeforeValidator(_path)] = Path("runs")
    """Where artifacts and their names are kept."""
    seed: Seed = 0
    """The default seed of pretrain, finetune and evaluate."""
    runtime: Runtime = Runtime()
    """The machine."""


if TYPE_CHECKING:
    from bmtool.contracts import Reporter as OneReporter
else:
    OneReporter = chosen(REPORTERS)


class Training(Settings):
    """How a model is trained: the budget (exactly one of three), the optimizer, the schedule, when to save."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (("max_tokens", "max_steps", "num_train_epochs"),)

    max_seq_length: Annotated[int, Field(ge=8, le=8192)] = 128
    """Longer texts are cut into pieces (pretrain) or cut off and counted (finetune), in tokens."""
    per_device_batch_tokens: AutoCount | None = 4096
    """Tokens of a batch on each device. Whole texts are packed into it; nothing is padded. `auto` takes what memory
    holds, and divides a step of `global_batch_tokens` into such batches."""
    global_batch_tokens: Count | None = None
    """With `per_device_batch_tokens: auto`: tokens of a step, over all its batches and processes."""
    gradient_accumulation_steps: PositiveInt = 1
    """Batches that make one step; as many small batches equal one large one."""
    batch_warmup_steps: NonNegativeInt = 0
    """Steps over which a step grows from one batch to all of them: early gradients agree without large batches."""
    max_tokens: Count | None = None
    """How long to train, in tokens; or by `max_steps` or `num_train_epochs`."""
    max_steps: PositiveInt | None = None
    """How long to train, in steps."""
    num_train_epochs: PositiveFloat | None = None
    """How long to train, in passes over the data."""
    optim: Literal["adamw", "muon"] = "adamw"
    """The optimizer. `muon` (for matrices, AdamW for the rest) pays from about 32k tokens a step on."""
    learning_rate: PositiveFloat | None = None
    """The highest learning rate of the schedule; by default it follows from the model's width."""
    weight_decay: NonNegativeFloat = 0.01
    """Of weight matrices; biases and norms have none."""
    lr_scheduler_type: Literal["wsd", "cosine", "linear", "constant"] = "wsd"
    """How the learning rate goes down: constant and then down (wsd), as a cosine, in a line, not at all."""
    # With 0.05, BERT 2x128 at 3e-3 was still on the plateau of token frequencies after 3M tokens (masked accuracy
    # 0.056); with 0.1 it had left it (0.209). One seed each.
    warmup_ratio: Ratio = 0.1
    """The share of steps in which the learning rate goes up from 0."""
    decay_ratio: Ratio = 0.5
    """The share of steps at the end in which the learning rate goes down (wsd)."""
    max_grad_norm: PositiveFloat = 1.0
    """Longer gradients are shortened to this."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`auto` takes bf16 where the hardware is fast at it."""
    save_every: Annotated[Every, HOW] = Interval(seconds=600.0)
    """How often the state is saved, so that an interrupted run goes on from there."""
    eval_every: EverySteps | None = None
    """How often the validation split is looked at; without it, after each epoch and at the end."""
    report_to: Annotated[tuple[OneReporter, ...], LISTED, HOW] = ()
    """Where the numbers of `metrics.jsonl` go besides: tensorboard, mlflow, wandb. An outage never stops training."""
    seed: Seed | None = None
    """Of weights, order and masks; by default the seed in the head."""

    @model_validator(mode="after")
    def _fits_together(self) -> Training:
        self.check_budget()
        self.check_room()
        if "decay_ratio" in self.model_fields_set and self.lr_scheduler_type != "wsd":
            raise explained(
                f"has an effect only with lr_scheduler_type wsd, not with {self.lr_scheduler_type}. "
                f"Remove it, or set it to null",
                at="decay_ratio",
            )
        return self

    def in_little(self) -> Self:
        """A few steps, with validations among them."""
        return self.model_copy(update=little_budget(SMOKE_STEPS) | {"eval_every": Interval(steps=SMOKE_EVAL_STEPS)})

    def check_budget(self) -> None:
        """How long to train is said, and once."""
        given = [name for name in Training.exclusive[0] if getattr(self, name) is not None]
        if len(given) != 1:
            raise explained(
                f"set exactly one of {', '.join(Training.exclusive[0])}"
                + (f"; got {' and '.join(given)}" if given else ""),
                at=given[1] if given else None,
            )

    def check_room(self) -> None:
        """A batch holds at least one text; with `auto` it is the step that has a size."""
        is_auto, step = self.per_device_batch_tokens == "auto", self.global_batch_tokens
        if is_auto and step is None:
            raise explained("auto needs global_batch_tokens: how many tokens a step has", at="per_device_batch_tokens")
        if step is not None and not is_auto:
            raise explained("has an effect only with per_device_batch_tokens: auto", at="global_batch_tokens")
        if is_auto and "gradient_accumulation_steps" in self.model_fields_set:
            raise explained(
                "has no effect with per_device_batch_tokens: auto, which divides a step into as many batches as it "
                "needs. Remove it, and set global_batch_tokens",
                at="gradient_accumulation_steps",
            )
        if is_auto and self.batch_warmup_steps:
            raise explained(
                "counts up batches, and with per_device_batch_tokens: auto their number in a step is another one on "
                "another machine, where the same file would train otherwise. Remove one of the two",
                at="batch_warmup_steps",
            )
        if self.per_device_batch_tokens is not None and self.room < self.max_seq_length:
            raise explained(
                f"must hold at least one text of max_seq_length ({self.max_seq_length}) tokens, got {self.room}",
                at="global_batch_tokens" if is_auto else "per_device_batch_tokens",
            )

    @property
    def room(self) -> int:
        """Tokens into which the longest text must fit: of a batch, with `auto` of a step."""
        return self.batch_tokens if self.global_batch_tokens is None else self.global_batch_tokens

    @property
    def batch_tokens(self) -> int:
        """How many tokens a batch has, once `bmtool.train.sizing.auto_batch` or the defaults chose a number."""
        if not isinstance(self.per_device_batch_tokens, int):
            raise AssertionError(f"per_device_batch_tokens is still {self.per_device_batch_tokens}")
        return self.per_device_batch_tokens

    @property
    def rate(self) -> float:
        """The learning rate, once it is a number (`bmtool.train.jobs.defaults`)."""
        if self.learning_rate is None:
            raise AssertionError("learning_rate isn't chosen yet")
        return self.learning_rate

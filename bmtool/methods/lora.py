"""Train two small matrices beside each matrix of the layers, and the head; the model itself stays as it is."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveFloat, PositiveInt

from bmtool.config.extras import EXTRAS
from bmtool.contracts import Method
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bmtool.contracts import Job, Need
    from bmtool.runner.pipeline import Pipeline


class Lora(Method):
    """Low-rank adaptation through `peft` (Hu et al. 2021): little memory for the optimizer, little to be overfitted.

    When training is over the small matrices are added to the large ones, so that a plain checkpoint is left. Its
    default rate is ten times that of all weights: on two data sets the best of 3, 10 and 30 (docs/tasks.md, LoRA).
    """

    idle = ("frozen_layers",)
    rate_ratio = 10.0

    rank: PositiveInt = 8
    """How many rows the small matrices have."""
    alpha: PositiveFloat = 16.0
    """What they give is multiplied by alpha / rank."""
    targets: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Last names of the matrices that get them, such as `query` and `value`; by default all in the layers."""

    def extras(self) -> tuple[str, ...]:
        """The package peft."""
        return ("lora",)

    def needs(self, pipeline: Pipeline, section: Any) -> dict[str, Need]:
        """Nothing but a package."""
        _require_peft()
        return super().needs(pipeline, section)

    def shaped(self, model: PreTrainedModel, job: Job) -> PreTrainedModel:
        """The model with new adapters in it, which depend on the seed alone."""
        _require_peft()
        from bmtool.train.weights.adapters import add_adapters

        trained, all_weights = add_adapters(
            model, rank=self.rank, alpha=self.alpha, targets=self.targets, seed=job.seed
        )
        job.console.say(f"{trained:,} weights are trained, of adapters and head; {all_weights:,} stay as they are")
        return model

    def finished(self, model: PreTrainedModel) -> PreTrainedModel:
        """The model with its adapters added to its matrices."""
        from bmtool.train.weights.adapters import merge_adapters

        return merge_adapters(model)


def _require_peft() -> None:
    if find_spec("peft") is None:
        raise ConfigError(f"finetune.method: lora needs the package peft, which isn't installed: {EXTRAS['lora'].pip}")

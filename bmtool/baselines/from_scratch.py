"""Fine-tune the same architecture from new weights: what pre-training was worth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveFloat

from bmtool.config.model import HOW
from bmtool.config.references import Ref, listed
from bmtool.contracts import Baseline, Need, OneArchitecture
from bmtool.errors import ConfigError
from bmtool.registry import METHODS

if TYPE_CHECKING:
    from bmtool.contracts import Columns, Job, Task
    from bmtool.runner.pipeline import Pipeline

_NO_VALIDATION = (
    "from_scratch chooses its learning rate on a validation split, and the dataset has none. "
    "Give it one, or give a single rate: {type: from_scratch, learning_rates: [1e-3]}"
)


class FromScratch(Baseline):
    """The finetune section with new weights, once for each learning rate; the best on validation is taken.

    One of several tasks is learned together with the others, as in the section.

    Architecture and tokenizer are those of the pretrain section, unless they are given here.
    """

    learning_rates: tuple[PositiveFloat, ...] = Field(default=(3e-4, 1e-3, 3e-3), min_length=1)
    model: OneArchitecture | None = None
    tokenizer: Annotated[Ref | None, HOW] = None

    def needs(self, pipeline: Pipeline) -> dict[str, Need]:
        """A checkpoint to be trained for each learning rate."""
        finetune, pretrain = pipeline.finetune, pipeline.pretrain
        if finetune is None:
            raise ConfigError(f"{pipeline.file}: evaluate.baselines: from_scratch needs a finetune section to repeat")
        model = self.model or finetune.model or getattr(pretrain, "model", None)
        tokenizer = self.tokenizer or finetune.tokenizer or getattr(pretrain, "data", None)
        if model is None or tokenizer is None:
            raise ConfigError(
                f"{pipeline.file}: evaluate.baselines: from_scratch takes architecture and tokenizer from the pretrain "
                f"section, and there they aren't. Give them: {{type: from_scratch, model: {{architecture: ...}}, "
                f"tokenizer: NAME OF A CORPUS}}"
            )
        datasets = [pipeline.prepare.get(str(one)) for one in listed(finetune.data)]
        without = [one for one in datasets if one is not None and not one.split.validation]
        if len(self.learning_rates) > 1 and without:
            raise ConfigError(f"{pipeline.file}: evaluate.baselines: {_NO_VALIDATION}")
        # Weights that know nothing yet are neither frozen nor spared.
        new = {"from_": None, "model": model, "tokenizer": tokenizer, "head_learning_rate": None, "seeds": 1}
        new |= {"frozen_layers": None, "layerwise_lr_decay": 1.0}
        if len(datasets) == 1:
            new["method"] = METHODS.load("supervised")()
        sections = {rate: finetune.model_copy(update=new | {"learning_rate": rate}) for rate in self.learning_rates}
        return {f"{rate:g}": Need("checkpoint", made=("finetune", section)) for rate, section in sections.items()}

    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """What the model of the best learning rate gives, by the metric that chose its checkpoint, then by loss."""
        from bmtool.train.inference.apply import run_checkpoint

        summaries = {rate: job.inputs[f"from_scratch:{rate:g}"].summary for rate in self.learning_rates}
        rate = self.learning_rates[0]
        if len(summaries) > 1:
            rate, reason = _choose(summaries)
            job.console.say(f"from_scratch: learning rate {rate:g} by validation {reason}")
        folder = job.inputs[f"from_scratch:{rate:g}"].folder
        return run_checkpoint(folder, task, dataset[split], job, labels=labels).outputs


def _choose(summaries: dict[float, dict[str, Any]]) -> tuple[float, str]:
    """The learning rate with the best validation value, of equals the one with the lowest loss; and why."""
    from bmtool.data.scoring.scores import higher_is_better

    if any(summary["best"] is None for summary in summaries.values()):
        raise ConfigError(f"evaluate.baselines: {_NO_VALIDATION}")
    metric = next(iter(summaries.values()))["best"]["metric"]
    sign = 1 if higher_is_better(metric) else -1

    def rank(rate: float) -> tuple[float, float]:
        validation = summaries[rate]["validation"]
        return sign * validation[metric], -(validation.get("loss") or math.inf)

    tried = ", ".join(f"{rate:g} {summary['validation'][metric]:.3f}" for rate, summary in summaries.items())
    return max(summaries, key=rank), f"{metric} ({tried})"

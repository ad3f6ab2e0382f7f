"""Fine-tune the same architecture from new weights: what pre-training was worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, PositiveFloat, SerializeAsAny

from bmtool.config.model import HOW, Choose, Component
from bmtool.config.references import Ref
from bmtool.contracts import Baseline
from bmtool.errors import ConfigError
from bmtool.registry import ARCHITECTURES

if TYPE_CHECKING:
    from bmtool.config.model import Settings
    from bmtool.contracts import Columns, Job, Task
    from bmtool.runner.pipeline import Pipeline


_ARCHITECTURE = Choose(ARCHITECTURES, key="architecture")


class FromScratch(Baseline):
    """The finetune section with new weights, once for each learning rate; the best on validation is taken.

    Architecture and tokenizer are those of the pretrain section, unless they are given here.
    """

    learning_rates: tuple[PositiveFloat, ...] = Field(default=(3e-4, 1e-3, 3e-3), min_length=1)
    model: Annotated[SerializeAsAny[Component], BeforeValidator(_ARCHITECTURE), _ARCHITECTURE] | None = None
    tokenizer: Annotated[Ref | None, HOW] = None

    def trained(self, pipeline: Pipeline) -> dict[str, Settings]:
        """Fine-tune settings by learning rate."""
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
        new = {"from_": None, "model": model, "tokenizer": tokenizer, "head_learning_rate": None}
        return {f"{rate:g}": finetune.model_copy(update=new | {"learning_rate": rate}) for rate in self.learning_rates}

    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """What the model of the best learning rate gives, by the metric that chose its checkpoint."""
        from bmtool.data.scores import higher_is_better
        from bmtool.train.apply import run_checkpoint

        best = {rate: job.inputs[f"from_scratch:{rate:g}"].summary["best"] for rate in self.learning_rates}
        missing = [f"{rate:g}" for rate, found in best.items() if found is None]
        if missing and len(best) > 1:
            raise ConfigError("from_scratch chooses its learning rate on a validation split, and there is none")
        sign = {rate: 1 if found and higher_is_better(found["metric"]) else -1 for rate, found in best.items()}
        rate = max(best, key=lambda rate: sign[rate] * best[rate]["value"]) if len(best) > 1 else next(iter(best))
        if best[rate]:
            tried = ", ".join(f"{r:g} {found['value']:.3f}" for r, found in best.items())
            job.console.say(f"from_scratch: learning rate {rate:g} by validation {best[rate]['metric']} ({tried})")
        folder = job.inputs[f"from_scratch:{rate:g}"].folder
        return run_checkpoint(folder, task, dataset[split], job, labels=labels).outputs

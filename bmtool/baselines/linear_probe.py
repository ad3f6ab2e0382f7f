"""A linear model on what a checkpoint makes of each text, without training the checkpoint: what fine-tuning adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat

from bmtool.config.model import HOW
from bmtool.config.references import ModelRef
from bmtool.contracts import Baseline, Need
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from bmtool.contracts import Columns, Job, Task
    from bmtool.runner.pipeline import Pipeline


class LinearProbe(Baseline):
    """A logistic regression (of numbers a ridge regression) on vectors of a frozen encoder, scaled by feature.

    The encoder is what the finetune section starts from, unless it is given. The strength `C` of the regression (of a
    ridge the inverse of its penalty) is chosen on the validation split. Without one it is the middle of `strengths`.
    """

    reads: ClassVar = frozenset({"text"})
    answers: ClassVar = frozenset({"label", "labels", "number"})

    from_: Annotated[ModelRef | None, HOW] = Field(default=None, alias="from")
    """The checkpoint: `pretrain`, a folder, with a slash, or hf:org/name@revision; by default what finetune takes."""
    pooling: Literal["mean", "cls"] = "mean"
    """The mean of a text's last hidden states, or the first of them."""
    strengths: tuple[PositiveFloat, ...] = Field(default=(0.0001, 0.001, 0.01, 0.1, 1.0), min_length=1)

    def needs(self, pipeline: Pipeline) -> dict[str, Need]:
        """The checkpoint."""
        start = self.from_ or getattr(pipeline.finetune, "start", None)
        if start is None:
            raise ConfigError(
                f"{pipeline.file}: evaluate.baselines: linear_probe takes the checkpoint that the finetune section "
                f"starts from, and there is none. Give it: {{type: linear_probe, from: ./FOLDER}}"
            )
        return {"from": Need("checkpoint", start)}

    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """`predictions` only."""
        from bmtool.data.examples.labelled import references_of, same_answer
        from bmtool.data.plain_models.linear import fit, has_one_answer
        from bmtool.train.inference.features import Encoder

        columns = task.of_kind("text")
        train_answers = references_of(dataset["train"], task, labels)
        if has_one_answer(train_answers):
            return {"predictions": same_answer(train_answers, references_of(dataset[split], task, labels))}
        encoder = Encoder(job.inputs["linear_probe:from"].folder, job, self.pooling)
        features, num_cut = encoder.features(dataset["train"], columns)
        mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6

        def scaled(name: str) -> Any:
            return (encoder.features(dataset[name], columns)[0] - mean) / scale

        has_validation = "validation" in dataset.splits and dataset["validation"].num_rows > 0
        known = (scaled("validation"), references_of(dataset["validation"], task, labels)) if has_validation else None
        model, reason = fit(((features - mean) / scale, train_answers), known, self.strengths, job.console)
        cut = f", {num_cut:,} train texts cut at {encoder.max_seq_length} tokens" if num_cut else ""
        job.console.say(f"linear_probe: {features.shape[1]:,} features{cut}, {reason}")
        return {"predictions": model.predict(scaled(split))}

"""Train a language model on a corpus, from new weights or on top of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveFloat, model_validator

from bmtool.config.model import HOW, explained
from bmtool.config.references import Ref
from bmtool.config.shared import Training
from bmtool.config.units import Ratio
from bmtool.contracts import GateResult, Need, OneArchitecture, OneObjective
from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

    from bmtool.contracts import Examples, Job, Objective
    from bmtool.data.dataset import Dataset
    from bmtool.runner.pipeline import Pipeline
    from bmtool.train.loop import Fitted

VERSION = 1
VERSION_COUNTS = False
KIND = "checkpoint"


class Config(Training):
    """Pre-train on a corpus: a model built here, or a checkpoint that goes on."""

    exclusive = (*Training.exclusive, ("from", "model"))

    data: Annotated[Ref, HOW]
    """The corpus: a name under `prepare:`, or a path with a slash."""
    model: OneArchitecture | None = None
    """What to build, such as {architecture: bert, size: tiny}."""
    from_: Annotated[Ref | None, HOW] = Field(default=None, alias="from")
    """Instead of `model`: a checkpoint folder to go on from, with a slash. Its tokenizer must be the corpus's."""
    objective: OneObjective
    """What is learnt: mlm (hidden words, for encoders) or clm (next words, for decoders)."""
    learning_rate: PositiveFloat = 1e-3
    """Small models take more (3e-3 for 2 layers of 128), base-size ones less (5e-4)."""
    dropout: Ratio = 0.0
    """While pre-training; text is seen once or a few times, so that there is little to overfit. Fine-tuning takes the
    value in the checkpoint's config.json, which this one doesn't touch."""

    @model_validator(mode="after")
    def _one_start(self) -> Config:
        if (self.model is None) == (self.from_ is None):
            raise explained("set one of model and from: build a model, or go on from a checkpoint")
        if self.model is not None:
            known = self.model.objectives
            if self.objective.name() not in known:
                raise explained(
                    f"architecture '{self.model.name()}' can't learn '{self.objective.name()}'; "
                    f"it learns {' or '.join(known)}",
                    at="objective",
                )
        return self


def needs(config: Config, pipeline: Pipeline) -> dict[str, Need]:
    """The corpus, and the checkpoint to go on from."""
    del pipeline
    corpus = {"data": Need("dataset", config.data)}
    return corpus if config.from_ is None else {**corpus, "from": Need("checkpoint", config.from_)}


def raw(config: Config) -> list[tuple[str, Path]]:
    """No raw files: all inputs are artifacts."""
    del config
    return []


def run(config: Config, job: Job) -> dict[str, Any]:
    """Cut the corpus into pieces, build or open the model, train it, save it."""
    from bmtool.data.dataset import open_dataset
    from bmtool.data.encode import load_tokenizer
    from bmtool.data.scores import evaluate_metrics
    from bmtool.models.checkpoint import save_checkpoint
    from bmtool.report.card import write_checkpoint_card
    from bmtool.train.loop import fit

    dataset = open_dataset(job.inputs["data"].folder)
    folder = _tokenizer_folder(dataset)
    tokenizer = load_tokenizer(folder)
    objective = config.objective
    parts = _examples(config, job, objective, dataset, tokenizer)
    model = _model(config, job, objective, tokenizer, folder)
    fitted = fit(
        model,
        objective,
        parts["train"],
        parts.get("validation"),
        training=config,
        job=job,
        score=lambda outputs: evaluate_metrics(objective.metrics, outputs, ()),
    )
    save_checkpoint(job.folder, model, folder, _info(config, job, objective))
    summary = _summary(objective, model, parts, fitted)
    write_checkpoint_card(job.folder, job, config.model_dump(mode="json", by_alias=True), summary)
    return summary


def gates(config: Config, summary: dict[str, Any]) -> list[GateResult]:
    """None: `evaluate` has them."""
    del config, summary
    return []


def describe(summary: dict[str, Any]) -> list[str]:
    """What was trained, how long, and how good it is on validation."""
    line = (
        f"{summary['parameters'] / 1e6:,.1f} M weights, {summary['steps']:,} steps, {summary['tokens']:,} tokens "
        f"({summary['epochs']:.3g} epochs), {summary['tokens_per_second']:,} tokens/s"
    )
    scores = ", ".join(f"{name} {value:.3f}" for name, value in summary["validation"].items() if value is not None)
    return [line, f"on validation: {scores}"] if scores else [line]


def _tokenizer_folder(dataset: Dataset) -> Path:
    if dataset.tokenizer_folder is None:
        raise MissingInputError(
            f"{dataset.folder}: no tokenizer is here, so this is no corpus. pretrain.data must name one"
        )
    return dataset.tokenizer_folder


def _examples(
    config: Config, job: Job, objective: Objective, dataset: Dataset, tokenizer: Tokenizer
) -> dict[str, Examples]:
    """Train and validation documents in pieces; documents without tokens are said. The test split isn't touched."""
    parts: dict[str, Examples] = {}
    for name in [name for name in ("train", "validation") if name in dataset.splits]:
        parts[name] = objective.examples(dataset[name], tokenizer, config.max_seq_length)
        empty = parts[name].cut.get("texts_without_tokens", 0)
        if empty:
            job.console.say(f"{name}: {empty:,} documents without any token")
    return parts


def _model(
    config: Config, job: Job, objective: Objective, tokenizer: Tokenizer, tokenizer_folder: Path
) -> PreTrainedModel:
    """The checkpoint with its head, or a new model; new weights depend on the seed alone."""
    from bmtool.models.build import new_model, special_ids
    from bmtool.models.checkpoint import open_model
    from bmtool.models.packed import set_dropout

    if config.model is None:
        _check_tokenizer(config, job, tokenizer_folder)
        model = open_model(job.inputs["from"].folder, objective.auto_class)
    else:
        settings = config.model.config(
            vocab_size=tokenizer.get_vocab_size(),
            max_seq_length=config.max_seq_length,
            special_ids=special_ids(tokenizer, tokenizer_folder),
        )
        model = new_model(settings, objective.auto_class, seed=job.seed)
    set_dropout(model, config.dropout)
    return model


def _check_tokenizer(config: Config, job: Job, tokenizer_folder: Path) -> None:
    """The corpus must be encoded as the checkpoint reads."""
    from bmtool.data.tokenizers import read_alike
    from bmtool.models.checkpoint import require_tokenizer

    folder = job.inputs["from"].folder
    require_tokenizer(folder)
    if read_alike(folder, tokenizer_folder):
        return
    name = config.data.value if config.data.form == "name" else "CORPUS"
    wanted = config.from_ if config.from_ and config.from_.form == "path" else folder
    raise MissingInputError(
        f"the corpus '{config.data}' was encoded with another tokenizer than the checkpoint's. Prepare it with "
        f"prepare.{name}.tokenizer: {{from: {wanted}}}"
    )


def _info(config: Config, job: Job, objective: Objective) -> dict[str, Any]:
    """What `bmtool.json` says: all that is needed to use and to evaluate the model."""
    return {
        "goal_kind": "objective",
        "goal": objective.model_dump(mode="json"),
        "labels": [],
        "max_seq_length": config.max_seq_length,
        "data_fingerprint": job.inputs["data"].fingerprint,
        "metric": None,
        "best": None,
    }


def _summary(
    objective: Objective, model: PreTrainedModel, parts: dict[str, Examples], fitted: Fitted
) -> dict[str, Any]:
    return {
        "objective": objective.name(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "pieces": {name: len(examples) for name, examples in parts.items()},
        "cut": {name: dict(examples.cut) for name, examples in parts.items()},
        "steps": fitted.steps,
        "epochs": fitted.epochs,
        "tokens": fitted.tokens,
        "skipped_steps": fitted.skipped_steps,
        "validation": fitted.metrics,
        "tokens_per_second": round(fitted.tokens_per_second),
        "seconds": round(fitted.seconds, 1),
        "environment": {"choices": fitted.choices},
    }

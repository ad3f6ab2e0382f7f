"""Train a language model on a corpus, from new weights or on top of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, PositiveFloat, model_validator

from bmtool.config.model import HOW, LISTED, explained
from bmtool.config.references import ModelRef, Ref
from bmtool.config.shared import Training
from bmtool.config.smoke import SMOKE_STEPS, little_budget
from bmtool.config.units import Ratio, Share
from bmtool.contracts import GateResult, Need, OneArchitecture, OneObjective
from bmtool.errors import ConfigError
from bmtool.train.stretches import Corpus, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from transformers import PreTrainedModel

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts import Architecture, Job, Planned
    from bmtool.runner.pipeline import Pipeline
    from bmtool.train.fitted import Fitted
    from bmtool.train.jobs.sketch import Sketch
    from bmtool.train.phases import Phase as TrainingPhase
    from bmtool.train.sizing.estimate import Outline

VERSION = 3
VERSION_COUNTS = False
KIND = "checkpoint"


class Config(Training):
    """Pre-train on a corpus: a model built here, or a checkpoint that goes on."""

    exclusive = (*Training.exclusive, ("from", "model"))

    data: Annotated[Ref, HOW]
    """The corpus: a name under `prepare:`, or a path with a slash."""
    mix: Annotated[tuple[Corpus, ...], LISTED] = ()
    """Other corpora with their shares of the tokens, such as `[{data: general, weight: 5%}]`."""
    model: OneArchitecture | None = None
    """What to build, such as {architecture: bert, size: tiny}."""
    from_: Annotated[ModelRef | None, HOW] = Field(default=None, alias="from")
    """Instead of `model`: a checkpoint to go on from, a folder with a slash or hf:org/name@revision. Its tokenizer must
    be the corpus's, which may have more tokens at the end."""
    new_head: bool = False
    """With `from`: where the checkpoint has no head for the objective, as most published encoders, start with a new
    one. Without it such a checkpoint is refused."""
    objective: OneObjective
    """What is learnt: mlm (hidden words, for encoders), clm (next words, for decoders), span_corruption or denoising
    (what was left out, for encoder-decoders)."""
    learning_rate: PositiveFloat | None = None
    """By default 3.3e-4 * 768 / the model's width: 1.98e-3 for 128 (and narrower). With `from` 5e-5 in its place, so
    that little is forgotten, but not with `from_state`, which goes on as if it hadn't stopped."""
    dropout: Ratio = 0.0
    """While pre-training; text is seen once or a few times, so that there is little to overfit. Fine-tuning takes the
    value in the checkpoint's config.json, which this one doesn't touch."""
    keep_state: bool = False
    """Keep the optimizer's state beside the weights (twice their size), for a run that goes on with `from_state`."""
    from_state: bool = False
    """Take up the optimizer's state that `keep_state` left in `from`: what was stable stays so."""
    average_with_start: Annotated[Share, Field(ge=0, lt=1)] = 0.0
    """With `from`: the share of that checkpoint's weights in those that are kept, such as 25%, the rest being what was
    trained. Most of what was learned stays, and little of the old is forgotten. A new head stays as it was trained."""
    phases: tuple[Phase, ...] = ()
    """Stretches run in order, such as short texts and then long ones: each has a budget, and what differs."""

    @model_validator(mode="after")
    def _one_start(self) -> Config:
        if (self.model is None) == (self.from_ is None):
            raise explained("set one of model and from: build a model, or go on from a checkpoint")
        if self.from_state and self.from_ is None:
            raise explained("has an effect only with from: a new model has no state yet", at="from_state")
        if self.new_head and self.from_ is None:
            raise explained("has an effect only with from: a model that is built here is all new", at="new_head")
        self._check_average()
        if sum(corpus.weight for corpus in self.mix) >= 1:
            raise explained("the weights leave no tokens for 'data': their sum must be below 1", at="mix")
        names = [str(self.data), *(str(corpus.data) for corpus in self.mix)]
        if len(set(names)) < len(names):
            raise explained("names the same corpus twice", at="mix")
        if self.model is not None:
            self._check_objectives(self.model)
        return self

    def _check_average(self) -> None:
        if not self.average_with_start:
            return
        reasons = {
            "has an effect only with from: new weights know nothing that could be kept": self.from_ is None,
            "leaves weights that the optimizer's state doesn't belong to. Leave one of the two out": self.keep_state,
        }
        for reason, holds in reasons.items():
            if holds:
                raise explained(reason, at="average_with_start")

    def _check_objectives(self, model: Architecture) -> None:
        *earlier, last = [stretch.objective.name() for stretch in self.stretches()]
        place = "phases" if self.phases else "objective"
        for name, known, where in [
            *((name, (*model.objectives, *model.detours), " in a phase that isn't the last") for name in earlier),
            (last, model.objectives, " at the end" if self.phases else ""),
        ]:
            if name not in known:
                learns = f"it learns {' or '.join(known)}{where}"
                raise explained(f"architecture '{model.name()}' can't learn '{name}'; {learns}", at=place)

    def check_budget(self) -> None:
        """As everywhere; with phases, each of them has one, and room for a text."""
        if not self.phases:
            super().check_budget()
            return
        for name in self.exclusive[0]:
            if getattr(self, name) is not None:
                raise explained("with phases, each phase has a budget of its own. Remove this line", at=name)
        for phase, stretch in zip(self.phases, self.stretches(), strict=True):
            stretch.check_budget()
            stretch.check_room()
            if phase.decay_ratio is not None and stretch.lr_scheduler_type != "wsd":
                kind = stretch.lr_scheduler_type
                raise explained(f"decay_ratio has an effect only in a phase with wsd, not with {kind}", at="phases")

    def in_little(self) -> Self:
        """The few steps are shared out among the phases, each of which has one at least."""
        little = super().in_little()
        if not self.phases:
            return little
        few = little_budget(max(1, SMOKE_STEPS // len(self.phases)))
        phases = tuple(phase.model_copy(update=few) for phase in self.phases)
        return little.model_copy(update={"phases": phases, "max_steps": None})

    @property
    def longest(self) -> int:
        """The largest `max_seq_length` of all phases: what the model must be able to read."""
        return max(stretch.max_seq_length for stretch in self.stretches())

    @property
    def auto_class(self) -> str:
        """The class of transformers that every phase can train: the last one's, or the one with a head for pairs."""
        classes = [stretch.objective.auto_class for stretch in self.stretches()]
        return "AutoModelForPreTraining" if "AutoModelForPreTraining" in classes else str(classes[-1])

    def stretches(self) -> tuple[Config, ...]:
        """The settings of each phase, whole; without `phases` there is one, this one."""
        if not self.phases:
            return (self,)
        whole = []
        for number, phase in enumerate(self.phases):
            changes: dict[str, Any] = {"phases": ()}
            if number:
                changes |= {"warmup_ratio": 0.0, "batch_warmup_steps": 0}
            if number < len(self.phases) - 1:
                changes["lr_scheduler_type"] = "constant"
            own = {name: value for name in Phase.model_fields if (value := getattr(phase, name)) is not None}
            whole.append(self.model_copy(update=changes | own))
        return tuple(whole)


def needs(config: Config, pipeline: Pipeline) -> dict[str, Need]:
    """The corpus, the corpora that go along, and the checkpoint to go on from."""
    _check_tokenizers(config, pipeline)
    corpora = {"data": Need("dataset", config.data, splits=("train",))}
    # By number: what a role is called is part of the fingerprint, and a path must not be.
    corpora |= {
        f"mix:{number}": Need("dataset", corpus.data, splits=("train",), asked_by=("mix", number, "data"))
        for number, corpus in enumerate(config.mix)
    }
    return corpora if config.from_ is None else {**corpora, "from": Need("checkpoint", config.from_)}


def _check_tokenizers(config: Config, pipeline: Pipeline) -> None:
    """What can be known about the corpora's tokenizers from the same file, before anything is made."""
    for reference in (config.data, *(corpus.data for corpus in config.mix)):
        prepared = pipeline.prepare.get(reference.value) if reference.form == "name" else None
        trainer = prepared.tokenizer_trainer() if prepared is not None else None
        if trainer is None:
            continue
        for stretch in config.stretches():
            unfit = stretch.objective.unfit_tokenizer(trainer)
            if unfit:
                where = f"{pipeline.file}: prepare.{reference.value}.tokenizer"
                raise ConfigError(f"{where}: {trainer.name()} {unfit}")


def raw(config: Config) -> list[tuple[str, Path]]:
    """No raw files: all inputs are artifacts."""
    del config
    return []


def run(config: Config, job: Job) -> dict[str, Any]:
    """Cut the corpora into pieces, build or open the model, train it phase after phase, save it."""
    from safetensors.torch import save_file

    from bmtool.models.files.checkpoint import save_checkpoint
    from bmtool.report.card import write_checkpoint_card
    from bmtool.train.jobs import pretraining as start
    from bmtool.train.loop import fit

    corpora = start.open_corpora_for(config, job)
    config, choices = start.rated(config, job, corpora)
    phases = [corpora.phase(stretch.objective, stretch) for stretch in config.stretches()]
    model, new = start.open_model_for(config, job, corpora)
    domains = start.watched_domains(config, job, corpora)
    begins, keeps = start.start_of(config, job, corpora, new), config.keep_state
    fitted = fit(model, phases, job=job, start=begins, domains=domains, keeps_optimizer=keeps, choices=choices)
    save_checkpoint(job.folder, model, corpora.tokenizer_folder, _info(config, job))
    if keeps:
        save_file(fitted.optimizer_state, job.folder / start.OPTIMIZER)
    summary = _summary(config, model, phases, fitted) | ({"not_averaged": sorted(new)} if begins.share else {})
    write_checkpoint_card(job.folder, job, config.model_dump(mode="json", by_alias=True), summary)
    return summary


def outline(config: Config, job: Job) -> Outline:
    """The model without weights, and the pieces that it would be trained on."""
    from bmtool.train.jobs.pretraining import bare_model_for, open_corpora_for, rated
    from bmtool.train.sizing.estimate import Outline

    corpora = open_corpora_for(config, job)
    config, choices = rated(config, job, corpora)
    phases = [corpora.phase(stretch.objective, stretch) for stretch in config.stretches()]
    return Outline(bare_model_for(config, job, corpora), phases, choices=choices)


def sketch(config: Config, inputs: Mapping[str, Planned | Artifact], job: Job) -> Sketch:
    """The same from settings alone, where not all that is read is made yet."""
    from bmtool.train.jobs.sketch import of_pretraining

    del job
    return of_pretraining(config, inputs)


def gates(config: Config, summary: dict[str, Any]) -> list[GateResult]:
    """None: `evaluate` has them."""
    del config, summary
    return []


def describe(summary: dict[str, Any]) -> list[str]:
    """What was trained, how long, and how good it is on validation."""
    from bmtool.train.watching.described import pretrained_lines

    return pretrained_lines(summary)


def _info(config: Config, job: Job) -> dict[str, Any]:
    """What `bmtool.json` says: all that is needed to use and to evaluate the model."""
    return {
        "goal_kind": "objective",
        "goal": config.stretches()[-1].objective.model_dump(mode="json"),
        "labels": [],
        "max_seq_length": config.longest,
        "data_fingerprint": job.inputs["data"].fingerprint,
        "metric": None,
        "best": None,
    }


def _summary(config: Config, model: PreTrainedModel, phases: list[TrainingPhase], fitted: Fitted) -> dict[str, Any]:
    last = phases[-1]
    parts = {"train": last.train, **({"validation": last.validation} if last.validation is not None else {})}
    return {
        "objective": config.stretches()[-1].objective.name(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "pieces": {name: len(examples) for name, examples in parts.items()},
        "cut": {name: dict(examples.cut) for name, examples in parts.items()},
        "learning_rate": max(phase.training.rate for phase in phases),
        **fitted.facts(),
        "domains": fitted.domains,
        "seconds": round(fitted.seconds, 1),
    }

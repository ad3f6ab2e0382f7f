"""Measure a checkpoint on rows it has never seen, beside baselines, and judge it by gates."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import Field, field_validator, model_validator

from bmtool.config.model import HOW, Settings, explained
from bmtool.config.references import ModelRef, Ref, Reference, Refs, listed
from bmtool.config.shared import Name
from bmtool.config.units import Count, Seed
from bmtool.contracts import GateResult, Need, OneBaseline, OneMetric
from bmtool.data.scoring.gates import Gate, judge
from bmtool.errors import ConfigError, did_you_mean
from bmtool.registry import BASELINES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bmtool.contracts import Job, Task
    from bmtool.runner.pipeline import Pipeline
    from bmtool.train.judging.examination import Examination

VERSION = 4
VERSION_COUNTS = True
KIND = "evaluation"


class Config(Settings):
    """What is measured, on which rows, beside what, and what must be reached."""

    from_: Annotated[ModelRef | None, HOW] = Field(default=None, alias="from")
    """The checkpoint: `finetune` (the default; `pretrain` in a file without it), a folder, with a slash, or
    hf:org/name@revision."""
    data: Annotated[Refs | None, HOW] = None
    """The dataset, or a list of them: by default what the checkpoint's section names."""
    split: Literal["train", "validation", "test"] | None = None
    """The split: by default `test`; for a pre-trained model of a corpus without it `validation`."""
    metrics: tuple[OneMetric, ...] | None = None
    """By default those of the task or objective. The first one is the main one."""
    baselines: tuple[OneBaseline, ...] = ()
    """What stands beside the model, on the same rows."""
    against: Annotated[dict[Name, Ref], HOW] = {}
    """Evaluations of other trainings on the same rows, with the same `finetune.seeds`, by a name of your choice:
    `{supervised: runs/supervised/evaluate/}`. Each seed is compared with the same one there."""
    gates: Annotated[tuple[Gate, ...], HOW] = ()
    """What must be reached; judged at each call from the recorded numbers."""
    resamples: Count = 1000
    """Resamples of the bootstrap behind each interval."""
    seed: Seed | None = None
    """Of the bootstrap."""

    @field_validator("against")
    @classmethod
    def _of_elsewhere(cls, against: dict[str, Reference]) -> dict[str, Reference]:
        for name, reference in against.items():
            if reference.form != "path":
                text = f"expected the folder of an evaluation, with a slash, such as runs/{reference}/evaluate/"
                raise explained(text, at=name)
            if name in BASELINES.names():
                raise explained("a baseline is called so; results go by this name", at=name)
        return against

    @model_validator(mode="after")
    def _no_name_twice(self) -> Config:
        for key, components in (("metrics", self.metrics or ()), ("baselines", self.baselines)):
            names = [component.name() for component in components]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise explained(f"'{twice}' is there twice; results go by this name", at=key)
        return self

    def in_little(self) -> Self:
        """Without other studies, and gates on them: theirs are of all rows."""
        gates = tuple(gate for gate in self.gates if gate.against not in self.against)
        return self.model_copy(update={"against": {}, "gates": gates})


def needs(config: Config, pipeline: Pipeline) -> dict[str, Need]:
    """The checkpoint, each dataset under its own name, other seeds of the checkpoint, and what baselines need."""
    start = config.from_ or _default_start(pipeline)
    data = listed(config.data or _default_data(start, pipeline))
    _check_gated(config, data, pipeline)
    _check_baselines(config, data, pipeline)
    seeds = _seeds(start, pipeline)
    _check_gates(config, start, pipeline, has_seeds=bool(seeds))
    inputs = {"from": Need("checkpoint", start)}
    inputs |= {
        f"data:{one.name}": Need("dataset", one, splits=_splits(config, one, start, pipeline), asked_by=("split",))
        for one in data
    }
    inputs |= {f"seed:{seed}": Need("checkpoint", made=("finetune", one)) for seed, one in seeds}
    inputs |= {f"against:{name}": Need("evaluation", one) for name, one in config.against.items()}
    for baseline in config.baselines:
        inputs |= {f"{baseline.name()}:{label}": need for label, need in baseline.needs(pipeline).items()}
    return inputs


def raw(config: Config) -> list[tuple[str, Path]]:
    """No raw files: all inputs are artifacts."""
    del config
    return []


def run(config: Config, job: Job) -> dict[str, Any]:
    """Run the saved checkpoint and the baselines, score them, and write numbers, predictions and the report."""
    from bmtool.train.judging.examination import examine

    names = sorted(role.partition(":")[2] for role in job.inputs if role.startswith("data:"))
    found = {}
    for name in names:
        if len(names) > 1:
            job.console.say(name)
        found[name] = examine(config, job, name)
    _write(config, job, found)
    cut: Counter[str] = Counter()
    for one in found.values():
        cut.update(one.evaluation.cut)
    return {
        "datasets": {name: one.evaluation.plain() for name, one in found.items()},
        "metrics": {name: [metric.name() for metric in one.metrics] for name, one in found.items()},
        "comparisons": [
            f"{name}: {text}" if len(names) > 1 else text for name, one in found.items() for _, text in one.compared
        ],
        "cut": dict(cut),
    }


def _write(config: Config, job: Job, found: dict[str, Examination]) -> None:
    """Write `metrics.json`, `labels.json`, `predictions/`, of several datasets in a folder each, and the report."""
    from bmtool.artifacts.files import write_json
    from bmtool.data.scoring.answers import predictions_table, write_predictions
    from bmtool.report.evaluation import Told, write_evaluation
    from bmtool.train.inference.apply import loss_curves

    datasets = {name: one.evaluation.plain() for name, one in found.items()}
    judged = judge(config.gates, datasets)
    write_json(job.folder / "metrics.json", {"datasets": datasets, "gates": [asdict(gate) for gate in judged]})
    labels = {name: one.evaluation.plain_labels() for name, one in found.items() if one.evaluation.labels}
    if labels:
        write_json(job.folder / "labels.json", labels)
    told = []
    for name, one in found.items():
        ids = one.dataset[one.evaluation.split].column("id")
        table = predictions_table(ids, one.answers.outputs, one.answers.labels)
        predictions = job.folder / "predictions"
        write_predictions(predictions / name if len(found) > 1 else predictions, table, job.fingerprint)
        facts = {
            "checkpoint": str(one.checkpoint.relative_to(job.inputs["from"].folder.parent)),
            "goal": one.goal.name(),
            "dataset": name,
            "split": one.evaluation.split,
            "seed of the bootstrap": str(job.seed),
        }
        told.append(Told(one.evaluation, one.compared, facts, loss_curves(one.checkpoint)))
    write_evaluation(job.folder, told, judged)


def gates(config: Config, summary: dict[str, Any]) -> list[GateResult]:
    """Judge the recorded numbers."""
    return judge(config.gates, summary["datasets"])


def describe(summary: dict[str, Any]) -> list[str]:
    """Each metric with its interval, and how the model stands beside its baselines."""
    from bmtool.report.tables import counted

    lines = []
    for name, result in summary["datasets"].items():
        metrics = summary["metrics"][name]
        for metric in metrics:
            score = result["metrics"][metric]
            lines.append(
                f"{name} {result['split']}: {metric} {score['value']:.3f} "
                f"({score['low']:.3f} to {score['high']:.3f}, n {score['n']:,})"
            )
        if "seeds" in result:
            lines += [f"{name} {result['split']}: {text}" for text in _seed_lines(result["seeds"], metrics[0])]
    cut = ", ".join(counted(summary["cut"]))
    return [*lines, *summary["comparisons"], *([cut] if cut else [])]


def _seed_lines(study: dict[str, Any], main: str) -> list[str]:
    """The main metric over all seeds, and how far it is from each baseline."""
    of_seeds = f"{len(study['seeds'])} seeds"
    lines = [f"{main} {_interval_of(study['metrics'][main])} in the mean of {of_seeds}"]
    for baseline, differences in study["differences"].items():
        if main in differences:
            lines.append(f"{main} minus {baseline} {_interval_of(differences[main], sign='+')} over {of_seeds}")
    return lines


def _interval_of(spread: dict[str, Any], sign: str = "") -> str:
    return f"{spread['mean']:{sign}.3f} ({spread['low']:{sign}.3f} to {spread['high']:{sign}.3f})"


# ---------------------------------------------------------------- before anything is made


def _splits(config: Config, reference: Reference, start: Reference, pipeline: Pipeline) -> tuple[str, ...]:
    """What is measured; what a corpus of elsewhere has instead of a test split is seen when it is opened."""
    prepared = pipeline.prepare.get(reference.value) if reference.form == "name" else None
    if config.split is not None:
        return (config.split,)
    if prepared is None:  # what this file fine-tunes is judged on a dataset with a task
        return ("test",) if start == _FINETUNED else ()
    is_corpus = prepared.task is None
    return ("validation",) if is_corpus and "test" not in prepared.split.names() else ("test",)


#: What this file fine-tunes.
_FINETUNED = Reference(form="name", value="finetune")


def _default_start(pipeline: Pipeline) -> Reference:
    only_pretrained = pipeline.finetune is None and pipeline.pretrain is not None
    return Reference(form="name", value="pretrain" if only_pretrained else "finetune")


def _seeds(start: Reference, pipeline: Pipeline) -> list[tuple[int, Settings]]:
    """The other seeds of what is evaluated, if this file trains it with several."""
    if start != _FINETUNED or pipeline.finetune is None:
        return []
    return list(pipeline.finetune.per_seed().items())[1:]


def _default_data(start: Reference, pipeline: Pipeline) -> Reference | tuple[Reference, ...]:
    section = getattr(pipeline, start.value, None) if start.form == "name" else None
    if section is None:
        raise ConfigError(
            f"{pipeline.file}: evaluate.data: say which dataset to evaluate on; this file has no section that trained "
            f"'{start}', from which it could be taken"
        )
    return cast("Reference | tuple[Reference, ...]", section.data)


def _check_gated(config: Config, data: Sequence[Reference], pipeline: Pipeline) -> None:
    """A gate is for a dataset that is there."""
    names = [one.name for one in data]
    for index, gate in enumerate(config.gates):
        if gate.data is not None and gate.data not in names:
            hint = did_you_mean(gate.data, names) or f" There: {', '.join(names)}"
            where = f"{pipeline.file}: evaluate.gates[{index}].data"
            raise ConfigError(f"{where}: '{gate.data}' isn't evaluated here.{hint}")


def _check_baselines(config: Config, data: Sequence[Reference], pipeline: Pipeline) -> None:
    """What can be known about the tasks from the same file, before anything is made."""
    prepared = [pipeline.prepare.get(one.value) if one.form == "name" else None for one in data]
    tasks: list[Task] = [one.task for one in prepared if one is not None and one.task is not None]
    for baseline in config.baselines:
        if any(one is not None and one.task is None for one in prepared):
            raise ConfigError(f"{pipeline.file}: evaluate.baselines: a corpus has none; they answer tasks")
        why = baseline.unfit(tasks) if len(tasks) == len(data) else ""
        if why:
            raise ConfigError(f"{pipeline.file}: evaluate.baselines: {why}")


def _check_gates(config: Config, start: Reference, pipeline: Pipeline, *, has_seeds: bool) -> None:
    """What several seeds, or another study, are asked for is there: said before anything is trained."""
    advice = "Set finetune.seeds and evaluate what this file fine-tunes, or leave out"
    if config.against and not has_seeds:
        raise ConfigError(
            f"{pipeline.file}: evaluate.against: seeds are compared one by one, and '{start}' is one. {advice} this"
        )
    names = [*(baseline.name() for baseline in config.baselines), *config.against]
    for index, gate in enumerate(config.gates):
        where = f"{pipeline.file}: evaluate.gates[{index}].against"
        if gate.seeds is not None and not has_seeds:
            raise ConfigError(
                f"{pipeline.file}: evaluate.gates: {gate.metric} asks for the {gate.seeds} of several seeds, and "
                f"'{start}' is one. {advice} seeds"
            )
        if gate.against is not None and gate.against not in names:
            hint = did_you_mean(gate.against, names) or f" There: {', '.join(names) or 'none'}"
            raise ConfigError(f"{where}: '{gate.against}' is none of evaluate.baselines or evaluate.against.{hint}")
        if gate.against in config.against and gate.seeds is None:
            raise ConfigError(f"{where}: '{gate.against}' is compared seed by seed: set seeds to mean or worst")

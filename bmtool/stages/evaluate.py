"""Measure a checkpoint on rows it has never seen, beside baselines, and judge it by gates."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, NonNegativeInt, model_validator

from bmtool.config.model import HOW, Choose, Settings, explained
from bmtool.config.references import ModelRef, Ref, Reference
from bmtool.config.units import Count
from bmtool.contracts import GateResult, Need, OneBaseline, OneMetric
from bmtool.data.gates import Gate, judge
from bmtool.errors import ConfigError, DataError, MissingInputError
from bmtool.registry import METRICS, OBJECTIVES, TASKS

if TYPE_CHECKING:
    import pyarrow as pa

    from bmtool.contracts import Baseline, Columns, Goal, Job, Metric, Task
    from bmtool.data.dataset import Dataset
    from bmtool.data.evaluation import Evaluation
    from bmtool.runner.pipeline import Pipeline
    from bmtool.train.apply import Answers

VERSION = 1
VERSION_COUNTS = True
KIND = "evaluation"


class Config(Settings):
    """What is measured, on which rows, beside what, and what must be reached."""

    from_: Annotated[ModelRef | None, HOW] = Field(default=None, alias="from")
    """The checkpoint: `finetune` (the default; `pretrain` in a file without it), a folder, with a slash, or
    hf:org/name@revision."""
    data: Annotated[Ref | None, HOW] = None
    """The dataset: by default the one that the checkpoint's section names."""
    split: str | None = None
    """The split: by default `test`; for a pre-trained model of a corpus without it `validation`."""
    metrics: tuple[OneMetric, ...] | None = None
    """By default those of the task or objective. The first one is the main one."""
    baselines: tuple[OneBaseline, ...] = ()
    """What stands beside the model, on the same rows."""
    gates: Annotated[tuple[Gate, ...], HOW] = ()
    """What must be reached; judged at each call from the recorded numbers."""
    resamples: Count = 1000
    """Resamples of the bootstrap behind each interval."""
    seed: NonNegativeInt | None = None
    """Of the bootstrap."""

    @model_validator(mode="after")
    def _no_name_twice(self) -> Config:
        for key, components in (("metrics", self.metrics or ()), ("baselines", self.baselines)):
            names = [component.name() for component in components]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise explained(f"'{twice}' is there twice; results go by this name", at=key)
        return self


def needs(config: Config, pipeline: Pipeline) -> dict[str, Need]:
    """The checkpoint, the dataset under its own name, its other seeds, and what baselines need."""
    start = config.from_ or _default_start(pipeline)
    data = config.data or _default_data(start, pipeline)
    _check_baselines(config, data, pipeline)
    seeds = _seeds(start, pipeline)
    _check_gates(config, start, pipeline, has_seeds=bool(seeds))
    name = data.value if data.form == "name" else Path(data.value).name
    inputs = {"from": Need("checkpoint", start), f"data:{name}": Need("dataset", data)}
    inputs |= {f"seed:{seed}": Need("checkpoint", made=("finetune", one)) for seed, one in seeds}
    for baseline in config.baselines:
        inputs |= {f"{baseline.name()}:{label}": need for label, need in baseline.needs(pipeline).items()}
    return inputs


def raw(config: Config) -> list[tuple[str, Path]]:
    """No raw files: all inputs are artifacts."""
    del config
    return []


def run(config: Config, job: Job) -> dict[str, Any]:
    """Run the saved checkpoint and the baselines, score them, and write numbers, predictions and the report."""
    from bmtool.data.dataset import open_dataset
    from bmtool.data.evaluation import comparisons, evaluate_outputs
    from bmtool.data.seeds import study_seeds
    from bmtool.train.apply import run_checkpoint

    role = next(role for role in job.inputs if role.startswith("data:"))
    dataset = open_dataset(job.inputs[role].folder)
    checkpoint = job.inputs["from"].folder
    goal = _goal(checkpoint, dataset)
    split = _split(config, dataset)
    answers = run_checkpoint(checkpoint, goal, dataset[split], job)
    metrics: tuple[Metric, ...] = config.metrics or tuple(METRICS.load(name)() for name in goal.metrics)
    baselines = _baselines(config, job, goal, dataset, split, answers)
    evaluation = evaluate_outputs(
        answers.outputs,
        metrics,
        answers.labels,
        dataset=role.partition(":")[2],
        split=split,
        baselines=baselines,
        cut=answers.examples.cut,
        seed=job.seed,
        resamples=config.resamples,
    )
    by_seed = _by_seed(job, dataset, split, answers)
    if len(by_seed) > 1:
        evaluation = replace(evaluation, seeds=study_seeds(by_seed, metrics, answers.labels, baselines))
    compared = comparisons(evaluation, metrics[0])
    _write(config, job, goal, dataset[split].column("id"), answers, evaluation, compared)
    return {
        "datasets": {evaluation.dataset: evaluation.plain()},
        "metrics": [metric.name() for metric in metrics],
        "comparisons": [text for _, text in compared],
        "cut": evaluation.cut,
    }


def gates(config: Config, summary: dict[str, Any]) -> list[GateResult]:
    """Judge the recorded numbers."""
    return judge(config.gates, summary["datasets"])


def describe(summary: dict[str, Any]) -> list[str]:
    """Each metric with its interval, and how the model stands beside its baselines."""
    from bmtool.report.tables import counted

    lines = []
    for name, result in summary["datasets"].items():
        for metric in summary["metrics"]:
            score = result["metrics"][metric]
            lines.append(
                f"{name} {result['split']}: {metric} {score['value']:.3f} "
                f"({score['low']:.3f} to {score['high']:.3f}, n {score['n']:,})"
            )
        if "seeds" in result:
            lines += [
                f"{name} {result['split']}: {text}" for text in _seed_lines(result["seeds"], summary["metrics"][0])
            ]
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


def _default_start(pipeline: Pipeline) -> Reference:
    only_pretrained = pipeline.finetune is None and pipeline.pretrain is not None
    return Reference(form="name", value="pretrain" if only_pretrained else "finetune")


def _seeds(start: Reference, pipeline: Pipeline) -> list[tuple[int, Settings]]:
    """The other seeds of what is evaluated, if this file trains it with several."""
    if start != Reference(form="name", value="finetune") or pipeline.finetune is None:
        return []
    return list(pipeline.finetune.per_seed().items())[1:]


def _default_data(start: Reference, pipeline: Pipeline) -> Reference:
    section = getattr(pipeline, start.value, None) if start.form == "name" else None
    if section is None:
        raise ConfigError(
            f"{pipeline.file}: evaluate.data: say which dataset to evaluate on; this file has no section that trained "
            f"'{start}', from which it could be taken"
        )
    return cast("Reference", section.data)


def _check_baselines(config: Config, data: Reference, pipeline: Pipeline) -> None:
    """What can be known about the task from the same file, before anything is made."""
    prepared = pipeline.prepare.get(data.value) if data.form == "name" else None
    if prepared is None:
        return
    task = prepared.task
    for baseline in config.baselines:
        if task is None:
            raise ConfigError(f"{pipeline.file}: evaluate.baselines: a corpus has none; they answer tasks")
        if not baseline.can_do(task):
            raise ConfigError(f"{pipeline.file}: evaluate.baselines: {_unfit(baseline, task)}")


def _check_gates(config: Config, start: Reference, pipeline: Pipeline, *, has_seeds: bool) -> None:
    """A gate that asks for several seeds has them: said before anything is trained."""
    for gate in config.gates:
        if gate.seeds is not None and not has_seeds:
            raise ConfigError(
                f"{pipeline.file}: evaluate.gates: {gate.metric} asks for the {gate.seeds} of several seeds, and "
                f"'{start}' is one. Set finetune.seeds and evaluate what this file fine-tunes, or leave out seeds"
            )


def _unfit(baseline: Baseline, task: Task) -> str:
    answers = f" and gives {' or '.join(sorted(baseline.answers))}" if baseline.answers else ""
    needed, there = " and ".join(sorted(baseline.reads)) or "anything", " and ".join(sorted(set(task.columns.values())))
    return f"{baseline.name()} reads {needed}{answers}, and {task.name()} has {there}. Leave it out"


# ---------------------------------------------------------------- parts of a run


def _goal(checkpoint: Path, dataset: Dataset) -> Goal:
    """What the checkpoint was trained for.

    Raises:
        MissingInputError: nothing that can be evaluated, or not what the dataset is for.
    """
    from bmtool.data.labelled import task_of
    from bmtool.models.checkpoint import read_info

    info = read_info(checkpoint)
    if info["goal"] is None:
        raise MissingInputError(f"{checkpoint}: this checkpoint has no head to evaluate. Fine-tune it first")
    if info["goal_kind"] == "objective":
        goal = cast("Goal", Choose(OBJECTIVES)(info["goal"]))
        _check_tokenizer(checkpoint, dataset)
        return goal
    task = task_of(dataset)
    if task.name() != info["goal"]["type"]:
        raise MissingInputError(
            f"{checkpoint}: the checkpoint was trained for {info['goal']['type']}, "
            f"and {dataset.folder} is for {task.name()}"
        )
    return cast("Goal", Choose(TASKS)(info["goal"]))


def _check_tokenizer(checkpoint: Path, dataset: Dataset) -> None:
    """A corpus holds token ids: they must be those of the checkpoint's own tokenizer."""
    from bmtool.data.tokenizers import read_alike

    folder = dataset.tokenizer_folder
    if folder is None:
        raise MissingInputError(f"{dataset.folder}: a pre-trained model is evaluated on a corpus, and this is none")
    if not read_alike(folder, checkpoint):
        raise MissingInputError(
            f"{dataset.folder}: the corpus was encoded by another tokenizer than that of {checkpoint}. Prepare it with "
            f"tokenizer: {{from: {checkpoint}}}"
        )


def _split(config: Config, dataset: Dataset) -> str:
    """The split to evaluate; rows must be in it."""
    fallback = "validation" if dataset.task is None and "test" not in dataset.splits else "test"
    name = config.split or fallback
    if not dataset[name].num_rows:
        raise DataError(f"{dataset.folder}: the {name} split has no rows. Raise its share under 'split'")
    return name


def _by_seed(job: Job, dataset: Dataset, split: str, answers: Answers) -> dict[int, Columns]:
    """What each seed's model says about the rows; `answers` are the first one's."""
    from bmtool.train.apply import run_checkpoint

    others = [int(role.partition(":")[2]) for role in job.inputs if role.startswith("seed:")]
    outputs = {min(others) - 1: answers.outputs} if others else {}
    for seed in sorted(others):
        job.console.say(f"seed {seed}")
        folder = job.inputs[f"seed:{seed}"].folder
        own = _goal(folder, dataset)
        outputs[seed] = run_checkpoint(folder, own, dataset[split], job, labels=answers.labels).outputs
    return outputs


def _baselines(
    config: Config, job: Job, goal: Goal, dataset: Dataset, split: str, answers: Answers
) -> dict[str, Columns]:
    """What each baseline says about the rows that the model was asked about."""
    outputs = {}
    for baseline in config.baselines:
        if dataset.task is None:
            raise ConfigError("evaluate.baselines: a corpus has none; they answer tasks")
        task = cast("Task", goal)
        if not baseline.can_do(task):
            raise ConfigError(f"evaluate.baselines: {_unfit(baseline, task)}")
        job.console.say(f"baseline {baseline.name()}")
        said = baseline.predict(job, task, dataset, split, answers.labels)
        right = {name: answers.outputs[name] for name in ("references",) if name in answers.outputs}
        outputs[baseline.name()] = {**said, **right}
    return outputs


def _write(
    config: Config,
    job: Job,
    goal: Goal,
    ids: pa.ChunkedArray,
    answers: Answers,
    evaluation: Evaluation,
    compared: list[tuple[str, str]],
) -> None:
    """Write `metrics.json`, `labels.json`, `predictions/`, `summary.md` and `report.html`."""
    from bmtool.artifacts.files import write_json
    from bmtool.data.answers import predictions_table, write_predictions
    from bmtool.report.evaluation import write_evaluation
    from bmtool.train.apply import loss_curves

    datasets = {evaluation.dataset: evaluation.plain()}
    judged = judge(config.gates, datasets)
    write_json(job.folder / "metrics.json", {"datasets": datasets, "gates": [asdict(gate) for gate in judged]})
    if evaluation.labels:
        write_json(job.folder / "labels.json", {evaluation.dataset: evaluation.plain_labels()})
    table = predictions_table(ids, answers.outputs, answers.labels)
    write_predictions(job.folder / "predictions", table, job.fingerprint)
    write_evaluation(
        job.folder,
        evaluation,
        comparisons=compared,
        gates=judged,
        facts={
            "checkpoint": job.inputs["from"].folder.name,
            "goal": goal.name(),
            "dataset": evaluation.dataset,
            "split": evaluation.split,
            "seed of the bootstrap": str(job.seed),
        },
        curves=loss_curves(job.inputs["from"].folder),
    )

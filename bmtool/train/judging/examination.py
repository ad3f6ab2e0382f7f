"""What a checkpoint, its other seeds and baselines say about one dataset, put side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from bmtool.config.recorded import read_back
from bmtool.data.dataset import open_dataset
from bmtool.data.examples.labelled import task_of
from bmtool.data.scoring.evaluation import comparisons, evaluate_outputs
from bmtool.data.scoring.seeds import study_seeds
from bmtool.data.tokenizing.tokenizers import read_alike
from bmtool.errors import ConfigError, DataError, MissingInputError
from bmtool.models.decoding.writing import Writing
from bmtool.models.files.checkpoint import INFO, read_info
from bmtool.models.files.task_folders import task_folders
from bmtool.registry import METRICS, OBJECTIVES, TASKS
from bmtool.train.inference.apply import run_checkpoint
from bmtool.train.judging.other_studies import other_studies

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts import Columns, Goal, Job, Metric, Task
    from bmtool.data.dataset import Dataset
    from bmtool.data.scoring.evaluation import Evaluation
    from bmtool.stages.evaluate import Config
    from bmtool.train.inference.apply import Answers

#: What to do about a checkpoint whose goal this version doesn't know.
_OTHER_VERSION = "Train it again, or evaluate it with the version that made it"


@dataclass(frozen=True)
class Examination:
    """What was found on one dataset."""

    goal: Goal
    dataset: Dataset
    checkpoint: Path
    answers: Answers
    metrics: tuple[Metric, ...]
    evaluation: Evaluation
    compared: list[tuple[str, str]]
    """(tone, sentence) a baseline"""


def examine(config: Config, job: Job, name: str) -> Examination:
    """Let the checkpoint and the baselines answer the dataset that goes by `name`, and score them.

    Of a checkpoint of several tasks it is the one of this name.

    Raises:
        ConfigError: a metric or a baseline can't be had here.
        DataError: there are no rows, or labels that the checkpoint doesn't know.
        MissingInputError: the checkpoint wasn't trained for what the dataset is for, or there is no such split.
    """
    job = _as_seen_by(name, job)
    dataset = open_dataset(job.inputs[f"data:{name}"].folder)
    checkpoint = job.inputs["from"].folder
    goal = _goal(checkpoint, dataset)
    if _is_untuned(checkpoint, goal):
        job.console.say(
            f"{checkpoint} was tuned for no task: it is asked as it is for what '{name}' is for ({goal.name()})"
        )
    split = _split(config, dataset)
    answers = run_checkpoint(checkpoint, goal, dataset[split], job)
    metrics: tuple[Metric, ...] = config.metrics or tuple(METRICS.load(metric)() for metric in goal.metrics)
    baselines = _baselines(config, job, goal, dataset, split, answers)
    evaluation = evaluate_outputs(
        answers.outputs,
        metrics,
        answers.labels,
        dataset=name,
        split=split,
        baselines=baselines,
        cut=answers.examples.cut,
        seed=job.seed,
        resamples=config.resamples,
    )
    by_seed = _by_seed(job, dataset, split, answers)
    if len(by_seed) > 1:
        others = other_studies(job, name, split, metrics, by_seed)
        evaluation = replace(evaluation, seeds=study_seeds(by_seed, metrics, answers.labels, baselines, others))
    return Examination(goal, dataset, checkpoint, answers, metrics, evaluation, comparisons(evaluation, metrics))


def _as_seen_by(task: str, job: Job) -> Job:
    """The job with the folder of one task in place of each checkpoint of several.

    Raises:
        MissingInputError: the checkpoint that is evaluated has no such task.
    """

    def of_task(artifact: Artifact) -> Artifact:
        folders = task_folders(artifact.folder) if artifact.kind == "checkpoint" else {}
        if folders and task not in folders:
            one = next(iter(folders.values()))
            raise MissingInputError(
                f"{artifact.folder}: the checkpoint's tasks are {', '.join(folders)}, and the dataset is '{task}'. To "
                f"evaluate one of them on other data, name its folder: from: {one}/"
            )
        return replace(artifact, folder=folders[task]) if folders else artifact

    return replace(job, inputs={role: of_task(artifact) for role, artifact in job.inputs.items()})


def _goal(checkpoint: Path, dataset: Dataset) -> Goal:
    """What the checkpoint was trained for; of a foreign one without a task what the dataset asks to write.

    Raises:
        MissingInputError: nothing that can be evaluated, or not what the dataset is for.
    """
    info = read_info(checkpoint)
    asked = None if dataset.task is None else task_of(dataset)
    if info["goal_kind"] != "task" and _is_untuned(checkpoint, asked):
        return cast("Goal", asked)
    if info["goal"] is None:
        raise MissingInputError(f"{checkpoint}: this checkpoint has no head to evaluate. Fine-tune it first")
    if info["goal_kind"] == "objective":
        goal = cast("Goal", read_back(OBJECTIVES, info["goal"], checkpoint, _OTHER_VERSION))
        _check_tokenizer(checkpoint, dataset)
        return goal
    return _suited(checkpoint, cast("Task", read_back(TASKS, info["goal"], checkpoint, _OTHER_VERSION)), dataset)


def _suited(checkpoint: Path, trained: Task, dataset: Dataset) -> Task:
    """The task that a checkpoint was trained for, if it reads and answers what the dataset has.

    What a foreign checkpoint reads, such as pairs, isn't known, so that it is taken from the dataset.
    """
    task = task_of(dataset)
    is_foreign = not (checkpoint / INFO).is_file()
    if task.name() == trained.name():
        if is_foreign and task.answers == trained.answers:
            return task
        if task.columns == trained.columns:
            return trained
    ours, theirs = (_told(one, in_full=task.name() == trained.name()) for one in (trained, task))
    raise MissingInputError(
        f"{checkpoint}: the checkpoint was trained for {ours}, and {dataset.folder} is for {theirs}"
    )


def _told(task: Task, *, in_full: bool) -> str:
    return f"{task.name()} of {', '.join(task.columns)}" if in_full else task.name()


def _is_untuned(checkpoint: Path, goal: Goal | None) -> bool:
    """Whether a checkpoint that bmtool didn't train can be asked for it as it is: language models have all it takes."""
    return isinstance(goal, Writing) and not (checkpoint / INFO).is_file()


def _check_tokenizer(checkpoint: Path, dataset: Dataset) -> None:
    """A corpus holds token ids: they must be those of the checkpoint's own tokenizer."""
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
    """What each baseline says about the rows that the model was asked about; those that can't do the task are said."""
    outputs = {}
    several = sum(role.startswith("data:") for role in job.inputs) > 1
    for baseline in config.baselines:
        if dataset.task is None:
            raise ConfigError("evaluate.baselines: a corpus has none; they answer tasks")
        task = cast("Task", goal)
        why = baseline.unfit([task])
        if why and not several:
            raise ConfigError(f"evaluate.baselines: {why}")
        if why:
            job.console.say(f"baseline {baseline.name()} can't do {task.name()}, and stands beside other tasks only")
            continue
        job.console.say(f"baseline {baseline.name()}")
        said = baseline.predict(job, task, dataset, split, answers.labels)
        right = {name: answers.outputs[name] for name in ("references",) if name in answers.outputs}
        outputs[baseline.name()] = {**said, **right}
    return outputs

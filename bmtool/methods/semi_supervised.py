"""Learn from texts without labels, too: from what the model answers about them once it has learned the labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, PositiveInt

from bmtool.config.model import HOW
from bmtool.config.references import Ref
from bmtool.config.units import Share
from bmtool.contracts import DocumentTask, Method, Need, WrappedGoal
from bmtool.errors import ConfigError, DataError, did_you_mean
from bmtool.methods.supervised import Supervised

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from bmtool.contracts import Batch, Examples, Job, Task
    from bmtool.runner.pipeline import Pipeline
    from bmtool.train.phases import Pass, Phase

#: So far apart are the seeds of a training's teachers: those of the next of several seeds are others.
_SEED_STEP = 1000


class SemiSupervised(Method):
    """Teachers, trained on the labels alone, answer each unlabelled text once; the surest answers are learned as well.

    The student starts where they did, and has to answer with tokens hidden what they answered seeing all (Xie et al.
    2020, "Self-training with noisy student"). Answers are probabilities, the mean of the teachers'.
    """

    unlabelled: Annotated[Ref | None, HOW] = None
    """A dataset with a column `text`, whose train split is read; by default the corpus of the pretrain section. Best
    are texts of the kind that has labels: others get labels, too."""
    max_texts: PositiveInt = 20_000
    """At most so many of its texts, drawn by the seed."""
    teachers: PositiveInt = 3
    """How many are trained, with seeds of their own: where they agree, they are right more often than one is sure."""
    keep: Annotated[Share, Field(gt=0, le=1)] = 0.5
    """Of the texts that got the same label this share is learned from, the surest; of a label that is given too often,
    by the shares of labels among the labelled rows, less."""
    share: Annotated[Share, Field(gt=0, lt=1)] = 0.8
    """Of the tokens of an epoch so many are of unlabelled texts, drawn anew each time; the rest are all labelled rows.
    So an epoch takes 1 / (1 - share) times as long."""
    noise: Annotated[Share, Field(ge=0, lt=1)] = 0.15
    """This share of the tokens of unlabelled texts is hidden from the student."""

    def needs(self, pipeline: Pipeline, section: Any) -> dict[str, Need]:
        """The texts, and a checkpoint for each teacher: this section, supervised; the first is the one of its seed."""
        unlabelled = self.unlabelled or getattr(pipeline.pretrain, "data", None)
        if unlabelled is None:
            raise ConfigError(
                f"{pipeline.file}: finetune.method: semi_supervised reads texts without labels, and there is no "
                f"pretrain section whose corpus it could take. Name one: {{type: semi_supervised, unlabelled: NAME}}"
            )
        if unlabelled.form == "name" and pipeline.prepare and unlabelled.value not in pipeline.prepare:
            hint = did_you_mean(unlabelled.value, pipeline.prepare)
            raise ConfigError(
                f"{pipeline.file}: finetune.method: there is no dataset '{unlabelled}' under 'prepare'.{hint} "
                f"A path needs a slash: './{unlabelled}'"
            )
        seeds = [(section.seed or 0) + _SEED_STEP * number for number in range(self.teachers)]
        sections = [section.model_copy(update={"method": Supervised(), "seed": seed}) for seed in seeds]
        made = {f"teacher:{one.seed}": Need("checkpoint", made=("finetune", one)) for one in sections}
        return {"unlabelled": Need("dataset", unlabelled), **made}

    def unfit(self, task: Task) -> str:
        """Each text must have one label, so that they can be balanced, and be one text, as in a corpus."""
        if not isinstance(task, DocumentTask) or not task.of_kind("label"):
            return f"needs a task with one label a text, and {task.name()} has none, or several"
        if len(task.of_kind("text")) > 1:
            return "reads single texts, and this task has pairs of them"
        return ""

    def phases(self, phase: Phase, model: PreTrainedModel, job: Job) -> list[Phase]:
        """The same phase, with unlabelled texts and what the teachers say of them among the rows."""
        import numpy as np

        from bmtool.data.dataset import open_dataset
        from bmtool.data.examples.unlabelled import draw_texts, most_confident
        from bmtool.train.jobs.self_training import joined_with, mean_answers
        from bmtool.train.order.mixture import Mixture

        del model
        task, folder = cast("DocumentTask", phase.goal), job.inputs["unlabelled"].folder
        labelled, labels = open_dataset(job.inputs["data"].folder), phase.train.labels
        texts, ledger = draw_texts(open_dataset(folder)["train"], labelled, max_texts=self.max_texts, seed=job.seed)
        teachers = [one.folder for role, one in sorted(job.inputs.items()) if role.startswith("teacher:")]
        probabilities = mean_answers(teachers, task, texts, job) if len(texts) else np.zeros((0, len(labels)))
        shares = np.bincount(phase.train.columns["references"], minlength=len(labels)) / len(phase.train)
        rows = most_confident(probabilities, shares, self.keep)
        taken = np.bincount(probabilities[rows].argmax(axis=1), minlength=len(labels))
        counts = {"texts": ledger.rows_in, "dropped": ledger.dropped, "answered": len(texts), "learned": len(rows)}
        by_label = dict(zip(labels, taken.tolist(), strict=True))
        job.console.say(_told(counts, by_label))
        if not len(rows):
            raise DataError(f"{folder}: no text is left to learn from: {_told(counts, {})}")
        train = joined_with(phase.train, texts.take(rows), probabilities[rows], task, phase.training, teachers[0])
        if train.cut["texts_cut"]:
            cut = f"{train.cut['texts_cut']:,} texts cut, {train.cut['tokens_cut']:,} tokens cut"
            job.console.say(f"unlabelled: {cut} at max_seq_length {phase.training.max_seq_length}")
        return [
            replace(
                phase,
                goal=_SelfTrained(goal=task, noise=self.noise),
                train=train,
                mixture=Mixture((len(phase.train), len(rows)), (self.share,)),
                counts={"unlabelled": counts | {"learned_by_label": by_label, "cut": dict(train.cut)}},
            )
        ]

    def foreseen(self, phase: Phase, model: PreTrainedModel, job: Job) -> tuple[list[Phase], list[Pass]]:
        """Each teacher reads each text once; the student's epochs are as long whichever of the texts are learned from.

        The teachers' own trainings are no part of this: they are inputs.
        """
        import numpy as np

        from bmtool.data.dataset import open_dataset
        from bmtool.data.examples.unlabelled import draw_texts
        from bmtool.data.tokenizing.tokenizers import load_tokenizer
        from bmtool.models.files.inference import Rows
        from bmtool.train.jobs.finetuning import tokenizer_folder
        from bmtool.train.jobs.self_training import joined_with
        from bmtool.train.order.mixture import Mixture
        from bmtool.train.phases import Pass

        task, labels, folder = cast("DocumentTask", phase.goal), phase.train.labels, tokenizer_folder(job)
        corpus, labelled = open_dataset(job.inputs["unlabelled"].folder), open_dataset(job.inputs["data"].folder)
        texts, _ = draw_texts(corpus["train"], labelled, max_texts=self.max_texts, seed=job.seed)
        if not len(texts):
            return [phase], []
        read = task.examples(Rows(texts, ()), load_tokenizer(folder), phase.training.max_seq_length)
        likely = np.full((len(texts), len(labels)), 1 / len(labels))
        train = joined_with(phase.train, texts, likely, task, phase.training, folder)
        mixture = Mixture((len(phase.train), len(texts)), (self.share,))
        student = replace(phase, goal=_SelfTrained(goal=task, noise=self.noise), train=train, mixture=mixture)
        return [student], [Pass(model, task, read, len(labels))] * self.teachers


class _SelfTrained(WrappedGoal):
    """A task some of whose examples have no label, but `answers` (N, C) of teachers, as logits; `has_label` (N,)."""

    auto_class = "AutoModelForSequenceClassification"

    noise: float

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """The task's batch, with tokens hidden where there is no label, and the teachers' answers."""
        import torch

        from bmtool.models.families.batches import documents_at, text_positions
        from bmtool.models.goals.noise import hidden

        has_label = examples.columns["has_label"][rows]
        batch, places = self.goal.collate(examples, rows, rng), text_positions(examples, rows)
        places = places[~has_label[documents_at(batch, places)]]
        batch = hidden(batch, places, self.noise, next(iter(examples.special_ids.values()), None), rng)
        answers = torch.from_numpy(examples.columns["answers"][rows])
        targets = {**batch.targets, "answers": answers, "has_label": torch.from_numpy(has_label)}
        return replace(batch, targets=targets, counts={"self_training": len(rows)})

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The task's own loss where there is a label, elsewhere the distance to the teachers' answers, in one term."""
        import torch

        from bmtool.models.families.packed import document_logits

        task, has_label = cast("DocumentTask", self.goal), batch.targets["has_label"]
        logits = document_logits(model, batch)
        labelled = replace(batch, targets={"labels": batch.targets["labels"][has_label]})
        own = torch.stack(list(task.losses_of(logits[has_label], labelled).values())).sum()
        distance = task.divergence(logits[~has_label], batch.targets["answers"][~has_label], 1.0)
        return {"self_training": own + distance}


def _told(counts: dict[str, Any], by_label: dict[str, int]) -> str:
    """`of 31,321 texts without labels 4,011 are learned from (...)`."""
    lost = ", ".join(f"{count:,} {reason}" for reason, count in counts["dropped"].items())
    unsure = counts["answered"] - counts["learned"]
    labels = ", ".join(f"{label} {count:,}" for label, count in by_label.items())
    return (
        f"of {counts['texts']:,} texts without labels {counts['learned']:,} are learned from (left out: {lost}, "
        f"{unsure:,} less sure){': ' if labels else ''}{labels}"
    )

"""Turn raw rows into a dataset: collect, clean, filter, deduplicate, split, and for a corpus train a tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bmtool.config.model import HOW, Settings, explained
from bmtool.contracts import GateResult, Need, OneCleaner, OneFilter, OneTask
from bmtool.data.settings import Limits, OneSource, OneTokenizer, Sample, Split, TokenizerFrom, as_list

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

    from bmtool.contracts import Job, TokenizerTrainer
    from bmtool.data.collect import Collected, Rules
    from bmtool.runner.pipeline import Pipeline

VERSION = 1
VERSION_COUNTS = True
KIND = "dataset"

#: Columns that every dataset has, whatever it was made from.
OWN_COLUMNS = ("id", "input_ids")


class Config(Settings):
    """One dataset under `prepare`. Without `task` it is a corpus: documents, a tokenizer and token ids."""

    task: OneTask | None = None
    sources: Annotated[tuple[OneSource, ...], BeforeValidator(as_list), Field(min_length=1)]
    columns: dict[str, str] = {}
    """Our name: theirs. Names that the task doesn't know are kept too, for grouping and slices."""
    clean: Annotated[tuple[OneCleaner, ...], BeforeValidator(as_list)] = ()
    filters: Annotated[tuple[OneFilter, ...], BeforeValidator(as_list)] = ()
    deduplicate: Annotated[tuple[Literal["exact"], ...], BeforeValidator(as_list)] = ()
    split: Split = Split()
    sample: Sample | None = None
    tokenizer: OneTokenizer | None = None
    """For a corpus: a component, or `{from: FOLDER}`; wordpiece by default."""
    limits: Annotated[Limits, HOW] = Limits()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @field_validator("columns", mode="after")
    @classmethod
    def _own_names(cls, columns: dict[str, str]) -> dict[str, str]:
        for name in OWN_COLUMNS:
            if name in columns:
                raise explained(f"'{name}' is a column that bmtool makes itself; give yours another name", at=name)
        return columns

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        if self.task is not None and self.tokenizer is not None:
            text = "a dataset with a task has no tokenizer of its own: the model brings it. Remove this line"
            raise explained(text, at="tokenizer")
        if self.sample is not None and "label" not in self.kinds().values():
            raise explained("'sample' draws rows of each label: it needs a task with one label a row", at="sample")
        group = self.split.group
        if group in OWN_COLUMNS or (group and self.kinds()[group] in {"words", "tags"}):
            raise explained(f"rows can't be grouped by '{group}': name a column with one value a row", at="split")
        if self.task is None and self.tokenizer_trainer() and self.split.validation + self.split.test >= 1:
            raise explained("the split leaves no train rows for the tokenizer to learn from", at="split")
        return self

    def kinds(self) -> dict[str, str]:
        """Every column and its kind: what the task reads, and what is kept besides."""
        kinds = {"text": "text"} if self.task is None else dict(self.task.columns)
        for columns in (self.columns, *(source.columns or {} for source in self.sources)):
            kinds |= {name: "extra" for name in columns if name not in kinds}
        if self.split.group is not None and kinds.get(self.split.group, "extra") == "extra":
            kinds[self.split.group] = "group"
        return kinds

    def tokenizer_trainer(self) -> TokenizerTrainer | None:
        """What learns the vocabulary of a corpus; None where it is taken from a folder, or not needed."""
        if self.task is not None or isinstance(self.tokenizer, TokenizerFrom):
            return None
        from bmtool.tokenizers.wordpiece import Wordpiece

        return self.tokenizer or Wordpiece()


def needs(config: Config, pipeline: Pipeline) -> dict[str, Need]:
    """Raw files only."""
    del config, pipeline
    return {}


def raw(config: Config) -> list[tuple[str, Path]]:
    """The sources' files, each with its source's number in front if there are several; the tokenizer taken over."""
    files: list[tuple[str, Path]] = []
    for index, source in enumerate(config.sources):
        prefix = f"{index}/" if len(config.sources) > 1 else ""
        files += [(f"{prefix}{name}", path) for name, path in source.files()]
    if isinstance(config.tokenizer, TokenizerFrom):
        files += config.tokenizer.files()
    return files


def run(config: Config, job: Job) -> dict[str, Any]:
    """Collect, clean, filter, deduplicate and split rows; then write them, a corpus with token ids."""
    from bmtool.data.collect import collect
    from bmtool.data.publish import draw, publish
    from bmtool.data.summary import say_rejected, write_report

    rules = _rules(config, job)
    collected = collect(rules, job)
    say_rejected(collected, job.console)
    drawn = draw(rules, collected, config.sample.per_label(), seed=config.sample.seed) if config.sample else {}
    tokenizer = _tokenizer(config, collected, job) if config.task is None else None
    published = publish(rules, collected, job, masks=drawn, tokenizer=tokenizer)
    return write_report(config.task, collected, published, job)


def gates(config: Config, summary: dict[str, Any]) -> list[GateResult]:
    """The limits, judged on what was recorded."""
    results = []
    ledger, limits = summary["ledger"], config.limits
    if limits.max_rejected is not None:
        share = summary["rejected"] / max(ledger["rows_in"], 1)
        text = f"{summary['rejected']:,} of {ledger['rows_in']:,} rows rejected ({share:.2%})"
        text += f", at most {limits.max_rejected:.2%} allowed"
        results.append(GateResult("max_rejected", share <= limits.max_rejected, text))
    if limits.min_rows is not None:
        text = f"{ledger['rows_out']:,} rows, at least {limits.min_rows:,} wanted"
        results.append(GateResult("min_rows", ledger["rows_out"] >= limits.min_rows, text))
    return results


def describe(summary: dict[str, Any]) -> list[str]:
    """Rows in and out and why, then the splits."""
    from bmtool.data.summary import describe_lines

    return describe_lines(summary)


def _rules(config: Config, job: Job) -> Rules:
    from bmtool.data.collect import Rules

    return Rules(
        sources=config.sources,
        columns=config.columns,
        kinds=config.kinds(),
        cleaners=config.clean,
        filters=config.filters,
        is_deduplicated="exact" in config.deduplicate,
        labels=config.task.labels if config.task is not None else None,
        group=config.split.group,
        validation=config.split.validation,
        test=config.split.test,
        seed=job.seed,
    )


def _tokenizer(config: Config, collected: Collected, job: Job) -> Tokenizer:
    """Train the corpus's tokenizer, or take one over; kept in `tokenizer/`."""
    from bmtool.artifacts.faults import fault
    from bmtool.data.publish import SampledTexts
    from bmtool.data.tokenizers import copy_tokenizer, is_saved, load_tokenizer, save_tokenizer

    folder = job.folder / "tokenizer"
    trainer = config.tokenizer_trainer()
    if isinstance(config.tokenizer, TokenizerFrom):
        copy_tokenizer(config.tokenizer.path(), folder)
    elif trainer is not None and not is_saved(folder):
        job.console.say(f"training the tokenizer ({trainer.name()})")
        save_tokenizer(folder, trainer.train(SampledTexts(collected, "text")), trainer)
    fault("prepare:tokenizer")
    return load_tokenizer(folder)

"""Turn raw rows into a dataset: collect, clean, filter, deduplicate, split, and for a corpus train a tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt, SerializeAsAny, model_validator

from bmtool.config.model import HOW, Choose, Component, Settings, chosen, explained, validate
from bmtool.config.references import Ref
from bmtool.config.units import Count, Ratio
from bmtool.contracts import GateResult, Need, Source, TokenizerTrainer
from bmtool.registry import CLEANERS, FILTERS, SOURCES, TASKS, TOKENIZERS

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.contracts import Job
    from bmtool.data.collect import Collected, Rules
    from bmtool.data.publish import Written
    from bmtool.runner.pipeline import Pipeline
    from tokenizers import Tokenizer

VERSION = 1
VERSION_COUNTS = True
KIND = "dataset"

#: Columns that every dataset has, whatever it was made from.
OWN_COLUMNS = ("id", "input_ids")


class ChooseSource(Choose):
    """Reads `data/*.csv`, `docstrings`, `{path: ...}` or `{type: ..., ...}`: the type follows from the ending."""

    def mapping(self, value: Any) -> Any:
        """The long form, with `type`."""
        if isinstance(value, str):
            return {"type": value} if value in self.kind.names() else self.mapping({"path": value})
        if isinstance(value, dict) and "type" not in value:
            paths = value.get("path")
            first = paths[0] if isinstance(paths, list) and paths else paths
            found = self._by_ending(first) if isinstance(first, str) else None
            return {"type": found, **value} if found else value
        return value

    def _by_ending(self, path: str) -> str | None:
        return next((name for ending, name in self._endings().items() if path.lower().endswith(ending)), None)

    def _endings(self) -> dict[str, str]:
        return {ending: name for name in self.kind.names() for ending in self.kind.load(name).suffixes}

    def _misshapen(self, value: Any) -> str:
        if isinstance(value, str):
            return (
                f"'{value}' has no known ending ({', '.join(self._endings())}) and is no source "
                f"({', '.join(self.kind.names())}). Say what it is: {{type: jsonl, path: {value}}}"
            )
        return "expected a path, the name of a source, or a mapping with 'type' and its settings"


class TokenizerFrom(Settings):
    """The tokenizer of a checkpoint or of another corpus, taken as it is."""

    folder: Annotated[Ref, HOW] = Field(alias="from")

    @model_validator(mode="after")
    def _is_a_path(self) -> TokenizerFrom:
        if self.folder.form != "path":
            raise explained(f"'{self.folder}' is no path. Give the folder that holds tokenizer.json, with a slash")
        return self

    def path(self) -> Path:
        """The folder that holds tokenizer.json: the one named, or its `tokenizer/`."""
        from pathlib import Path

        from bmtool.config.variables import expand

        folder = Path(expand(self.folder.value))
        inner = folder / "tokenizer"
        return inner if not (folder / "tokenizer.json").exists() and inner.is_dir() else folder

    def files(self) -> list[tuple[str, Path]]:
        """What is taken over."""
        from bmtool.data.tokenizers import tokenizer_files

        return tokenizer_files(self.path())


class ChooseTokenizer(Choose):
    """Reads `{from: FOLDER}` besides what every component is read from."""

    def component(self, value: Any) -> Any:
        """The class that `value` chooses."""
        return TokenizerFrom if self._is_from(value) else super().component(value)

    def __call__(self, value: Any) -> Any:
        """Validate one YAML value."""
        if isinstance(value, TokenizerFrom):
            return value
        return validate(TokenizerFrom, value) if self._is_from(value) else super().__call__(value)

    @staticmethod
    def _is_from(value: Any) -> bool:
        return isinstance(value, dict) and "from" in value and "type" not in value


def _as_list(value: Any) -> Any:
    """One value where a list may stand; a tuple, as what follows is strict about types."""
    if isinstance(value, str | dict | Component):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


_choose_source = ChooseSource(SOURCES)
_choose_tokenizer = ChooseTokenizer(TOKENIZERS)
OneSource = Annotated[SerializeAsAny[Component], BeforeValidator(_choose_source), _choose_source]
OneTokenizer = Annotated[SerializeAsAny[Settings], BeforeValidator(_choose_tokenizer), _choose_tokenizer]


class Split(Settings):
    """How rows are shared out, by a hash of the row's id or of a column's value. What is left is `train`."""

    validation: Ratio = 0.0
    test: Ratio = 0.0
    group: str | None = None
    """Rows with the same value in this column stay together."""

    @model_validator(mode="after")
    def _leaves_no_less_than_nothing(self) -> Split:
        if self.validation + self.test > 1:
            raise explained(f"validation ({self.validation:g}) and test ({self.test:g}) are more than 1 together")
        return self


class Sample(Settings):
    """Draw a few rows of each label: those with the smallest ids."""

    train_per_label: PositiveInt | None = None
    test_per_label: PositiveInt | None = None
    seed: NonNegativeInt | None = None
    """Draws other train rows; test rows stay."""

    @model_validator(mode="after")
    def _draws_something(self) -> Sample:
        if self.train_per_label is None and self.test_per_label is None:
            raise explained("set train_per_label, test_per_label or both")
        return self


class Limits(Settings):
    """Gates on the data: exit 3 when they aren't met. The dataset is kept, for a look at it."""

    max_rejected: Ratio | None = None
    """Share of rows that could not be read"""
    min_rows: Count | None = None


class Config(Settings):
    """One dataset under `prepare`. Without `task` it is a corpus: documents, a tokenizer and token ids."""

    task: chosen(TASKS) | None = None  # type: ignore[valid-type]
    sources: Annotated[tuple[OneSource, ...], BeforeValidator(_as_list), Field(min_length=1)]
    columns: dict[str, str] = {}
    """Our name: theirs. Names that the task doesn't know are kept too, for grouping and slices."""
    clean: Annotated[tuple[chosen(CLEANERS), ...], BeforeValidator(_as_list)] = ()  # type: ignore[valid-type]
    filters: Annotated[tuple[chosen(FILTERS), ...], BeforeValidator(_as_list)] = ()  # type: ignore[valid-type]
    deduplicate: Annotated[tuple[Literal["exact"], ...], BeforeValidator(_as_list)] = ()
    split: Split = Split()
    sample: Sample | None = None
    tokenizer: OneTokenizer | None = None
    """For a corpus: a component, or `{from: FOLDER}`; wordpiece by default."""
    limits: Annotated[Limits, HOW] = Limits()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        if self.task is not None and self.tokenizer is not None:
            raise explained(
                "a dataset with a task has no tokenizer of its own: the model brings it. Remove 'tokenizer'"
            )
        if self.sample is not None and "label" not in self.kinds().values():
            raise explained("'sample' draws rows of each label: it needs a task with one label a row")
        for name in self.kinds():
            if name in OWN_COLUMNS:
                raise explained(f"'{name}' is a column that bmtool makes itself; give yours another name")
        if self.task is None and self.tokenizer_trainer() and self.split.validation + self.split.test >= 1:
            raise explained("the split leaves no train rows for the tokenizer to learn from")
        return self

    def kinds(self) -> dict[str, str]:
        """Every column and its kind: what the task reads, and what is kept besides."""
        kinds = {"text": "text"} if self.task is None else dict(self.task.columns)
        for columns in (self.columns, *(_source(source).columns or {} for source in self.sources)):
            kinds |= {name: "extra" for name in columns if name not in kinds}
        if self.split.group is not None and kinds.get(self.split.group, "extra") == "extra":
            kinds[self.split.group] = "group"
        return kinds

    def tokenizer_trainer(self) -> TokenizerTrainer | None:
        """What learns the vocabulary of a corpus; None where it is taken from a folder, or not needed."""
        if self.task is not None or isinstance(self.tokenizer, TokenizerFrom):
            return None
        from bmtool.tokenizers.wordpiece import Wordpiece

        return self.tokenizer if isinstance(self.tokenizer, TokenizerTrainer) else Wordpiece()


def needs(config: Config, pipeline: Pipeline) -> dict[str, Need]:
    """Raw files only."""
    del config, pipeline
    return {}


def raw(config: Config) -> list[tuple[str, Path]]:
    """The sources' files, each with its source's number in front if there are several; the tokenizer taken over."""
    files: list[tuple[str, Path]] = []
    for index, source in enumerate(config.sources):
        prefix = f"{index}/" if len(config.sources) > 1 else ""
        files += [(f"{prefix}{name}", path) for name, path in _source(source).files()]
    if isinstance(config.tokenizer, TokenizerFrom):
        files += config.tokenizer.files()
    return files


def run(config: Config, job: Job) -> dict[str, Any]:
    """Collect, clean, filter, deduplicate and split rows; then write them, a corpus with token ids."""
    from bmtool.data.collect import collect
    from bmtool.data.publish import Publisher, draw, find_labels

    rules = _rules(config, job)
    collected = collect(rules, job)
    _say_rejected(collected, job)
    masks = {}
    if config.sample is not None:
        wanted = {"train": config.sample.train_per_label, "test": config.sample.test_per_label}
        masks = draw(rules, collected, wanted, config.sample.seed)
    tokenizer = _tokenizer(config, collected, job) if config.task is None else None
    publisher = Publisher(rules, collected, job, masks, (), tokenizer)
    counts = publisher.label_counts()
    labels = find_labels(rules, counts)
    written = Publisher(rules, collected, job, masks, labels, tokenizer).write()
    return _report(config, job, collected, written, labels=labels, tokenizer=tokenizer, counts=counts)


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
    ledger = summary["ledger"]
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in ledger["dropped"].items() if count)
    dropped = f" (dropped: {reasons})" if reasons else ""
    splits = ", ".join(f"{name} {rows:,}" for name, rows in summary["splits"].items())
    lines = [f"{ledger['rows_in']:,} rows in, {ledger['rows_out']:,} out{dropped}", f"splits: {splits}"]
    if summary["labels"]:
        shown = ", ".join(summary["labels"][:12]) + (", ..." if len(summary["labels"]) > 12 else "")
        lines.append(f"{len(summary['labels'])} labels: {shown}")
    if summary["vocab_size"]:
        lines.append(f"{sum(summary['tokens'].values()):,} tokens, vocabulary {summary['vocab_size']:,}")
    return lines


def _source(component: Component) -> Source:
    if not isinstance(component, Source):
        raise AssertionError(f"{component!r} is no source")
    return component


def _rules(config: Config, job: Job) -> Rules:
    from bmtool.data.collect import Rules

    return Rules(
        sources=[_source(source) for source in config.sources],
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


def _say_rejected(collected: Collected, job: Job) -> None:
    rejected = sum(collected.rejected_by_reason.values())
    if rejected:
        files = collected.rejected_by_file
        shown = ", ".join(list(files)[:5]) + (", ..." if len(files) > 5 else "")
        job.console.say(
            f"{rejected:,} of {collected.ledger.rows_in:,} rows could not be read (in {shown}); "
            "rejected.jsonl says which and why"
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


def _report(
    config: Config,
    job: Job,
    collected: Collected,
    written: dict[str, Written],
    *,
    labels: tuple[str, ...],
    tokenizer: Tokenizer | None,
    counts: dict[str, Any],
) -> dict[str, Any]:
    """Write report.json; the summary."""
    from dataclasses import asdict

    from bmtool.artifacts.files import write_json
    from bmtool.data.publish import NO_TOKENS

    ledger = collected.ledger
    without_tokens = sum(one.without_tokens for one in written.values())
    if tokenizer is not None:
        ledger.drop(NO_TOKENS, without_tokens)
        ledger.rows_out -= without_tokens
    ledger.check()
    if ledger.rows_out != sum(one.rows for one in written.values()):
        raise AssertionError(f"the ledger says {ledger.rows_out} rows, the splits hold another number")
    summary: dict[str, Any] = {
        "task": config.task.model_dump(mode="json") if config.task is not None else None,
        "splits": {name: one.rows for name, one in written.items()},
        "ledger": asdict(ledger),
        "rejected": sum(collected.rejected_by_reason.values()),
        "labels": list(labels),
        "tokens": {name: one.tokens or 0 for name, one in written.items()} if tokenizer is not None else {},
        "text_bytes": {name: one.text_bytes for name, one in written.items()},
        "vocab_size": tokenizer.get_vocab_size() if tokenizer is not None else None,
    }
    label_counts = {name: {label: one[label] for label in labels} for name, one in counts.items() if labels}
    _warn(summary, label_counts, job)
    write_json(
        job.folder / "report.json",
        {
            **summary,
            "label_counts": label_counts,
            "lengths": {name: one.length_summary() for name, one in written.items()},
            "length_unit": "tokens" if tokenizer is not None else "bytes",
            "funnel": _funnel(summary, collected.rejected_by_reason),
        },
    )
    return summary


def _funnel(summary: dict[str, Any], unreadable: dict[str, int]) -> list[dict[str, Any]]:
    """Rows left after each step, in order."""
    left = summary["ledger"]["rows_in"]
    steps = [{"step": "read", "rows": left}, {"step": "readable", "rows": left - summary["rejected"]}]
    left -= summary["rejected"]
    for reason, count in summary["ledger"]["dropped"].items():
        if reason not in unreadable:
            left -= count
            steps.append({"step": reason, "rows": left})
    return steps


def _warn(summary: dict[str, Any], label_counts: dict[str, dict[str, int]], job: Job) -> None:
    for split, rows in summary["splits"].items():
        if not rows:
            job.console.warn(f"the {split} split is empty: {summary['ledger']['rows_out']:,} rows are too few for it")
    missing = [label for label, count in label_counts.get("train", {}).items() if not count]
    if missing:
        job.console.warn(f"no train row has the label {', '.join(missing[:5])}: a model can't learn it")

"""Turn raw rows into a dataset: collect, clean, filter, scrub, deduplicate, split, for a corpus train a tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bmtool.config.model import HOW, LISTED, Settings, Written, explained
from bmtool.config.references import Ref
from bmtool.config.smoke import SMOKE_ROWS, SMOKE_SPLIT
from bmtool.config.units import Seed
from bmtool.contracts import GateResult, Need, OneCleaner, OneDeduplicator, OneFilter, OneScrubber, OneTask
from bmtool.contracts.kinds import NESTED
from bmtool.data.passes.presets import PRESETS, settings_of
from bmtool.data.readers.chosen import OneSource
from bmtool.data.settings import KeyFile as ScrubKey
from bmtool.data.settings import Limits, Sample, Split, joined_as_tuples
from bmtool.data.tokenizing.tokenizer_settings import OneTokenizer, TokenizerFrom
from bmtool.deduplicators.exact import Exact
from bmtool.deduplicators.near import Near

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bmtool.console import Console
    from bmtool.contracts import Job, TokenizerTrainer
    from bmtool.data.passes.units import RowRules
    from bmtool.runner.pipeline import Pipeline

VERSION = 7
VERSION_COUNTS = True
KIND = "dataset"

#: Columns that every dataset has, whatever it was made from.
OWN_COLUMNS = ("id", "input_ids")


def _is_own(column: str) -> bool:
    """Whether bmtool makes it: what is kept of rows on the way begins with `#`."""
    return column in OWN_COLUMNS or column.startswith("#")


class Config(Settings):
    """One dataset under `prepare`. Without `task` it is a corpus: documents, a tokenizer and token ids."""

    task: OneTask | None = None
    sources: Annotated[tuple[OneSource, ...], LISTED, Field(min_length=1)]
    columns: Annotated[dict[str, str | tuple[str, ...]], BeforeValidator(joined_as_tuples)] = {}
    """Our name: theirs, or a list of theirs to be joined. Names that the task doesn't know are kept too."""
    preset: Annotated[Literal["web", "docs", "code"], HOW] | None = None
    """Lists of `clean`, `filters` and `scrub` that suit a kind of text; a list that is given replaces the preset's.
    `bmtool list presets` shows them."""
    clean: Annotated[tuple[OneCleaner, ...], LISTED] = ()
    filters: Annotated[tuple[OneFilter, ...], LISTED] = ()
    scrub: Annotated[tuple[OneScrubber, ...], LISTED] = ()
    """What is taken out as private: email, phone, ..."""
    scrub_key: Annotated[ScrubKey, HOW, Written(str | ScrubKey)] | None = None
    """A file with at least 32 secret bytes, for pseudonyms."""
    deduplicate: Annotated[tuple[OneDeduplicator, ...], LISTED] = ()
    decontaminate: Annotated[tuple[Ref, ...], LISTED, HOW] = ()
    """Labelled datasets whose test rows must not be in this one."""
    split: Split = Split()
    sample: Sample | None = None
    tokenizer: OneTokenizer | None = None
    """For a corpus: a component, or `{from: ...}`, with more tokens by `add_tokens`; wordpiece by default."""
    limits: Annotated[Limits, HOW] = Limits()
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        preset = values.get("preset") if isinstance(values, dict) else None
        return {**settings_of(preset), **values} if isinstance(preset, str) and preset in PRESETS else values

    @field_validator("columns", mode="after")
    @classmethod
    def _own_names(cls, columns: dict[str, str]) -> dict[str, str]:
        for name in filter(_is_own, columns):
            raise explained(f"'{name}' is a column that bmtool makes itself; give yours another name", at=name)
        return columns

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        taken = next((name for source in self.sources for name in source.columns or {} if _is_own(name)), None)
        if taken is not None:
            raise explained(f"'{taken}' is a column that bmtool makes itself; give yours another name", at="sources")
        if self.task is not None and self.tokenizer is not None:
            text = "a dataset with a task has no tokenizer of its own: the model brings it. Remove this line"
            raise explained(text, at="tokenizer")
        if self.sample is not None and "label" not in self.kinds().values():
            raise explained("'sample' draws rows of each label: it needs a task with one label a row", at="sample")
        group = self.split.group or self.split.time
        how = "grouped" if self.split.group else "ordered"
        if group in OWN_COLUMNS:
            own = "bmtool makes this column itself, another value for each row"
            advice = f"If the data has one, call it something else, as in columns: {{source_{group}: {group}}}"
            raise explained(f"rows can't be {how} by '{group}': {own}. {advice}", at="split")
        if group and self.kinds()[group] in NESTED:
            raise explained(f"rows can't be {how} by '{group}': name a column with one value a row", at="split")
        if self.split.stratify is not None and self.kinds().get(self.split.stratify) != "label":
            raise explained(f"'{self.split.stratify}' is no label of the task", at="split")
        pseudonyms = [one.name() for one in self.scrub if one.replace == "pseudonym"]
        if pseudonyms and self.scrub_key is None:
            raise explained(f"pseudonyms ({', '.join(pseudonyms)}) need a secret key: set scrub_key", at="scrub")
        if self.scrub_key is not None and not pseudonyms:
            raise explained("has an effect only with a scrubber that makes pseudonyms. Remove it", at="scrub_key")
        if len({one.name() for one in self.deduplicate}) < len(self.deduplicate):
            raise explained("names the same way twice", at="deduplicate")
        if self.task is None and self.tokenizer_trainer() and self.split.validation + self.split.test >= 1:
            raise explained("the split leaves no train rows for the tokenizer to learn from", at="split")
        return self

    def in_little(self) -> Self:
        """Splits that hold some of a few rows, and need no row of every label."""
        shares = {
            name: max(share, SMOKE_SPLIT) for name in ("validation", "test") if (share := getattr(self.split, name))
        }
        if sum(shares.values()) >= 1:
            shares = {}
        return self.model_copy(update={"split": self.split.model_copy(update={**shares, "stratify": None})})

    def kinds(self) -> dict[str, str]:
        """Every column and its kind: what the task reads, and what is kept besides."""
        kinds = {"text": "text"} if self.task is None else dict(self.task.columns)
        for columns in (self.columns, *(source.columns or {} for source in self.sources)):
            kinds |= {name: "extra" for name in columns if name not in kinds}
        for name in (self.split.group, self.split.time):
            if name is not None and kinds.get(name, "extra") == "extra":
                kinds[name] = "group"
        return kinds

    @property
    def near(self) -> Near | None:
        """How similar rows are looked for, if they are."""
        return next((one for one in self.deduplicate if isinstance(one, Near)), None)

    @property
    def is_exact(self) -> bool:
        """Whether exact copies go. Similar ones include them, and finding them first is cheaper."""
        return any(isinstance(one, Exact | Near) for one in self.deduplicate)

    @property
    def taken_tokenizer(self) -> TokenizerFrom | None:
        """The tokenizer that is taken from elsewhere, if one is."""
        return self.tokenizer if isinstance(self.tokenizer, TokenizerFrom) else None

    def fetch(self, console: Console) -> None:
        """Bring here what isn't on this disk, and say so; nothing else in this stage uses the network."""
        for one in (*self.sources, self.taken_tokenizer):
            if one is not None:
                one.fetch(console)

    def revisions(self) -> dict[str, str]:
        """The commits that names on the hub mean."""
        parts = (*self.sources, self.taken_tokenizer)
        return {name: commit for one in parts if one is not None for name, commit in one.revisions().items()}

    def tokenizer_trainer(self) -> TokenizerTrainer | None:
        """What learns the vocabulary of a corpus; None where it is taken from a folder, or not needed."""
        if self.task is not None or isinstance(self.tokenizer, TokenizerFrom):
            return None
        from bmtool.tokenizers.wordpiece import Wordpiece

        return self.tokenizer or Wordpiece()


def needs(config: Config, pipeline: Pipeline) -> dict[str, Need]:
    """Datasets whose test rows must not be here, earlier ones whose rows must not come again, one with a tokenizer."""
    del pipeline
    # By number: what a role is called is part of the fingerprint, and a path must not be.
    needed = {
        f"decontaminate:{index}": Need("dataset", one, splits=("test",), asked_by=("decontaminate", index))
        for index, one in enumerate(config.decontaminate)
    }
    earlier = config.near.against if config.near else ()
    needed |= {f"against:{index}": Need("dataset", one) for index, one in enumerate(earlier)}
    taken = config.taken_tokenizer
    if taken is not None and taken.source.form == "name":
        needed["tokenizer"] = Need("dataset", taken.source)
    return needed


def raw(config: Config) -> list[tuple[str, Path]]:
    """The sources' files, each with its source's number in front if there are several; other files that are read."""
    files: list[tuple[str, Path]] = []
    for index, source in enumerate(config.sources):
        prefix = f"{index}/" if len(config.sources) > 1 else ""
        files += [(f"{prefix}{name}", path) for name, path in source.files()]
    return files + _other_files(config)


def _other_files(config: Config) -> list[tuple[str, Path]]:
    files = [
        (f"filters/{index}/{name}", path) for index, one in enumerate(config.filters) for name, path in one.files()
    ]
    if config.scrub_key is not None:
        files.append(("scrub_key", config.scrub_key.path()))
    if config.taken_tokenizer is not None:
        files += config.taken_tokenizer.files()
    return files


def run(config: Config, job: Job) -> dict[str, Any]:
    """Collect, clean, filter, scrub, deduplicate and split rows; then write them, a corpus with token ids."""
    from bmtool.data.lean import loading
    from bmtool.data.passes.libraries import load_libraries, load_passes
    from bmtool.data.passes.workers import sharing_workers, summon

    with sharing_workers(load_libraries):
        if _is_all_to_do(job):
            summon(job.runtime.workers, sum(source.num_bytes() for source in config.sources))
        with loading():
            load_passes()
        return _prepare(config, job)


def _is_all_to_do(job: Job) -> bool:
    """Whether nothing is kept of any source, so that there is work for all workers."""
    is_first = job.cache is None or not (job.cache / "rows").exists()
    return (is_first or job.is_fresh) and not job.is_smoke


def _prepare(config: Config, job: Job) -> dict[str, Any]:
    from bmtool.data.passes.collect import check_rows, collect
    from bmtool.data.passes.decide_all import decide_all
    from bmtool.data.passes.draft import Draft
    from bmtool.data.passes.encode_pass import encoded_by
    from bmtool.data.passes.publish import publish
    from bmtool.data.passes.similar_pass import SimilarTask, find_overlap
    from bmtool.data.passes.summary import say_rejected, write_report
    from bmtool.data.passes.tokenized import with_tokens
    from bmtool.data.passes.workers import run_beside
    from bmtool.report.dataset import write_dataset_report

    rules = row_rules(config, job.raw, max_rows=-(-SMOKE_ROWS // len(config.sources)) if job.is_smoke else None)
    collected = collect(rules, job)
    check_rows(collected)
    say_rejected(collected, job.console)
    decisions = decide_all(config, rules, collected, job)
    draft = Draft(rules, collected, decisions, job)
    overlap = None
    if rules.is_sketched:
        compared = SimilarTask(config.near, collected.units, decisions, rules, job)
        overlap = run_beside(find_overlap, compared, stop=job.stop)
    if config.task is None:
        draft = with_tokens(config, draft)
    split = config.split
    published = publish(draft, split.names(), stratify=split.stratify, has_sketches=config.near is not None)
    if overlap is not None:
        decisions.facts["overlap"], notes = overlap.result()
        decisions.notes += notes
    summary, report = write_report(config.task, draft, published)
    write_dataset_report(job.folder, report, f"Dataset {job.fingerprint[:12]}")
    revisions = config.revisions()
    if draft.tokens:
        summary["environment"]["encoded_by"] = encoded_by(draft.tokens)
    return summary | ({"revisions": revisions} if revisions else {})


def gates(config: Config, summary: dict[str, Any]) -> list[GateResult]:
    """The limits, judged on what was recorded."""
    from bmtool.data.passes.limits import judge_limits

    return judge_limits(config.limits, summary)


def describe(summary: dict[str, Any]) -> list[str]:
    """Rows in and out and why, then the splits."""
    from bmtool.data.passes.described import describe_lines

    return describe_lines(summary)


def row_rules(config: Config, raw: Mapping[str, str], *, max_rows: int | None = None) -> RowRules:
    """What is done to each row; `raw` holds the sha256 of raw files by name."""
    from bmtool.data.passes.units import RowRules

    other = [name for name, _ in _other_files(config) if not name.startswith("tokenizer/") and name != "scrub_key"]
    has_splits = config.split.validation + config.split.test > 0
    return RowRules(
        sources=config.sources,
        columns=config.columns,
        kinds=config.kinds(),
        cleaners=config.clean,
        filters=config.filters,
        scrubbers=config.scrub,
        scrub_key=config.scrub_key.read() if config.scrub_key is not None else None,
        labels=config.task.labels if config.task is not None else None,
        is_hashed=config.is_exact,
        is_sketched=config.near is not None or has_splits,
        extra={name: raw.get(name, "") for name in other},
        max_rows=max_rows,
    )

"""`bmtool init`: look at a file or folder of rows and write a configuration that runs as it is."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bmtool.artifacts.files import write_text
from bmtool.commands.init.guess import GUESSED, Guess, group_of, guess
from bmtool.commands.init.look import Found, csv_settings, declared, find, json_advice
from bmtool.commands.init.page import Sizes, export, sections
from bmtool.commands.init.sizes import finetune_budget, max_seq_length, pretrain_budget, vocab_size
from bmtool.commands.init.tasks import CLASSIFICATION, match, match_for
from bmtool.commands.init.told import told
from bmtool.console import json_text
from bmtool.errors import ConfigError, DataError

if TYPE_CHECKING:
    from bmtool.commands.init.columns import Column
    from bmtool.commands.init.tasks import Match
    from bmtool.console import Console

#: Words that YAML or a reader could take for something else, written in quotes.
_PLAIN = re.compile(r"[^\W\d][\w./-]*(?:\*[\w./-]*)?")
_RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def init(
    source: Path,
    *,
    task: str | None = None,
    columns: Mapping[str, str] | None = None,
    force: bool = False,
    as_json: bool = False,
    console: Console,
) -> int:
    """Write `<stem>.yaml` into the current folder, print its path, say on stderr what was guessed and why; `columns`
    are those that needn't be guessed, the file's by ours.

    Raises:
        MissingInputError: nothing readable is there.
        ConfigError: the configuration exists already, the files' format isn't known, or it isn't clear for which task
            they are.
        DataError: no column holds text.
    """
    found = find(source)
    target = Path(f"{found.stem}.yaml")
    if target.exists() and not force:
        raise ConfigError(f"{target} exists already. Move it away, or use --force to write it again")
    given = told(found.columns, columns or {}, task)
    chosen = match(found.columns, task, given)
    page, reasons, read = _for_guess(found, source, task, given) if chosen is None else _for_task(found, chosen, given)
    rows = round(found.rows_seen * found.scale)
    about = "" if found.is_whole else "about "
    console.say(f"{source}: {about}{rows:,} rows, columns {', '.join(found.columns)}")
    if found.unread.reasons:
        looked = "" if found.is_whole else f" of the first {found.rows_seen + found.unread.reasons.total():,}"
        console.warn(f"{found.unread.reasons.total():,} more rows{looked} can't be read: {found.unread}")
    delimiter = declared(found.tables[0])
    if delimiter is not None:
        console.say(f"{json.dumps(delimiter)} stands between its columns: the configuration says so, as predict must")
    for reason in reasons:
        console.say(reason)
    for name in found.names_among_values():
        console.warn(
            f"'{name}' is the name of a column and one of its values. If the first line holds no names, write one "
            "above it, such as text,label; if lines with names come again further down, remove them"
        )
    if rows < 200:
        console.warn(f"{rows} rows are few: a tenth of them is the test split, and its numbers will say little")
    write_text(target, page)
    document = {"command": "init", "exit_code": 0, "results": [{"file": str(target), "rows": rows, **read}]}
    print(json_text(document) if as_json else target)  # noqa: T201  # the result
    console.say(f"next: bmtool run {shlex.quote(str(target))}")
    return 0


#: What is to be written, why, and our columns with theirs.
_Plan = tuple[str, Sequence[str], dict[str, str | None]]


def _for_task(found: Found, chosen: Match, given: Mapping[str, Column]) -> _Plan:
    """The plan for a task and the columns that it reads."""
    texts, reasons = chosen.texts, list(chosen.reasons)
    others = [column for column in found.columns.values() if column not in chosen.columns.values()]
    group = given.get("group") or group_of(others, found.rows_seen)
    if group is None and texts and all(column.texts for column in texts):
        group = min(texts, key=lambda column: len(column.values))
    if group is not None:
        reasons.append(f"rows with the same '{group.name}' stay in one split")
    score = next((column for column in others if column.has_fractions), None)
    if score is not None and "number" not in chosen.task.columns.values():
        reasons.append(f"if '{score.name}' is what is to be learned: --column score={score.name}")
    for column in chosen.columns.values():
        if column.separator is not None:
            reasons.append(f"{json.dumps(column.separator)} stands between the members of '{column.name}'")
        if column.has_decimal_comma:
            reasons.append(f"'{column.name}' has decimal commas")
    if not texts:
        reasons.append(
            "words in lists teach no tokenizer: put an encoder's checkpoint into ./encoder/, or change 'from'"
        )
    tokens = max(round(_tokens_read(texts or list(chosen.columns.values())) * found.scale), 1)
    longest = [max_seq_length(column) for column in texts if column.texts] or [256]
    sizes = Sizes(
        max_seq_length=min(sum(longest) if chosen.task.layouts[0] == "encoder" else max(longest), 256),
        vocab_size=vocab_size(max(texts, key=lambda column: column.chars), tokens) if texts else 0,
        pretraining=pretrain_budget(tokens),
        finetuning=finetune_budget(tokens),
    )
    about = (
        f"# Written by `bmtool init` for {chosen.task.name()}. Run it with `bmtool run`; `bmtool list` shows the rest."
    )
    head = [about, "version: 1", f"name: {_name(found.stem)}"]
    sources = _sources(found, csv_settings(found, chosen.columns.values()))
    lines = [*head, *sections(chosen, sources, group.name if group else None, sizes, _word)]
    columns = {ours: theirs.name for ours, theirs in chosen.columns.items()}
    return "\n".join(lines) + "\n", reasons, {"task": chosen.task.name(), **columns}


def _tokens_read(columns: Sequence[Column]) -> int:
    """Of texts together; of lists of words and of their tags as many as the longer ones have."""
    return sum(column.tokens for column in columns) or max(column.nested_tokens for column in columns)


def _for_guess(found: Found, source: Path, task: str | None, given: Mapping[str, Column]) -> _Plan:
    """The plan for a label of a text, a number or a list of labels, whatever their columns are called."""
    strange = next((ours for ours in given if ours not in GUESSED), None)
    if strange is not None:
        asked = ", ".join(f"{ours}={theirs.name}" for ours, theirs in given.items())
        raise ConfigError(
            f"--column {strange}={given[strange].name}: no task reads just {asked} of the columns "
            f"{', '.join(found.columns)}. Say with --task which one, and with more of --column what else it reads"
        )
    chosen = guess(found.columns, found.rows_seen, given)
    if chosen is None:
        names = ", ".join(found.columns) or "none"
        how = json_advice(Path(found.tables[0].name))
        raise DataError(f"{source}: no column holds text. The columns are: {names}{how and f'. {how}'}")
    if chosen.label is None and task is not None:
        raise ConfigError(f"--task {task}: {chosen.reasons[1]}")
    if chosen.label is not None and chosen.ours != "label" and (task is None or chosen.ours == "labels"):
        read = {"text": chosen.text, chosen.ours: chosen.label}
        is_guess = chosen.ours == "score" and "score" not in given
        hint = [f"if the numbers are labels: --task {CLASSIFICATION['type']}"] if is_guess else []
        return _for_task(found, match_for(chosen.settings, read, [*chosen.reasons[:2], *hint]), given)
    columns = {"text": chosen.text, "label": chosen.label, "group": chosen.group}
    return render(found, chosen), chosen.reasons, {name: one.name if one else None for name, one in columns.items()}


# ---------------------------------------------------------------- writing


def render(found: Found, chosen: Guess) -> str:
    """The configuration: at most 15 lines, every key with the name the documentation uses."""
    about = f"text in {_word(chosen.text.name)}"
    about += f", label in {_word(chosen.label.name)}" if chosen.label else "; no labels, so nothing is fine-tuned"
    lines = [
        f"# Written by `bmtool init`: {about}. Run it with `bmtool run`; `bmtool list` shows what else there is.",
        "version: 1",
        f"name: {_name(found.stem)}",
        "prepare:",
        *_datasets(found, chosen),
        *_training(found, chosen),
    ]
    if chosen.label is None:
        return "\n".join([*lines, "evaluate: {split: test}"]) + "\n"
    lines.append("evaluate: {baselines: [majority, tfidf]}  # and, say, gates: [{metric: accuracy, min: 0.8}]")
    return "\n".join([*lines, *export()]) + "\n"


def _datasets(found: Found, chosen: Guess) -> list[str]:
    """All texts as a corpus, and the labelled rows.

    Both share out rows by the same column and ratios, so that a text that is tested is in neither's train split.
    """
    sources, text = _sources(found, csv_settings(found, ())), f"text: {_word(chosen.text.name)}"
    group = _word(chosen.group.name) if chosen.group else "text"
    shared = "clean: [unicode, whitespace], deduplicate: [exact],\n"
    shared += f"     split: {{validation: 0.1, test: 0.1, group: {group}}}"
    vocabulary = f"tokenizer: {{type: wordpiece, vocab_size: {vocab_size(chosen.text, _tokens(found, chosen))}}}"
    lines = [
        "  corpus:  # the texts alone, to pre-train on",
        f"    {{sources: {sources}, columns: {{{text}}}, {shared}, {vocabulary}}}",
    ]
    if chosen.label is not None:
        columns = f"{{{text}, label: {_word(chosen.label.name)}}}"
        why = "with labels; equal splits, so that no test text is pre-trained on"
        lines += [
            f"  {_dataset_name(chosen.label.name)}:  # {why}",
            f"    {{task: text_classification, sources: {sources}, columns: {columns}, {shared}}}",
        ]
    return lines


def _training(found: Found, chosen: Guess) -> list[str]:
    tokens = _tokens(found, chosen)
    length = max_seq_length(chosen.text)
    budget = pretrain_budget(tokens)
    model = "model: {architecture: bert, size: tiny}, objective: mlm"
    common = f"max_seq_length: {length}"
    lines = [f"pretrain: {{data: corpus, {model}, {common}, max_tokens: {budget}}}"]
    if chosen.label is not None:
        data = f"data: {_dataset_name(chosen.label.name)}, {common}, {finetune_budget(tokens)}"
        best = "metric_for_best_model: f1_macro, early_stopping_patience: 5"
        lines.append(f"finetune: {{{data}, head_learning_rate: 2e-3, {best}}}")
    return lines


def _tokens(found: Found, chosen: Guess) -> int:
    return max(round(chosen.text.tokens * found.scale), 1)


def _sources(found: Found, settings: Mapping[str, str]) -> str:
    path = _word(found.pattern)
    more = "".join(f", {name}: {json.dumps(value)}" for name, value in settings.items())
    return f"{{type: csv, path: {path}{more}}}" if more else path


def _word(text: str) -> str:
    """`text` as a YAML value inside a flow mapping, quoted where it could be taken for something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    return json.dumps(text, ensure_ascii=False)


def _name(stem: str) -> str:
    """The file's name as a name of results: small letters, digits, `_` and `-`."""
    return _word(re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("_-")[:64] or "reviews")


def _dataset_name(label: str) -> str:
    name = re.sub(r"[^a-z0-9_-]+", "_", label.lower()).strip("_-")[:64]
    return name if name and name != "corpus" and not name.isdigit() and name not in _RESERVED else "labelled"

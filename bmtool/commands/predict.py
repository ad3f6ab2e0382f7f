"""`bmtool predict`: a model's answer for each row of a file, beside the row's own columns."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from bmtool.commands.table import Row, open_table
from bmtool.commands.writers import open_writer
from bmtool.console import json_text, silence
from bmtool.data.readers.advice import advice
from bmtool.data.readers.delimiters import other_delimiter, refused
from bmtool.data.readers.nested import joined_value, names_in, names_of
from bmtool.errors import ConfigError, DataError
from bmtool.report.tables import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from bmtool.commands.table import Table
    from bmtool.commands.writers import Writer
    from bmtool.console import Console
    from bmtool.models.files.inference import Predictor

#: Rows that are read, packed into batches and answered together: enough of them that batches hardly have a gap.
WINDOW_ROWS = 2048

#: So many rows that couldn't be read are named one by one.
SHOWN_ROWS = 5


@dataclass
class Count:
    """Every row that came in: `rows_in` = `rows_answered` + the sum of `bad`."""

    rows_in: int = 0
    rows_answered: int = 0
    rows_out: int = 0
    """Rows written; rows that could be read and not answered are among them, with a null and the reason."""
    bad: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)


def predict(
    model: Path,
    source: str,
    *,
    task: str = "",
    delimiter: str | None = None,
    output: Path | None = None,
    columns: Mapping[str, str] | None = None,
    batch_tokens: int | None = None,
    as_json: bool = False,
    console: Console,
) -> int:
    """Answer each row of `source`, in order; `columns` maps the task's column to the file's, as `{"text": "body"}`.

    Of several tasks that a model has, `task` says which one; `delimiter` what separates the fields of a CSV file.

    Raises:
        ConfigError: the flags contradict each other.
        DataError: no row could be answered, or the column to read isn't there.
    """
    if as_json and output is None:
        raise ConfigError("--json prints a summary, and the rows would go to standard output too: give --output FILE")
    if delimiter is not None and (why := refused(delimiter)):
        raise ConfigError(f"--delimiter: {why}")
    table = open_table(source, delimiter=delimiter)
    if table.format == "lines":
        console.say(f"{table.name}: each line is taken for a text (CSV is read from files only)")
    if output is not None and table.path is not None and output.resolve() == table.path.resolve():
        raise ConfigError(f"--output {output}: this is the input. Give another name")
    from bmtool.models.files.inference import BATCH_TOKENS
    from bmtool.models.files.opening import load

    predictor = load(model, task=task, batch_tokens=batch_tokens or BATCH_TOKENS)
    if table.format != "csv":
        predictor = replace(predictor, list_separator=None)  # a text is cut at white space
    count = Count()
    try:
        with open_writer(output, _schema(table, predictor)) as writer, console.progress("predict") as progress:
            for answered in _windows(table, predictor, dict(columns or {}), writer, count, console):
                progress.advance(answered)
    except BrokenPipeError:
        silence(sys.stdout)  # whoever read the rows has seen enough, as in `| head`
        return 0
    _finish(count, table, output, predictor, as_json=as_json, console=console)
    return 0


def _finish(
    count: Count, table: Table, output: Path | None, predictor: Predictor, *, as_json: bool, console: Console
) -> None:
    """Check the count, say it, print the result; no answer at all is an error."""
    if count.rows_in != count.rows_answered + count.bad.total():
        raise AssertionError(f"the count doesn't balance: {count}")
    _tell(count, output, predictor, console)
    if as_json:
        print(json_text(_document(count, output, predictor)))  # noqa: T201  # the result
    elif output is not None:
        print(output)  # noqa: T201  # the result
    if count.rows_in and not count.rows_answered:
        hint = advice(count.bad)
        why = _reasons(count.bad) + (f". {hint}" if hint else "")
        raise DataError(f"{table.name}: none of {count.rows_in:,} rows could be answered: {why}")


def _windows(
    table: Table,
    predictor: Predictor,
    columns: dict[str, str],
    writer: Writer,
    count: Count,
    console: Console,
) -> Iterator[int]:
    """Answer and write one window after the other; gives the number of rows of each."""
    unknown = [name for name in columns if name not in predictor.task.columns]
    if unknown:
        raise ConfigError(f"--column {unknown[0]}=...: the task reads {', '.join(predictor.task.columns)}")
    read = _read_columns(table, (), predictor, columns) if table.columns else {}  # a header is known before its rows
    rows = table.rows()
    while window := list(islice(rows, WINDOW_ROWS)):
        places = [count.rows_in + place for place, row in enumerate(window) if row.values is not None]
        good = [row for row in window if row.values is not None]
        for row in window:
            if row.values is None:
                count.bad[row.reason] += 1
                if count.bad.total() <= SHOWN_ROWS:
                    console.say(f"{table.name}:{row.line}: {row.reason}; the row is left out")
        count.rows_in += len(window)
        if good:
            read = read or _read_columns(table, good, predictor, columns)
            written = _answers(good, places, read, predictor, count)
            writer.write(written)
            count.rows_out += len(written)
        yield len(window)


def _read_columns(
    table: Table, rows: Sequence[Row], predictor: Predictor, columns: dict[str, str]
) -> dict[str, list[str]]:
    """Our columns, and the file's to read for each, several where texts were joined; of JSON some rows say which there
    are."""
    within = (
        names_of(table.schema) if table.schema is not None else chain(*(names_in(row.values or {}) for row in rows))
    )
    known = {*table.columns, *within}
    return {ours: _named(table, known, predictor, ours, columns.get(ours)) for ours in predictor.inputs}


def _named(table: Table, names: Collection[str], predictor: Predictor, ours: str, told: str | None) -> list[str]:
    """The file's columns to read: as told, as the training data called them, as we call it."""
    takes_text = predictor.inputs[ours] in {"words", "messages"} or (
        table.format == "lines" and len(predictor.inputs) == 1
    )
    called = predictor.columns.get(ours, ours)
    trained = called if isinstance(called, list) else [called]
    wanted = [[told]] if told else [trained, [ours], *([["text"]] if takes_text else [])]
    for one in wanted:
        if all(name in names for name in one):
            return one
    if table.format == "csv" and (other := other_delimiter(table.columns)) is not None:
        shown = r"$'\t'" if other == "\t" else f"'{other}'"
        raise DataError(
            f"{table.name}:1: the header has one column only, and {shown} in it. If that stands between columns, say "
            f"so: --delimiter {shown}"
        )
    known = ", ".join(table.columns)
    missing = " and no column ".join(f"'{name}'" for name in dict.fromkeys(chain(*wanted)) if name not in names)
    raise DataError(
        f"{table.name}: there is no column {missing}. Its columns are: {known}. Say which one: --column {ours}=NAME"
    )


def _answers(
    rows: list[Row], places: list[int], read: Mapping[str, list[str]], predictor: Predictor, count: Count
) -> list[dict[str, Any]]:
    """The rows with what the model says of each, or why it says nothing."""
    from bmtool.models.files.inference import NO_TEXT

    inputs, answered, reasons = [], [], []
    for row, place in zip(rows, places, strict=True):
        values = {
            ours: _listed(joined_value(row.values or {}, theirs), ours, predictor) for ours, theirs in read.items()
        }
        given = predictor.as_row(values)
        reason = NO_TEXT if None in values.values() else predictor.fault(given)
        reasons.append(reason)
        if given is not None and not reason:
            inputs.append(given)
            answered.append(place)
    answers, cut = predictor.answers(inputs, answered)
    count.cut.update(cut)
    count.bad.update(reason for reason in reasons if reason)
    count.rows_answered += len(inputs)
    nothing = dict.fromkeys(predictor.output_columns)
    ready = iter(answers)
    written = []
    for row, reason in zip(rows, reasons, strict=True):
        answer = nothing if reason else next(ready)
        ours = {**answer, "model": predictor.fingerprint, "error": reason or None}
        written.append(_beside(row.values or {}, ours) | ours)
    return written


def _listed(value: Any, ours: str, predictor: Predictor) -> Any:
    """A field of CSV as the words that the training data's separator divides it into; else the value as it is."""
    separator = predictor.list_separator
    if separator is None or predictor.inputs[ours] != "words" or not isinstance(value, str):
        return value
    return [word for part in value.split(separator) if (word := part.strip(" \t"))]


def _schema(table: Table, predictor: Predictor) -> Any:
    """The types of the input's columns, where they are known, by the names that these have in the output."""
    if table.schema is None:
        return None
    import pyarrow as pa

    ours = dict.fromkeys((*predictor.output_columns, "model", "error"))
    named = _beside({field.name: field for field in table.schema}, ours)
    return pa.schema([field.with_name(name) for name, field in named.items()])


def _beside(values: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The row's own columns; one whose name is taken, such as `label`, is kept as `input_label`."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        free = name
        while free in ours or (free != name and free in values):
            free = f"input_{free}"
        kept[free] = value
    return kept


def _tell(count: Count, output: Path | None, predictor: Predictor, console: Console) -> None:
    line = f"{count.rows_in:,} rows, {count.rows_answered:,} answered by {predictor.fingerprint[:12]}"
    if count.bad:
        line += f"; {_reasons(count.bad)}"
    others = {name: count.cut[name] for name in ("questions_cut", "messages_cut", "answers_cut")}
    if count.cut.get("texts_cut"):
        line += f"; {count.cut['texts_cut']:,} texts were cut at {predictor.max_seq_length} tokens"
    line += "".join(f"; {text}" for text in counted(others))
    console.say(line + (f" ({output})" if output else ""))


def _reasons(bad: Counter[str]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in bad.most_common())


def _document(count: Count, output: Path | None, predictor: Predictor) -> dict[str, Any]:
    code = DataError.exit_code if count.rows_in and not count.rows_answered else 0
    result = {
        "artifact": str(output),
        "fingerprint": predictor.fingerprint,
        "rows_in": count.rows_in,
        "rows_answered": count.rows_answered,
        "rows_out": count.rows_out,
        "bad": dict(count.bad),
        "cut": dict(count.cut),
    }
    return {"command": "predict", "exit_code": code, "results": [result]}

"""What an evaluation shows: `summary.md` for a terminal and CI, `report.html` for a person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bmtool.artifacts.files import write_text
from bmtool.report.blocks import Figure, Note, Number, Numbers, Section, Table
from bmtool.report.page import write_report
from bmtool.report.plots import Interval, Line, confusion_matrix, interval_chart, line_chart
from bmtool.report.tables import counted, markdown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bmtool.contracts import GateResult
    from bmtool.data.scoring.evaluation import Evaluation
    from bmtool.report.blocks import Block, Cell

#: More labels than this make a matrix that nobody can read; `labels.json` has it all the same.
MAX_MATRIX_LABELS = 40


@dataclass(frozen=True)
class Told:
    """What was measured on a dataset, and what is said beside it."""

    evaluation: Evaluation
    comparisons: Sequence[tuple[str, str]]
    """(tone, sentence) a baseline"""
    facts: Mapping[str, str]
    curves: Mapping[str, Sequence[tuple[float, float]]]
    """The losses of training by name: (step, value) each"""

    @property
    def title(self) -> str:
        """`reviews, test`."""
        return f"{self.evaluation.dataset}, {self.evaluation.split}"

    @property
    def all_facts(self) -> dict[str, str]:
        """The facts, and what has to be said beside a number."""
        of_metrics = self.evaluation.details.items()
        return {
            **self.facts,
            **{f"{metric}, {what}": text for metric, said in of_metrics for what, text in said.items()},
        }


def write_evaluation(folder: Path, told: Sequence[Told], gates: Sequence[GateResult]) -> None:
    """Write `summary.md` and `report.html` into `folder`, of one dataset or of several."""
    if len(told) == 1:
        title, facts, rows = told[0].title, told[0].all_facts, f"{told[0].evaluation.n:,} rows"
        sections = _sections(told[0], gates)
        summaries = [_summary(told[0], gates)]
    else:
        title = " and ".join(one.evaluation.dataset for one in told)
        facts = {name: value for name, value in told[0].facts.items() if all(one.facts[name] == value for one in told)}
        rows = ", ".join(f"{one.title}: {one.evaluation.n:,} rows" for one in told)
        sections = [Section("Gates", _verdicts((), gates))] if gates else []
        sections += [
            replace(part, title=f"{one.evaluation.dataset}: {part.title}") for one in told for part in _sections(one)
        ]
        verdicts = "\n".join(f"- {gate.verdict}" for gate in gates)
        summaries = [*([f"# Gates\n\n{verdicts}\n"] if gates else []), *map(_summary, told)]
    write_text(folder / "summary.md", "\n".join(summaries))
    subtitle = f"{rows}; intervals are 95 % percentile bootstrap intervals over rows."
    write_report(folder / "report.html", title=title, facts=facts, sections=sections, subtitle=subtitle)


def _sections(told: Told, gates: Sequence[GateResult] = ()) -> list[Section]:
    evaluation = told.evaluation
    result = [
        _headline(evaluation),
        *_verdicts(told.comparisons, gates),
        _scores(evaluation),
        *_seeds(evaluation),
        *_chart(evaluation),
    ]
    return [Section("Result", result), *_labels(evaluation), *_training(told.curves), *_ledger(evaluation)]


def _summary(told: Told, gates: Sequence[GateResult] = ()) -> str:
    evaluation = told.evaluation
    lines = [f"- {sentence}" for _, sentence in told.comparisons]
    lines += [f"- {gate.verdict}" for gate in gates]
    lines += [f"- {text}" for text in counted(evaluation.cut)]
    parts = [
        f"# {told.title}\n",
        markdown(_scores(evaluation)),
        *map(markdown, _seeds(evaluation)),
        *(["\n".join(lines) + "\n"] if lines else []),
    ]
    if evaluation.labels:
        parts.append("## Labels\n\n" + markdown(_label_table(evaluation)))
    facts = [[name, value] for name, value in told.all_facts.items()]
    parts.append("## What was evaluated\n\n" + markdown(Table(["", "value"], facts)))
    return "\n".join(parts)


def _headline(evaluation: Evaluation) -> Numbers:
    numbers = [
        Number(name, f"{score.value:.3f}", f"{score.low:.3f} to {score.high:.3f}, n {score.n:,}")
        for name, score in list(evaluation.metrics.items())[:4]
    ]
    return Numbers(numbers)


def _verdicts(comparisons: Sequence[tuple[str, str]], gates: Sequence[GateResult]) -> list[Block]:
    notes = [
        Note(sentence, "good" if tone == "good" else "bad" if tone == "bad" else "warning")
        for tone, sentence in comparisons
    ]
    return [*notes, *(Note(gate.verdict, "good" if gate.passed else "bad") for gate in gates)]


def _scores(evaluation: Evaluation) -> Table:
    """The model and its baselines, a metric a row: value (low to high); and the difference to each baseline."""
    columns = ["metric", "model", "95 % low", "95 % high", "n"]
    for baseline in evaluation.baselines:
        columns += [baseline, f"model minus {baseline}"]
    rows: list[list[Cell]] = []
    for name, score in evaluation.metrics.items():
        row: list[Cell] = [name, score.value, score.low, score.high, score.n]
        for baseline, scores in evaluation.baselines.items():
            if name in scores:
                difference = evaluation.differences[baseline][name]
                row += [
                    scores[name].value,
                    f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})",
                ]
            else:
                row += [None, None]
        rows.append(row)
    return Table(columns, rows)


def _seeds(evaluation: Evaluation) -> list[Table]:
    """A metric a row: mean and spread over seeds, and the differences to the baselines."""
    study = evaluation.seeds
    if study is None:
        return []
    columns = ["metric", f"mean of {len(study.seeds)} seeds", "95 % low", "95 % high", "standard deviation", "by seed"]
    columns += [f"minus {baseline}" for baseline in study.differences]
    rows: list[list[Cell]] = []
    for name, spread in study.metrics.items():
        values = ", ".join(f"{value:.3f}" for value in spread.values)
        row: list[Cell] = [name, spread.mean, spread.low, spread.high, spread.standard_deviation, values]
        for differences in study.differences.values():
            one = differences.get(name)
            row.append(None if one is None else f"{one.mean:+.4f} ({one.low:+.4f} to {one.high:+.4f})")
        rows.append(row)
    return [Table(columns, rows)]


def _chart(evaluation: Evaluation) -> list[Block]:
    if not evaluation.baselines:
        return []
    main, score = next(iter(evaluation.metrics.items()))
    items = [Interval("model", score.value, score.low, score.high, strong=True)]
    items += [
        Interval(baseline, scores[main].value, scores[main].low, scores[main].high)
        for baseline, scores in evaluation.baselines.items()
        if main in scores
    ]
    return [Figure(interval_chart(items, x_label=main), f"{main} of the model and its baselines")]


def _labels(evaluation: Evaluation) -> list[Section]:
    if not evaluation.labels:
        return []
    names = [label.name for label in evaluation.labels]
    blocks: list[Block] = [_label_table(evaluation)]
    if len(names) <= MAX_MATRIX_LABELS:
        blocks.append(
            Figure(confusion_matrix(evaluation.confusion, names), "True label (row) by predicted label (column)")
        )
    else:
        blocks.append(Note(f"The confusion matrix of {len(names)} labels is in labels.json."))
    return [Section("Labels", blocks)]


def _label_table(evaluation: Evaluation) -> Table:
    columns = ["label", "precision", "low", "high", "recall", "low", "high", "F1", "low", "high", "true", "predicted"]
    rows: list[list[Cell]] = []
    for label in evaluation.labels:
        row: list[Cell] = [label.name]
        for score in (label.precision, label.recall, label.f1):
            row += [score.value, score.low, score.high]
        rows.append([*row, label.recall.n, label.precision.n])
    return Table(columns, rows)


def _training(curves: Mapping[str, Sequence[tuple[float, float]]]) -> list[Section]:
    lines = [
        Line(name, [x for x, _ in points], [y for _, y in points], faint=name.startswith("train"))
        for name, points in curves.items()
        if points
    ]
    if not lines:
        return []
    chart = line_chart(lines, x_label="step", y_label="loss, nats per target")
    return [Section("Training", [Figure(chart, "Loss while the evaluated checkpoint was trained")])]


def _ledger(evaluation: Evaluation) -> list[Section]:
    if not evaluation.cut:
        return []
    rows: list[list[Cell]] = [[reason.replace("_", " "), count] for reason, count in evaluation.cut.items()]
    return [Section("What the model didn't see", [Table(["reason", "count"], rows)])]

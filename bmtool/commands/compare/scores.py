"""What two evaluations measured, side by side, and on the rows of both the paired difference with its interval."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

from bmtool.config.recorded import read_back
from bmtool.errors import MissingInputError
from bmtool.models.files.task_folders import INFO, task_folders
from bmtool.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts import Columns, Metric
    from bmtool.data.scoring.predictions import Pairing

    Numbers = dict[str, float]


@dataclass
class Scored:
    """One metric of both; None where one didn't measure it."""

    metric: str
    a: Numbers | None
    b: Numbers | None
    difference: Numbers | None = None
    """b minus a on the rows of both: value, low, high, n"""
    why_not: str = ""
    """Why there is no difference"""
    verdict: str = ""
    """`better` or `worse`, if the whole interval says so of b; else `unsure`"""


@dataclass
class Measured:
    """One dataset that both measured."""

    dataset: str
    split: str
    scores: list[Scored]
    rows: dict[str, int] = field(default_factory=dict)
    """both, only_a, only_b, judged_otherwise: how the rows of the two correspond; {} where that isn't known"""
    seeds: list[Scored] = field(default_factory=list)
    """The same over several seeds, where both have them: the mean, and of the same seeds the difference"""


def compare_scores(a: Artifact, b: Artifact) -> tuple[list[Measured], list[str]]:
    """(what both measured, what is to be said besides): by the name of the dataset, and the split.

    Raises:
        DataError: kept predictions are damaged.
    """
    ours, theirs = a.summary["datasets"], b.summary["datasets"]
    notes = [
        f"{name} was measured by {who} alone"
        for who, names, others in (("a", ours, theirs), ("b", theirs, ours))
        for name in names
        if name not in others
    ]
    found = []
    for name in [name for name in ours if name in theirs]:
        if ours[name]["split"] != theirs[name]["split"]:
            notes.append(f"{name}: a measured the split {ours[name]['split']}, b {theirs[name]['split']}: not compared")
        else:
            found.append(_measured(name, a, b))
    return found, notes


def _measured(name: str, a: Artifact, b: Artifact) -> Measured:
    ours, theirs = a.summary["datasets"][name], b.summary["datasets"][name]
    metrics = list(dict.fromkeys([*a.summary["metrics"][name], *b.summary["metrics"][name]]))
    scores = [Scored(one, _score(ours, one), _score(theirs, one)) for one in metrics]
    found = Measured(name, ours["split"], scores, seeds=list(_over_seeds(metrics, ours, theirs, b)))
    wanted = [one for one in scores if one.a is not None and one.b is not None]
    try:
        _compare(found, wanted, a, b)
    except MissingInputError as error:
        for one in wanted:
            one.why_not = str(error)
    return found


def _score(result: dict[str, Any], metric: str) -> Numbers | None:
    score = result["metrics"].get(metric)
    return None if score is None else {key: score[key] for key in ("value", "low", "high", "n")}


# ---------------------------------------------------------------- on the same rows


def _compare(found: Measured, wanted: list[Scored], a: Artifact, b: Artifact) -> None:
    """Fill in the differences.

    Raises:
        MissingInputError: there can be none, for all metrics alike.
    """
    from bmtool.data.scoring.predictions import pair_rows

    tables = _predictions(a, found.dataset), _predictions(b, found.dataset)
    pairing = pair_rows(*tables)
    found.rows = {
        "both": len(pairing.first),
        "only_a": pairing.num_only_first,
        "only_b": pairing.num_only_second,
        "judged_otherwise": pairing.num_judged_otherwise,
    }
    if not len(pairing.first):
        raise MissingInputError("no row is in both")
    outputs, labels = _outputs(found.dataset, (a, b), tables, pairing)
    for one in wanted:
        _difference(one, outputs, labels, (a, b))


def _predictions(artifact: Artifact, dataset: str) -> pa.Table:
    from bmtool.data.scoring.predictions import read_predictions

    folder = artifact.folder / "predictions"
    return read_predictions(folder / dataset if len(artifact.summary["datasets"]) > 1 else folder)


def _outputs(
    dataset: str, both: tuple[Artifact, Artifact], tables: tuple[pa.Table, pa.Table], pairing: Pairing
) -> tuple[tuple[Columns, Columns], tuple[str, ...]]:
    """(what metrics judge of the rows of both, the labels that their ids mean).

    Raises:
        MissingInputError: the two can't be put beside each other.
    """
    from bmtool.data.scoring.predictions import has_labels, in_order, outputs_of

    kinds = [has_labels(table) for table in tables]
    if tables[0].schema.names != tables[1].schema.names or kinds[0] != kinds[1]:
        raise MissingInputError("their answers are of different kinds")
    labels = [_labels(artifact, dataset) if kinds[0] else () for artifact in both]
    if set(labels[0]) != set(labels[1]):
        raise MissingInputError("their models know different labels")
    rows = tables[0].take(pairing.first), tables[1].take(pairing.second)
    outputs = (outputs_of(rows[0], labels[0]), outputs_of(in_order(rows[1], labels[1], labels[0]), labels[0]))
    return outputs, labels[0]


def _labels(artifact: Artifact, dataset: str) -> tuple[str, ...]:
    """The labels of the checkpoint that was measured, in the order of its scores.

    Raises:
        MissingInputError: it isn't in the store (any more).
    """
    path = artifact.manifest.inputs["from"]["path"] if artifact.manifest else ""
    folder = artifact.folder.parent / path
    info = task_folders(folder).get(dataset, folder) / INFO
    if not info.is_file():
        raise MissingInputError(f"{path}, which says the order of the labels, isn't in the store")
    return tuple(json.loads(info.read_text(encoding="utf-8"))["labels"])


def _difference(
    one: Scored, outputs: tuple[Columns, Columns], labels: tuple[str, ...], both: tuple[Artifact, Artifact]
) -> None:
    """Fill in the difference of one metric, or why there is none."""
    import numpy as np

    from bmtool.data.scoring.scores import over_all, paired_difference, readable

    ours, theirs = (_metric(one.metric, artifact) for artifact in both)
    if ours != theirs:
        one.why_not = "they measured it in different ways"
    elif not all(readable(ours, columns) for columns in outputs):
        one.why_not = "what it reads of each row isn't kept"
    else:
        statistics = [ours.statistics(columns, labels) for columns in outputs]
        if not all(np.isfinite(over_all(ours.values, rows)) for rows in statistics):
            one.why_not = "it has no finite value on the rows of both"
            return
        config = both[1].manifest.config if both[1].manifest else {}
        found = paired_difference(ours, statistics[1], statistics[0], config["seed"] or 0, config["resamples"])
        one.difference = asdict(found)
        one.verdict = _verdict(ours, found.low, found.high)


def _metric(name: str, artifact: Artifact) -> Metric:
    """The metric with the settings that an evaluation had for it."""
    given = (artifact.manifest.config.get("metrics") if artifact.manifest else None) or []
    settings = next((value for value in given if value["type"] == name), name)
    return cast("Metric", read_back(METRICS, settings, artifact.folder, "Evaluate it again with this version"))


def _verdict(metric: Metric, low: float, high: float) -> str:
    gain = (low, high) if metric.higher_is_better else (-high, -low)
    return "better" if gain[0] > 0 else "worse" if gain[1] < 0 else "unsure"


# ---------------------------------------------------------------- over several seeds


def _over_seeds(metrics: list[str], ours: dict[str, Any], theirs: dict[str, Any], b: Artifact) -> Iterator[Scored]:
    """Means over seeds with their intervals; of the same seeds the difference, seed by seed."""
    from bmtool.data.scoring.seeds import Spread

    if "seeds" not in ours or "seeds" not in theirs:
        return
    seeds = ours["seeds"]["seeds"], theirs["seeds"]["seeds"]
    for name in metrics:
        first, second = (one["seeds"]["metrics"].get(name) for one in (ours, theirs))
        if first is None or second is None:
            continue
        found = Scored(name, _of_spread(first), _of_spread(second))
        if seeds[0] == seeds[1]:
            spread = Spread.of([y - x for x, y in zip(first["values"], second["values"], strict=True)])
            found.difference = _of_spread(asdict(spread))
            found.verdict = _verdict(_metric(name, b), spread.low, spread.high)
        else:
            found.why_not = "the seeds are others"
        yield found


def _of_spread(spread: dict[str, Any]) -> Numbers:
    return {"value": spread["mean"], "low": spread["low"], "high": spread["high"], "n": len(spread["values"])}

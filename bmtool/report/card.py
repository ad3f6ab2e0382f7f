"""The model card, README.md of a checkpoint or bundle: measured facts only, with metadata that the model hub reads."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import yaml

from bmtool.artifacts.files import write_text
from bmtool.registry import TASKS
from bmtool.report.blocks import Cell, Table
from bmtool.report.tables import markdown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts import Job

#: Our name of what a model was trained for: the hub's `pipeline_tag`.
PIPELINE_TAGS = {
    "text_classification": "text-classification",
    "token_classification": "token-classification",
    "question_answering": "question-answering",
    "similarity": "sentence-similarity",
    "translation": "translation",
    "summarization": "summarization",
    "generation": "text-generation",
    "mlm": "fill-mask",
    "clm": "text-generation",
}


@dataclass(frozen=True)
class Measured:
    """A metric on a split; the interval is the seeded 95 % bootstrap, where there is one."""

    metric: str
    value: float
    split: str
    n: int | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ModelFacts:
    """What a card says. Nothing in it is typed by hand, and what isn't known isn't said."""

    name: str
    """The pipeline's name, such as `reviews`."""
    goal: str
    """The task or objective: `text_classification`, `mlm`, ..."""
    labels: Sequence[str] = ()
    model: Mapping[str, Cell] = field(default_factory=dict)
    """architecture, parameters, layers, max_seq_length, vocabulary, starting point, ..."""
    data: Mapping[str, Cell] = field(default_factory=dict)
    """name, fingerprint, rows per split, texts cut, ..."""
    metrics: Sequence[Measured] = ()
    training: Mapping[str, Cell] = field(default_factory=dict)
    """settings and what came of them: steps, tokens, seconds, seed, precision, ..."""
    domains: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)
    """By name of a corpus that was watched: metrics `before` and `after` training"""
    versions: Mapping[str, Cell] = field(default_factory=dict)
    format: str = "transformers"
    """`transformers` or `onnx`."""
    more: Mapping[str, Mapping[str, Cell]] = field(default_factory=dict)
    """Further sections by title, such as an export's comparison with its checkpoint."""


def write_model_card(folder: Path, facts: ModelFacts) -> None:
    """Write `README.md` into `folder`."""
    write_text(folder / "README.md", render(facts))


def render(facts: ModelFacts) -> str:
    """The card's text: YAML front matter, then Markdown."""
    front = yaml.safe_dump(front_matter(facts), sort_keys=False, allow_unicode=True, width=1000)
    parts = [f"---\n{front}---\n", f"# {_plain(facts.name)}\n", _lead(facts), _use(facts)]
    if facts.labels:
        rows: list[list[Cell]] = [[i, label] for i, label in enumerate(facts.labels)]
        parts.append("## Labels\n\n" + markdown(Table(["id", "label"], rows)))
    if facts.metrics:
        parts.append("## Measured\n\n" + markdown(_metrics(facts.metrics)))
    if facts.domains:
        parts.append("## Loss before and after training\n\n" + markdown(_domains(facts.domains)))
    sections = {"Model": facts.model, "Data": facts.data, "Training": facts.training, **facts.more}
    for title, pairs in [*sections.items(), ("Versions", facts.versions)]:
        if pairs:
            parts.append(f"## {title}\n\n" + markdown(Table(["", "value"], [[k, v] for k, v in pairs.items()])))
    return "\n".join(parts)


def front_matter(facts: ModelFacts) -> dict[str, Any]:
    """The metadata, as https://huggingface.co/docs/hub/model-cards describes it."""
    tag = PIPELINE_TAGS.get(facts.goal)
    front: dict[str, Any] = {"library_name": facts.format, "tags": ["bmtool", facts.goal]}
    if tag:
        front["pipeline_tag"] = tag
    if facts.metrics and tag:
        dataset = str(facts.data.get("name") or facts.name)
        results = [
            {
                "task": {"type": tag},
                "dataset": {"name": dataset, "type": dataset, "split": split},
                "metrics": [
                    {"type": measured.metric, "value": float(measured.value)}
                    for measured in facts.metrics
                    if measured.split == split
                ],
            }
            for split in dict.fromkeys(measured.split for measured in facts.metrics)
        ]
        front["model-index"] = [{"name": facts.name, "results": results}]
    return front


def _plain(text: str) -> str:
    return " ".join(text.split())


def _lead(facts: ModelFacts) -> str:
    tag = PIPELINE_TAGS.get(facts.goal, facts.goal).replace("-", " ")
    made = f"A {tag} model made by bmtool. " if facts.format == "transformers" else f"A {tag} model in {facts.format}. "
    return made + "Everything on this page was measured or recorded while it was made; nothing was written by hand.\n"


def _use(facts: ModelFacts) -> str:
    if facts.goal in TASKS.names() or facts.format != "transformers":
        rows = (
            '{"question": "...", "context": "..."}'
            if facts.goal == "question_answering"
            else '"a text", "another text"'
        )
        code = f'import bmtool\n\nmodel = bmtool.load("path/to/this/folder")\nmodel([{rows}])'
    else:
        tag = PIPELINE_TAGS.get(facts.goal, "feature-extraction")
        code = f'from transformers import pipeline\n\nmodel = pipeline("{tag}", "path/to/this/folder")'
    return f"## Use\n\n```python\n{code}\n```\n"


def _metrics(metrics: Sequence[Measured]) -> Table:
    rows: list[list[Cell]] = [[m.metric, m.split, m.value, m.low, m.high, m.n] for m in metrics]
    return Table(["metric", "split", "value", "95 % low", "95 % high", "n"], rows)


def _domains(domains: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> Table:
    rows: list[list[Cell]] = []
    for name, measured in domains.items():
        before, after = measured["before"].get("loss"), measured["after"].get("loss")
        change = f"{after / before - 1:+.1%}" if before and after is not None else None
        rows.append([name, before, after, change])
    return Table(["corpus", "before", "after", "change"], rows)


#: Packages whose versions decide what a model answers.
_PACKAGES = ("bmtool-pipeline", "torch", "transformers", "tokenizers")


def write_checkpoint_card(
    folder: Path,
    job: Job,
    settings: Mapping[str, Any],
    summary: Mapping[str, Any],
    *,
    task: str = "",
    doubt: str | None = None,
) -> None:
    """Write the card of a checkpoint that was just trained into `folder`.

    `settings` are the stage's, as plain JSON; `summary` is what the stage recorded; `task` is which one it is of
    several that were trained together; `doubt` says why it may be of no use. No time is in the card, so that a run that
    was interrupted and went on writes the same one.
    """
    info = json.loads((folder / "bmtool.json").read_text(encoding="utf-8"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    stage = "finetune" if info["goal_kind"] == "task" else "pretrain"
    counts = summary.get("rows") or summary.get("pieces") or {}
    unit = "rows" if "rows" in summary else "pieces"
    start = job.inputs.get("from")
    write_model_card(
        folder,
        ModelFacts(
            name=f"{stage}-{job.fingerprint[:12]}",
            goal=info["goal"]["type"],
            labels=info["labels"],
            model={
                "class": ", ".join(config.get("architectures") or []),
                "parameters": _parameters(folder),
                "starts from": start.folder.name if start else "new weights",
                "max_seq_length": info["max_seq_length"],
                "vocabulary": config.get("vocab_size"),
            },
            data={
                "name": task or str(settings["data"]),
                "fingerprint": info["data_fingerprint"],
                **{f"{split} {unit}": count for split, count in counts.items()},
            },
            metrics=_validated(summary["validation"], counts.get("validation"), task),
            training=_trained(job, settings, summary, task, doubt),
            domains=summary.get("domains", {}),
            versions={name: version(name) for name in _PACKAGES},
        ),
    )


def _validated(found: Mapping[str, float | None], count: int | None, task: str) -> list[Measured]:
    """What was measured on `count` rows, or a task's part of it, without what isn't finite."""
    own = f"{task}." if task else ""
    return [
        Measured(name.removeprefix(own), float(value), "validation", count)
        for name, value in found.items()
        if value is not None and name.startswith(own)
    ]


def _trained(
    job: Job, settings: Mapping[str, Any], summary: Mapping[str, Any], task: str, doubt: str | None
) -> dict[str, Cell]:
    """How it was trained: what speaks against it first, then plain settings, and what came of them."""
    return {
        **({"smoke run": "a few rows, a few steps: fit for nothing"} if job.is_smoke else {}),
        **({"doubt": doubt} if doubt else {}),
        **({"trained together with": others} if (others := _others(settings["data"], task)) else {}),
        **{name: value for name, value in settings.items() if isinstance(value, str | int | float | bool)},
        "seed": job.seed,
        **{key: summary[key] for key in ("steps", "tokens", "epochs", "stopped_early") if key in summary},
        **({"skipped steps": skipped} if (skipped := summary.get("skipped_steps")) else {}),
        **({"went back": _returns(back)} if (back := summary.get("rollbacks")) else {}),
        **({"not averaged": ", ".join(new)} if (new := summary.get("not_averaged")) else {}),
    }


def _returns(rollbacks: Sequence[Mapping[str, int]]) -> str:
    """To which saved states training went back because it diverged."""
    return ", ".join(f"from step {one['step']:,} to {one['to']:,}" for one in rollbacks)


def _others(data: Any, task: str) -> str:
    """The datasets whose tasks share the encoder."""
    return ", ".join(str(one) for one in data if str(one).rstrip("/").rpartition("/")[2] != task) if task else ""


def _parameters(folder: Path) -> int:
    """How many numbers the weight files hold, from their headers alone."""
    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="np") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return total


def write_bundle_card(
    folder: Path, checkpoint: Artifact, compared: Mapping[str, Mapping[str, Cell]], split: str
) -> None:
    """Write the card of an exported bundle: what it came from, and how each format compares with that.

    `folder` holds the bundle's `bmtool.json` already; `compared` maps a format's name to the numbers of its comparison.
    """
    info = json.loads((folder / "bmtool.json").read_text(encoding="utf-8"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    packages = (checkpoint.manifest.environment if checkpoint.manifest else {}).get("packages") or {}
    write_model_card(
        folder,
        ModelFacts(
            name=f"{checkpoint.folder.name} in {' and '.join(compared)}",
            goal=info["goal"]["type"],
            labels=info["labels"],
            model={
                "checkpoint": checkpoint.folder.name,
                "checkpoint fingerprint": checkpoint.fingerprint,
                "class": ", ".join(config.get("architectures") or []),
                "max_seq_length": info["max_seq_length"],
            },
            data={"fingerprint": info.get("data_fingerprint") or None},
            versions={name: version for name, version in packages.items() if version},
            format=next(iter(compared)),
            more={f"{name} against the checkpoint": {"split": split, **numbers} for name, numbers in compared.items()},
        ),
    )

"""`bmtool list`: the components that a configuration can name, their settings, defaults and an example; presets."""

from __future__ import annotations

import inspect
import json
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bmtool.commands.list_presets import presets
from bmtool.config.describe import Described, describe, example
from bmtool.config.references import STAGES
from bmtool.config.shape import alternatives, members
from bmtool.config.shared import Head
from bmtool.contracts import Task
from bmtool.errors import ConfigError, did_you_mean
from bmtool.registry import KINDS, Kind

if TYPE_CHECKING:
    from bmtool.config.model import Settings

#: Where a component of a kind stands in a file; `{}` is the component.
PLACES = {
    "source": "prepare:\n  corpus:\n    sources: {}",
    "cleaner": "prepare:\n  corpus:\n    clean: [{}]",
    "filter": "prepare:\n  corpus:\n    filters: [{}]",
    "scrubber": "prepare:\n  corpus:\n    scrub: [{}]",
    "deduplicator": "prepare:\n  corpus:\n    deduplicate: [{}]",
    "tokenizer": "prepare:\n  corpus:\n    tokenizer: {}",
    "architecture": "pretrain:\n  model: {}",
    "objective": "pretrain:\n  objective: {}",
    "reporter": "pretrain:\n  report_to: [{}]",
    "task": "prepare:\n  reviews:\n    task: {}",
    "metric": "evaluate:\n  gates: [{{metric: {}, min: 0.5}}]",
    "baseline": "evaluate:\n  baselines: [{}]",
    "method": "finetune:\n  method: {}",
    "exporter": "export:\n  formats: [{}]",
}
#: The key that names the component, where it isn't `type`.
NAMING_KEYS = {"architecture": "architecture"}
#: A gate names its metric and can't set anything else.
_NAMED_ONLY = ("metric",)

WIDTH = 100

#: Lists of components rather than a kind of them.
PRESETS = "presets"


def list_(kind: str | None = None, name: str | None = None, *, as_json: bool) -> int:
    """Print the kinds with their components, one kind, or one component; presets; or the settings of a section."""
    document: Any
    if kind is None:
        results = [entry for each in KINDS for entry in _entries(each)]
        document, text = results, _all()
    elif kind in ("preset", PRESETS):
        document, text = presets(name)
    elif kind in (*STAGES, "head") and name is None:
        settings = _section(kind)
        document, text = [_as_json(kind, settings)], f"{kind}: {_doc(settings)}\n\n{_table(_flat(settings))}"
    else:
        family = _kind(kind)
        if name is None:
            document, text = _entries(family), _names(family)
        else:
            component = family.load(name)
            document = [_as_json(name, component) | {"kind": family.name, "example": example_of(family, name)}]
            text = _component(family, name)
    print(json.dumps({"command": "list", "exit_code": 0, "results": document}) if as_json else text)  # noqa: T201
    return 0


def example_of(kind: Kind, name: str) -> str:
    """YAML with the component in its place."""
    key = NAMING_KEYS.get(kind.name, "type")
    written = name if kind.name in _NAMED_ONLY else example(kind.load(name), key)
    if kind.name in NAMING_KEYS and written == name:
        written = f"{{{key}: {name}}}"
    return PLACES[kind.name].format(written)


def _kind(word: str) -> Kind:
    found = next((kind for kind in KINDS if word in (kind.name, kind.plural)), None)
    if found:
        return found
    known = [*(kind.plural for kind in KINDS), PRESETS, "head", *STAGES]
    raise ConfigError(f"there is no kind '{word}'.{did_you_mean(word, known)} Known: {', '.join(known)}")


def _section(name: str) -> type[Settings]:
    from bmtool.runner.pipeline import stage_module

    return Head if name == "head" else stage_module(name).Config


def _entries(kind: Kind) -> list[dict[str, Any]]:
    return [{"kind": kind.name, "name": name, "summary": kind.summary(name)} for name in kind.names()]


def _names(kind: Kind) -> str:
    width = max((len(name) for name in kind.names()), default=0)
    lines = [f"  {name:{width}}  {kind.summary(name)}" for name in kind.names()]
    return "\n".join([kind.plural, *lines])


def _all() -> str:
    parts = [_names(kind) for kind in KINDS if kind.names()]
    hint = "bmtool list filters length     settings and an example of a component\n"
    hint += "bmtool list presets            what `preset: web`, `docs` and `code` stand for\n"
    hint += f"bmtool list pretrain           settings of a section (head, {', '.join(STAGES)})"
    return "\n\n".join([*parts, hint])


def _component(kind: Kind, name: str) -> str:
    component = kind.load(name)
    flat = _effective(component)
    settings = _table(flat) if flat else "  It has no settings."
    shown = textwrap.indent(example_of(kind, name), "  ")
    reads = f"\n\nreads columns: {', '.join(component().columns)}" if kind.name == "task" else ""
    return f"{name} ({kind.name}): {_doc(component)}{reads}\n\n{settings}\n\nexample\n{shown}"


def _doc(settings: type[Settings]) -> str:
    return inspect.cleandoc(settings.__doc__ or "")


def _effective(settings: type[Settings]) -> list[Described]:
    """The settings that have an effect: the order of labels has none where a task has no labels."""
    is_without = issubclass(settings, Task) and not settings().has_labels
    return [row for row in _flat(settings) if not (is_without and row.name == "labels")]


def _flat(settings: type[Settings], prefix: str = "") -> list[Described]:
    """All settings, those of a mapping inside by their whole path, such as `split.validation`."""
    out: list[Described] = []
    for described, annotation in zip(describe(settings), members(settings).values(), strict=True):
        is_open = described.expects.startswith("a mapping of")
        inner = [choice for choice in alternatives(annotation) if is_open and isinstance(choice, type)]
        if inner:
            out += _flat(inner[0], f"{prefix}{described.name}.")
        else:
            out.append(Described(prefix + described.name, described.expects, described.default, described.text))
    return out


def _table(rows: list[Described]) -> str:
    lines = []
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        default = "required" if row.is_required else "" if row.default == "null" else f"default {row.default}"
        said = ". ".join(filter(None, [f"{row.expects}{f'; {default}' if default else ''}", row.text]))
        start, indent = f"  {row.name:{width}}  ", " " * (width + 4)
        lines += textwrap.wrap(said, WIDTH, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(lines)


def _as_json(name: str, settings: type[Settings]) -> dict[str, Any]:
    return {"name": name, "summary": _doc(settings), "settings": [asdict(row) for row in _effective(settings)]}

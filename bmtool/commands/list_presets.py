"""`bmtool list presets`: what the presets of `prepare` stand for, as lines to paste into a file."""

from __future__ import annotations

from typing import Any

from bmtool.config.describe import flow
from bmtool.data.passes.presets import PRESETS, SUMMARIES, settings_of
from bmtool.errors import ConfigError, did_you_mean

HINT = "A list of your own replaces the preset's: `preset: web` with `filters: [length]` keeps its `clean` and `scrub`."


def presets(name: str | None) -> tuple[list[dict[str, Any]], str]:
    """(as plain JSON, as text): one preset, or all of them.

    Raises:
        ConfigError: there is none of this name.
    """
    if name is not None and name not in PRESETS:
        raise ConfigError(f"unknown preset '{name}'.{did_you_mean(name, PRESETS)} Known: {', '.join(PRESETS)}")
    names = list(PRESETS) if name is None else [name]
    document = [{"kind": "preset", "name": one, "summary": SUMMARIES[one], **settings_of(one)} for one in names]
    pages = [f"{one} (preset): {SUMMARIES[one]}\n\n{as_yaml(one)}" for one in names]
    return document, "\n\n".join([*pages, HINT])


def as_yaml(name: str) -> str:
    """The lists that a preset stands for in the place where they stand in a file, each step with its reason."""
    lines = ["prepare:", "  corpus:", f"    # preset: {name} stands for"]
    for key, choices in PRESETS[name].items():
        lines.append(f"    {key}:")
        lines += [f"      - {flow(choice.setting):18}  # {choice.why}" for choice in choices]
    return "\n".join(lines)

"""Find components by file name: `filters/length.py` is the filter `length`. Nothing is imported until it is used."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmtool.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Kind:
    """One family of components, such as filters: a package whose modules hold one component each."""

    name: str
    plural: str

    @property
    def package(self) -> str:
        """The package that holds the family."""
        return f"bmtool.{self.plural}"

    @property
    def folder(self) -> Path:
        """Where the family's files are."""
        return Path(__file__).parent / self.plural

    def names(self) -> list[str]:
        """Every name of the family, sorted, without importing anything."""
        return sorted(m.name for m in pkgutil.iter_modules([str(self.folder)]) if not m.name.startswith("_"))

    def load(self, name: str) -> type[Any]:
        """Import the component called `name`.

        Raises:
            ConfigError: there is none; the message names the closest and all known ones.
        """
        if name not in self.names():
            known = ", ".join(self.names())
            raise ConfigError(f"unknown {self.name} '{name}'.{did_you_mean(name, self.names())} Known: {known}")
        module = importlib.import_module(f"{self.package}.{name}")
        wanted = name.replace("_", "").lower()
        return next(value for key, value in vars(module).items() if isinstance(value, type) and key.lower() == wanted)

    def summary(self, name: str) -> str:
        """The first line of a component's module docstring, read from its source."""
        text = ast.get_docstring(ast.parse((self.folder / f"{name}.py").read_text(encoding="utf-8"))) or ""
        return text.partition("\n")[0]


SOURCES = Kind("source", "sources")
CLEANERS = Kind("cleaner", "cleaners")
FILTERS = Kind("filter", "filters")
SCRUBBERS = Kind("scrubber", "scrubbers")
DEDUPLICATORS = Kind("deduplicator", "deduplicators")
TOKENIZERS = Kind("tokenizer", "tokenizers")
ARCHITECTURES = Kind("architecture", "architectures")
OBJECTIVES = Kind("objective", "objectives")
TASKS = Kind("task", "tasks")
METRICS = Kind("metric", "metrics")
BASELINES = Kind("baseline", "baselines")
EXPORTERS = Kind("exporter", "exporters")
REPORTERS = Kind("reporter", "reporters")
METHODS = Kind("method", "methods")

KINDS = (
    SOURCES,
    CLEANERS,
    FILTERS,
    SCRUBBERS,
    DEDUPLICATORS,
    TOKENIZERS,
    ARCHITECTURES,
    OBJECTIVES,
    TASKS,
    METRICS,
    BASELINES,
    EXPORTERS,
    REPORTERS,
    METHODS,
)

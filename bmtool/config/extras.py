"""Extras: packages that bmtool needs for some of its components only, what each is for, and how it is installed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bmtool.config.model import Component, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Extra:
    """One of the extras in pyproject.toml."""

    name: str
    modules: tuple[str, ...]
    """What is imported."""
    purpose: str

    def missing(self) -> list[str]:
        """Its modules that aren't installed; none is imported."""
        return [module for module in self.modules if importlib.util.find_spec(module) is None]

    @property
    def pip(self) -> str:
        """The line that installs it."""
        return f'pip install "bmtool-pipeline[{self.name}]", or from a checkout: pip install -e ".[{self.name}]"'


EXTRAS = {
    one.name: one
    for one in (
        Extra("fast", ("fastokens",), "byte-level BPE is encoded several times faster"),
        Extra("onnx", ("onnxruntime", "onnx", "onnxscript"), "export to ONNX, and predict from such a bundle"),
        Extra("html", ("resiliparse", "brotli"), "sources html and warc: the main text of web pages"),
        Extra("language", ("py3langid",), "filter language"),
        Extra("japanese", ("MeCab", "ipadic"), "BLEU of Japanese by words"),
        Extra("lora", ("peft",), "method lora"),
        Extra("tensorboard", ("tensorboard",), "report_to: tensorboard"),
        Extra("mlflow", ("mlflow",), "report_to: mlflow"),
        Extra("wandb", ("wandb",), "report_to: wandb"),
    )
}


def needed_extras(*settings: Any) -> dict[str, list[str]]:
    """By extra the components among `settings` that need it, such as `{"lora": ["lora"]}`."""
    found: dict[str, list[str]] = {}
    for component in _components(settings):
        for extra in component.extras():
            names = found.setdefault(extra, [])
            if component.name() not in names:
                names.append(component.name())
    return found


def _components(value: Any) -> Iterator[Component]:
    if isinstance(value, Settings):
        if isinstance(value, Component):
            yield value
        for name in type(value).model_fields:
            yield from _components(getattr(value, name))
    elif isinstance(value, tuple | list):
        for member in value:
            yield from _components(member)
    elif isinstance(value, dict):
        yield from _components(tuple(value.values()))

"""References to what a stage reads. Their form decides what they are, never what exists on disk."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_serializer

from bmtool.config.hub import PREFIX, hub_name
from bmtool.config.model import Settings, Words, Written, explained, shown

STAGES = ("prepare", "pretrain", "finetune", "evaluate", "export")


class Reference(Settings):
    """A name in this file (a dataset under `prepare:`, or a stage), a path with a slash, or a name on the hub."""

    form: Literal["name", "path", "hub"]
    value: str

    @property
    def name(self) -> str:
        """What results on it are called: the name itself, or the last part of a path."""
        return self.value.rstrip("/").rpartition("/")[2]

    @model_serializer
    def _as_written(self) -> str:
        return self.value

    def __str__(self) -> str:
        return self.value


def reference(value: Any) -> Any:
    """`corpus` is a name in this file, `runs/x/pretrain` a folder; nothing is looked up on disk."""
    if isinstance(value, str) and value.startswith(PREFIX):
        text = f"'{value}': what `prepare` made is read here. A dataset of the hub is one of its sources"
        raise explained(f"{text}: {{type: huggingface, path: '{value}'}}")
    return reference_to_model(value)


def reference_to_model(value: Any) -> Any:
    """The same, or `hf:org/name@revision`: the scheme is the consent to use the network."""
    if isinstance(value, Reference):
        return value
    if not isinstance(value, str) or not value.strip():
        raise explained(f"expected a name, or a path with a slash, got {shown(value)}")
    if hub_name(value) is not None:
        return Reference(form="hub", value=value)
    if "/" in value:
        return Reference(form="path", value=value)
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", value):
        raise explained(f"'{value}' is no name. A path needs a slash: './{value}'")
    return Reference(form="name", value=value)


def references(value: Any) -> Any:
    """One reference, or a list of them; a list of one is that one."""
    if not isinstance(value, list | tuple):
        return reference(value)
    found = tuple(reference(member) for member in value)
    if not found:
        raise explained("expected a name, a path with a slash, or a list of them, got an empty list")
    if len(found) == 1:
        return found[0]
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    strange = next((name for name in names if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name)), None)
    if twice is not None:
        raise explained(f"two of them would be called '{twice}', and results go by this name")
    if strange is not None:
        raise explained(f"'{strange}' will name a folder of results: small letters, digits, '_' and '-'")
    return found


def listed(data: Reference | tuple[Reference, ...]) -> tuple[Reference, ...]:
    """What `references` gave, as a tuple."""
    return data if isinstance(data, tuple) else (data,)


#: A name, or a path with a slash; of a name on the hub that is for `hub_name` to say.
_Text = Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]+|(?!hf:)[\s\S]*/[\s\S]*)$")]
_ModelText = Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]+|[\s\S]*/[\s\S]*|hf:[\s\S]+)$")]

Ref = Annotated[
    Reference, BeforeValidator(reference), Words("a name in this file, or a path with a slash"), Written(_Text)
]

#: Of what the hub has too: a checkpoint, or a tokenizer.
ModelRef = Annotated[
    Reference,
    BeforeValidator(reference_to_model),
    Words("a name in this file, a path with a slash, or hf:org/name@revision"),
    Written(_ModelText),
]

#: One dataset, or several.
Refs = Annotated[
    Reference | tuple[Reference, ...],
    BeforeValidator(references),
    Words("a name in this file, a path with a slash, or a list of them"),
    Written(_Text | Annotated[tuple[_Text, ...], Field(min_length=1)]),
]

"""Components that an artifact records, read back: another version of bmtool may have written them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from bmtool.config.model import Choose
from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.config.model import Component
    from bmtool.registry import Kind


def read_back(kind: Kind, value: Any, folder: Path, advice: str) -> Component:
    """The component that the artifact in `folder` records as `value`.

    Args:
        kind: what it is, such as a task.
        value: its settings as plain JSON.
        folder: named in the error.
        advice: what to do about settings that this version doesn't know.

    Raises:
        MissingInputError: this version has no such component, or none with these settings.
    """
    try:
        component: Component = Choose(kind)(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = f"{where}: {first['msg']}" if where else str(first["msg"])
    except PydanticCustomError as error:
        problem = error.message()
    else:
        return component
    raise MissingInputError(
        f"{folder}: its {kind.name} was recorded by another version of bmtool, and this one doesn't know all of it "
        f"({problem.rstrip('.')}). {advice}"
    )

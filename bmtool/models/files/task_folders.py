"""Where a checkpoint of several tasks keeps each of them: in a folder a task, which is a checkpoint by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bmtool.errors import ConfigError, MissingInputError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

#: What a checkpoint was trained for, beside transformers' own files; or above them, where there are several.
INFO = "bmtool.json"

#: In `INFO`, the names of the folders.
TASKS_KEY = "tasks"


def task_folders(folder: Path) -> dict[str, Path]:
    """The folders of an artifact's tasks by name; {} where it isn't one of several."""
    path = folder / INFO
    if not path.is_file() or (folder / "config.json").is_file():
        return {}
    return {name: folder / name for name in json.loads(path.read_text(encoding="utf-8")).get(TASKS_KEY, ())}


def whole_of(folder: Path) -> Path:
    """The artifact that a folder is of: the one above it, where it is one of several tasks."""
    return folder.parent if task_folders(folder.parent).get(folder.name) == folder else folder


def task_folder(folder: Path, name: str) -> Path:
    """The folder of the task called `name`; an artifact of one task is that task's, and needs no name.

    Raises:
        ConfigError: the name is missing, or is one too many.
        MissingInputError: there is no such task.
    """
    known = task_folders(folder)
    if not known:
        if name:
            raise ConfigError(f"{folder}: this model has one task, which needs no name. Leave out '{name}'")
        return folder
    if not name:
        raise ConfigError(
            f"{folder}: this model has several tasks, {', '.join(known)}. Say which one, as in --task "
            f"{next(iter(known))}, or give its folder: {next(iter(known.values()))}"
        )
    if name not in known:
        there = f"There: {', '.join(known)}"
        raise MissingInputError(f"{folder}: there is no task '{name}'.{did_you_mean(name, known)} {there}")
    return known[name]

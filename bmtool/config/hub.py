"""Names of repositories on the Hugging Face hub, as they stand in a configuration: `hf:org/name@revision`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bmtool.config.model import explained

PREFIX = "hf:"

#: What the hub takes as a name, less `--` and `..`; git's rules for a revision, less what can't be in a path.
_REPO = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubName:
    """A repository, and which state of it."""

    repo: str
    """`org/name`, or `name` alone"""
    revision: str | None
    """A commit, a branch or a tag; None: the main branch."""

    @property
    def is_pinned(self) -> bool:
        """Whether it means the same bytes for ever: only a whole commit does."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    def at(self, commit: str) -> str:
        """The name with a commit, as it can be written instead."""
        return f"{PREFIX}{self.repo}@{commit}"

    def __str__(self) -> str:
        return PREFIX + self.repo + (f"@{self.revision}" if self.revision else "")


def hub_name(value: str) -> HubName | None:
    """The name behind `hf:`; None where `value` doesn't start with it.

    Raises:
        PydanticCustomError: it is no such name.
    """
    if not value.startswith(PREFIX):
        return None
    repo, at, revision = value.removeprefix(PREFIX).partition("@")
    is_name = _REPO.fullmatch(repo) and "--" not in repo and ".." not in repo
    is_revision = not at or (_REVISION.fullmatch(revision) and ".." not in revision)
    if not is_name or not is_revision:
        raise explained(f"'{value}' is no name on the hub. Write hf:ORG/NAME, or hf:ORG/NAME@REVISION")
    return HubName(repo, revision or None)

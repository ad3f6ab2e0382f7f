"""What a result was made with, for the manifest: versions, platform, git revision. Nothing is imported for it."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "pyarrow", "numpy", "scikit-learn", "safetensors")


def describe_environment() -> dict[str, Any]:
    """Versions of bmtool, Python and the packages that decide results."""
    versions = {name: _version(name) for name in ("bmtool-pipeline", *_PACKAGES)}
    return {"python": platform.python_version(), "platform": platform.platform(), "packages": versions}


def git_revision() -> str | None:
    """The commit of the current folder, with `-dirty` if files differ; None outside a repository or without git."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)  # noqa: S607
        status = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("-dirty" if status.stdout.strip() else "")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

"""`bmtool verify`: are the bytes on the disk still those that were written?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.artifacts.files import sha256_of
from bmtool.artifacts.manifest import MANIFEST
from bmtool.artifacts.store import Store, open_artifact, problems
from bmtool.console import json_text, size_text
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bmtool.artifacts.manifest import Artifact
    from bmtool.console import Console, Progress


def verify(folders: Sequence[Path], *, as_json: bool, console: Console) -> int:
    """Compare every file of artifacts, or of all in an output folder, with the manifest; 65 if one differs.

    Stages look at sizes, and at hashes where a file bears the marks of a change; this reads all bytes.

    Raises:
        MissingInputError: a folder is no artifact, or there is no store.
    """
    artifacts = [open_artifact(one) for folder in folders for one in _artifacts(folder)]
    total = sum(entry.size for one in artifacts if one.manifest for entry in one.manifest.files.values())
    results = []
    with console.progress("reading", total=total) as progress:
        for artifact in artifacts:
            found = _problems(artifact, progress)
            for problem in found:
                console.warn(problem)
            results.append({"artifact": str(artifact.folder), "problems": found})
    damaged = sum(bool(result["problems"]) for result in results)
    code = DataError.exit_code if damaged else 0
    if as_json:
        document = {"command": "verify", "exit_code": code, "results": results}
        print(json_text(document))  # noqa: T201  # the result
    said = f"{damaged} of {len(artifacts)} artifacts are damaged. Make them again with --force" if damaged else ""
    console.say(said or f"{len(artifacts)} artifacts, {size_text(total)}: as they were written")
    return code


def _artifacts(folder: Path) -> list[Path]:
    """The folder itself if it is an artifact; else all that are finished in it."""
    if (folder / MANIFEST).exists():
        return [folder]
    store = Store(folder)
    store.must_exist()
    return sorted(one for one in store.folder.iterdir() if one.name[0] != "." and (one / MANIFEST).exists())


def _problems(artifact: Artifact, progress: Progress) -> list[str]:
    def hash_of(path: Path) -> str:
        sha256 = sha256_of(path)
        progress.advance(path.stat().st_size)
        return sha256

    return list(problems(artifact, hash_of))

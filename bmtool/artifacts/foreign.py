"""Checkpoints that bmtool didn't make: a folder in the Hugging Face layout, identified by its files' hashes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from bmtool.artifacts.manifest import Artifact
from bmtool.errors import MissingInputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bmtool.artifacts.hashes import HashCache

_WEIGHTS = ".safetensors"
#: Weights that need more than reading to be opened; HDF5 and msgpack come with them in old checkpoints.
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")


def foreign_checkpoint(folder: Path, hashes: HashCache) -> Artifact:
    """The folder as an input.

    Raises:
        MissingInputError: no `config.json` or no weights.
        RefusedError: weights only as pickle.
    """
    files = _files(folder)
    if folder / "config.json" not in files:
        raise MissingInputError(f"{folder}: no checkpoint is here (config.json is missing)")
    if not any(path.suffix == _WEIGHTS for path in files):
        pickles = [path.name for path in files if path.suffix in PICKLE_SUFFIXES]
        if pickles:
            raise RefusedError(
                f"{folder / pickles[0]}: weights in pickle format can run code when they are opened; "
                f"convert them to safetensors first"
            )
        raise MissingInputError(f"{folder}: no weights are here (a file that ends in {_WEIGHTS})")
    return Artifact(folder, "checkpoint", foreign_fingerprint(folder, hashes.sha256))


def foreign_fingerprint(folder: Path, sha256: Callable[[Path], str]) -> str:
    """A hash over the names and hashes of the files that make a foreign model: weights, settings, vocabulary."""
    kept = [path for path in _files(folder) if path.suffix in (_WEIGHTS, ".onnx", ".json", ".txt", ".model")]
    identity = {str(path.relative_to(folder)): sha256(path) for path in kept}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    """The folder's files, sorted, nothing hidden; through links, since the hub's cache consists of them."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))

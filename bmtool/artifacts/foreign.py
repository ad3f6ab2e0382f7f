"""Checkpoints that bmtool didn't make: in the Hugging Face layout, in a folder or on the hub, known by their hashes."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from bmtool.artifacts.manifest import Artifact
from bmtool.errors import MissingInputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from bmtool.artifacts.hashes import HashCache
    from bmtool.artifacts.hub import Snapshot
    from bmtool.config.hub import HubName
    from bmtool.console import Console

_WEIGHTS = ".safetensors"
#: Weights in several files, as transformers writes them, and the table that says what is in which.
_INDEX, _SHARD = "model.safetensors.index.json", re.compile(r"model-[0-9]+-of-[0-9]+\.safetensors")
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


def hub_checkpoint(name: HubName, extras: Sequence[str], hashes: HashCache, console: Console | None) -> Artifact:
    """A model of the hub as an input: its settings, its weights, and `extras` (its tokenizer's files) if it has them.

    With a console, what the hub's cache lacks is fetched, and said. Other files in the cache don't count: another
    program may have brought them.

    Raises:
        MissingInputError, TryAgainError, StorageError: see `fetch`; or it has no `config.json`, weights or tokenizer.
        RefusedError: weights only as pickle.
    """
    from bmtool.artifacts.hub import snapshot

    def choose(names: Sequence[str]) -> list[str]:
        return checkpoint_files(names, extras, str(name))

    found = fetched(name, choose, console) if console is not None else snapshot(name, "model")
    files = found.paths(choose(found.names), name)
    fingerprint = _identity((one, hashes.sha256(path)) for one, path in files)
    return Artifact(found.folder, "checkpoint", fingerprint, revision=name.at(found.commit))


def fetched(name: HubName, choose: Callable[[Sequence[str]], Sequence[str]], console: Console) -> Snapshot:
    """A model of the hub, once the files that `choose` takes are in the cache."""
    from bmtool.artifacts.hub import fetch, snapshot

    fetch(name, "model", choose, console)
    return snapshot(name, "model")


def checkpoint_files(names: Sequence[str], extras: Sequence[str], where: str) -> list[str]:
    """Those of a repository's files that a checkpoint is opened from.

    Raises:
        MissingInputError: no `config.json`, weights or `tokenizer.json`.
        RefusedError: weights only as pickle.
    """
    shards = [name for name in names if _SHARD.fullmatch(name)]
    weights = ["model.safetensors"] if "model.safetensors" in names else [_INDEX, *shards] if _INDEX in names else []
    pickles = [name for name in names if name.endswith(PICKLE_SUFFIXES)]
    if not weights and pickles:
        raise RefusedError(
            f"{where}: weights in pickle format ({pickles[0]}) can run code when they are opened. Use a revision with "
            f"safetensors (the hub's converter opens one as a pull request: @refs/pr/NUMBER)"
        )
    for file in ("config.json", weights[0] if weights else "model.safetensors", "tokenizer.json"):
        if file not in names:
            raise MissingInputError(f"{where}: no checkpoint that bmtool reads is here ({file} is missing)")
    return sorted({"config.json", *weights, *(name for name in extras if name in names)})


def foreign_fingerprint(folder: Path, sha256: Callable[[Path], str]) -> str:
    """A hash over the names and hashes of the files that make a foreign model: weights, settings, vocabulary."""
    kept = [path for path in _files(folder) if path.suffix in (_WEIGHTS, ".onnx", ".json", ".txt", ".model")]
    return _identity((str(path.relative_to(folder)), sha256(path)) for path in kept)


def _identity(files: Iterable[tuple[str, str]]) -> str:
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    """The folder's files, sorted, nothing hidden; through links, since the hub's cache consists of them."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))

"""`bmtool clean`: removes what no name and no needed artifact stands on."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bmtool.artifacts.faults import fault
from bmtool.artifacts.files import tree_bytes
from bmtool.artifacts.lock import is_held, read_by_runs
from bmtool.artifacts.manifest import MANIFEST, Manifest, read_manifest
from bmtool.artifacts.store import Store
from bmtool.artifacts.temporary import left_over
from bmtool.console import json_text, size_text

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.console import Console


#: Behind the name of what is being removed.
GOING = ".going"


def clean(output_dir: Path, *, keep: int, dry_run: bool, as_json: bool, console: Console) -> int:
    """Remove unneeded artifacts but the newest `keep` of each stage, and unfinished work that nobody is at."""
    store = Store(output_dir)
    store.must_exist()
    going = sorted([*_unneeded(store, keep), *_abandoned(store)])
    freed, paths = 0, []
    for folder in going:
        size = tree_bytes(folder)
        console.say(f"{'would remove' if dry_run else 'removing'} {folder}")
        if not dry_run and not store.remove(folder):
            console.say(f"{folder} stays: a run has just begun to work on it")
            continue
        freed += size
        paths.append(str(folder))
    freed += _clean_temporary(output_dir, console, dry_run=dry_run)
    freed += _clean_cache(store, {folder.name for folder in going}, console, dry_run=dry_run)
    console.say(f"{size_text(freed)} {'would be freed' if dry_run else 'freed'}")
    if as_json:
        print(json_text({"command": "clean", "exit_code": 0, "results": paths, "freed_bytes": freed}))  # noqa: T201
    return 0


def _clean_temporary(output_dir: Path, console: Console, *, dry_run: bool) -> int:
    """Remove the temporary folders of killed processes; the bytes freed."""
    freed = 0
    for folder in [*left_over(), *left_over(output_dir)]:
        freed += tree_bytes(folder)
        console.say(f"{'would remove' if dry_run else 'removing'} {folder}, which a killed run left")
        if not dry_run:
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def _clean_cache(store: Store, gone: set[str], console: Console, *, dry_run: bool) -> int:
    """Remove kept work of `prepare` that no dataset was made from; the bytes freed."""
    if _is_preparing(store):
        console.say(f"{store.cache} stays: data is being prepared")
        return 0
    loose = _loose(store, gone)
    if loose:
        console.say(
            f"{'would remove' if dry_run else 'removing'} {len(loose):,} parts of earlier data in {store.cache}"
        )
    freed = 0
    for one in loose:
        size = tree_bytes(one) if one.is_dir() else one.stat().st_size
        if not dry_run:
            if _is_preparing(store):
                console.say(f"{store.cache}: the rest stays, a run has just begun to work with it")
                break
            # At once: no run finds half of it. One that is on its way already was left by a killed `clean`.
            going = one if one.suffix == GOING else one.rename(one.with_name(f".{one.name}{GOING}"))
            fault("clean:going")
            if going.is_dir():
                shutil.rmtree(going)
            else:
                going.unlink()
        freed += size
    return freed


def _loose(store: Store, gone: set[str]) -> list[Path]:
    """What is kept of units, of shards, of similar rows and of tokenizers, but belongs to no dataset.

    And what models have read of texts: a training that reads them again makes it anew.
    """
    parts, tokenizers = set[str](), set[str]()
    for folder in store.folder.iterdir():
        if folder.name not in gone and (folder / MANIFEST).exists():
            manifest = read_manifest(folder)
            parts |= {key for keys in manifest.environment.get("kept", {}).values() for key in keys}
            tokenizers |= {one.sha256 for name, one in manifest.files.items() if name == "tokenizer/tokenizer.json"}
    found = [
        one
        for shelf in ("rows", "tokens", "near", "shards")
        for one in store.cache.glob(f"{shelf}/*/*")
        if one.name not in parts
    ]
    memos = store.cache.glob("memos/*")  # `bmtool.data.passes.encode_pass` names them by the start of the hash
    is_idle = not any(is_held(lock) for lock in store.folder.glob(".*.lock"))
    # Hidden are those that a training is filling, or was when it was killed.
    found += [one for one in store.cache.glob("read/*/*") if is_idle or one.suffix == GOING or one.name[0] != "."]
    return found + [one for one in memos if not any(sha256.startswith(one.stem) for sha256 in tokenizers)]


def _is_preparing(store: Store) -> bool:
    return any(is_held(lock) for lock in store.folder.glob(".prepare-*.lock"))


def _unneeded(store: Store, keep: int) -> list[Path]:
    """Finished artifacts that no name points at, no run reads, and no needed artifact was made from."""
    manifests = {
        folder: read_manifest(folder)
        for folder in store.folder.iterdir()
        if not folder.name.startswith(".") and (folder / MANIFEST).exists()
    }
    named = {target.name for _, target in store.names()}
    needed = _needed(named | read_by_runs(store.folder), manifests)
    loose = [folder for folder in manifests if folder.name not in needed]
    kept: set[Path] = set()
    for stage in {manifests[folder].stage for folder in loose}:
        of_stage = [folder for folder in loose if manifests[folder].stage == stage]
        kept.update(sorted(of_stage, key=lambda folder: folder.stat().st_mtime, reverse=True)[:keep])
    needed |= _needed({folder.name for folder in kept}, manifests)
    return [folder for folder in loose if folder.name not in needed]


def _needed(names: set[str], manifests: dict[Path, Manifest]) -> set[str]:
    """`names` and all that they were made from."""
    sources = {
        folder.name: {entry["path"] for role, entry in manifest.inputs.items() if not role.startswith("source:")}
        for folder, manifest in manifests.items()
    }
    needed: set[str] = set()
    todo = set(names)
    while todo:
        name = todo.pop()
        needed.add(name)
        todo |= sources.get(name, set()) - needed
    return needed


def _abandoned(store: Store) -> list[Path]:
    """Partial folders, and folders on their way out, whose maker is gone, and that no run will go on in."""
    read = read_by_runs(store.folder)
    return [
        folder
        for folder in store.folder.iterdir()
        if folder.name.startswith(".")
        and folder != store.cache
        and folder.name[1:].rpartition(".")[0] not in read
        and folder.is_dir()
        and not is_held(store.folder / f"{folder.name.rpartition('.')[0]}.lock")
        and not _is_being_replaced(store.folder, folder.name[1:].rpartition(".")[0])
    ]


def _is_being_replaced(store: Path, name: str) -> bool:
    """Whether a run with --force was killed between its two renames: what is hidden then is all there is."""
    return (store / f".{name}.old").exists() and not (store / name).exists()

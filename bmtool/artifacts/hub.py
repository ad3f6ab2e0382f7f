"""Repositories of the Hugging Face hub: found in its cache on this disk, or brought there and said so.

Only `fetch` uses the network, and only where the cache lacks something. A commit in the cache stays what it is, and a
branch is the commit that the cache has for it: the hub isn't asked whether it moved. Where the cache lies, the token
and the rest are `huggingface_hub`'s settings (HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE, ...).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bmtool.artifacts.files import sha256_of
from bmtool.console import size_text
from bmtool.errors import DataError, MissingInputError, RefusedError, StorageError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    from bmtool.config.hub import HubName
    from bmtool.console import Console

Kind = Literal["dataset", "model"]

#: A listing comes in pages of up to 1,000 files, and all of it is held in memory.
MAX_FILES = 100_000

#: Bytes after which a thread that fetches looks whether Ctrl-C was pressed: the library waits for its threads.
_CHUNK_BYTES = 1024**2

#: Files that are fetched at once.
_CONNECTIONS = 4


@dataclass(frozen=True)
class Snapshot:
    """One commit of a repository, as far as it is in the cache."""

    folder: Path
    """Its files, as links; it need not be there yet."""
    commit: str
    names: tuple[str, ...]
    """Paths of all files of the commit, sorted; without a listing, of those that are in `folder`."""
    is_listed: bool
    """Whether the cache holds the hub's listing, so that a missing file is known to be missing."""

    def paths(self, chosen: Sequence[str], name: HubName) -> list[tuple[str, Path]]:
        """(name, path) of chosen files.

        Raises:
            MissingInputError: one isn't in the cache.
        """
        missing = [one for one in chosen if not (self.folder / one).is_file()]
        if missing:
            what = f"{len(missing):,} of {len(chosen):,} files aren't in the hub's cache ({missing[0]}, ...)"
            raise MissingInputError(f"{name}: {what}. {_HOW}")
        return [(one, self.folder / one) for one in chosen]


_HOW = "A run fetches what is missing, unless --offline or HF_HUB_OFFLINE=1 is set; check and --dry-run never do"


def cached(name: HubName, kind: Kind) -> Snapshot | None:
    """What the cache has of a repository, without the network; None: not even its commit is known."""
    from huggingface_hub import constants

    home = Path(constants.HF_HUB_CACHE).expanduser() / f"{kind}s--{name.repo.replace('/', '--')}"
    commit = name.revision if name.is_pinned else _referred(home / "refs" / (name.revision or "main"))
    if not commit:
        return None
    folder = home / "snapshots" / commit
    if (home / "trees" / f"{commit}.json").is_file():
        return Snapshot(folder, commit, tuple(sorted(_tree(home, name, kind, commit))), is_listed=True)
    found = (path for path in folder.rglob("*") if path.is_file())
    return Snapshot(folder, commit, tuple(sorted(str(path.relative_to(folder)) for path in found)), is_listed=False)


def _referred(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() if path.is_file() else ""


def _tree(home: Path, name: HubName, kind: Kind, commit: str) -> list[str]:
    """All files of a commit, as the hub listed them when some of them were fetched."""
    plain = json.loads((home / "trees" / f"{commit}.json").read_bytes())
    if plain.get("format_version") == 1:
        return list(plain["files"])
    from huggingface_hub import get_cached_repo_tree  # another version's: its import takes longer than all the rest

    return [file.path for file in get_cached_repo_tree(name.repo, repo_type=kind, revision=commit)]


def snapshot(name: HubName, kind: Kind) -> Snapshot:
    """What the cache has of a repository, without the network.

    Raises:
        MissingInputError: nothing.
    """
    found = cached(name, kind)
    if found is None or not found.names:
        raise MissingInputError(f"{name}: this {kind} isn't in the hub's cache. {_HOW}")
    return found


def fetch(name: HubName, kind: Kind, choose: Callable[[Sequence[str]], Sequence[str]], console: Console) -> None:
    """Bring the files that `choose` takes of all names into the cache, unless they are there; say what is fetched.

    A file that has come stays, whatever becomes of the others, and isn't fetched again. Each is compared with the hash
    that the hub lists.

    Raises:
        MissingInputError: the hub knows no such repository or revision, or wants a token; or we are offline.
        TryAgainError: the hub can't be reached, or sent other bytes than it listed.
        StorageError: the disk has too little room.
        RefusedError: there are too many files.
    """
    from huggingface_hub import constants

    is_offline = constants.is_offline_mode()
    found = cached(name, kind)
    if found and (found.is_listed or is_offline) and _is_whole(found, choose):
        say = console.detail if found.is_listed else console.warn
        note = "" if found.is_listed else "; whether these are all of its files can't be told without the network"
        say(f"{name}: commit {found.commit}, from the hub's cache{note}")
    elif is_offline:
        snapshot(name, kind)
    else:
        with _explained(name, kind):
            _bring(name, kind, found.commit if found else None, choose, console)


def _is_whole(found: Snapshot, choose: Callable[[Sequence[str]], Sequence[str]]) -> bool:
    return bool(found.names) and all((found.folder / one).is_file() for one in choose(found.names))


def _bring(
    name: HubName,
    kind: Kind,
    commit: str | None,
    choose: Callable[[Sequence[str]], Sequence[str]],
    console: Console,
) -> None:
    from huggingface_hub import HfApi, constants

    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK_BYTES
    constants.HF_HUB_DISABLE_TELEMETRY = True  # it also asks for a list of agents that may have started us
    hub = HfApi(library_name="bmtool")
    if commit is None:
        commit = hub.resolve_revision(name.repo, repo_type=kind, revision=name.revision).resolved
    listed = _listed(hub, name, kind, commit)
    chosen = choose(sorted(listed))
    found = cached(name, kind)
    missing = [one for one in chosen if found is None or not (found.folder / one).is_file()]
    size = sum(listed[one].size for one in missing)
    here = f", {len(chosen) - len(missing):,} more are in its cache" if len(missing) < len(chosen) else ""
    what = f"commit {commit}, {len(missing):,} of {len(listed):,} files, {size_text(size)}{here}"
    console.say(f"fetching {name} from {hub.endpoint}: {what}")
    if not name.is_pinned:
        console.say(f"{name} stays at this commit as long as the hub's cache has it. To pin it: {name.at(commit)}")
    _check_room(Path(constants.HF_HUB_CACHE).expanduser(), size, name)
    with console.progress(f"fetching {name.repo}", size) as progress, _interruptible() as is_interrupted:
        folder = hub.snapshot_download(
            name.repo,
            repo_type=kind,
            revision=commit,
            allow_patterns=[_literal(one) for one in chosen],
            max_workers=_CONNECTIONS,
            tqdm_class=_counting(progress.advance, is_interrupted),
        )
    for one in chosen:  # also what an earlier fetch brought that was ended before it could look
        _verify(Path(folder) / one, listed[one], name)


def _listed(hub: HfApi, name: HubName, kind: Kind, commit: str) -> Mapping[str, RepoFile]:
    from huggingface_hub.hf_api import RepoFile

    entries = hub.list_repo_tree(name.repo, repo_type=kind, revision=commit, recursive=True)
    files = {one.path: one for one in islice(entries, 2 * MAX_FILES) if isinstance(one, RepoFile)}
    if len(files) > MAX_FILES:
        raise RefusedError(f"{name}: it has more than {MAX_FILES:,} files, the limit. Download it, and name the folder")
    for path in files:
        if not path.isprintable():
            raise DataError(f"{name}: {path!r}: a file's name holds characters that can't be printed")
    return files


def _literal(path: str) -> str:
    """A pattern that only `path` matches."""
    return "".join(f"[{one}]" if one in "*?[" else one for one in path)


def _check_room(cache: Path, size: int, name: HubName) -> None:
    place = next(path for path in (cache, *cache.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < size:
        raise StorageError(
            f"{name}: {size_text(size)} are to be fetched, and {size_text(free)} are free in {place}. "
            f"Make room, or set HF_HOME to another disk"
        )


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets before all else that it does."""
    is_interrupted = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield is_interrupted
        return

    def handle(number: int, frame: FrameType | None) -> Any:
        is_interrupted.set()
        return before(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield is_interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _counting(advance: Callable[[float], None], is_interrupted: threading.Event) -> type[Any]:
    """A class of progress bars that shows nothing, hands on how many bytes were written, and ends its thread."""
    from huggingface_hub.utils.tqdm import tqdm

    class Counting(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.counts_bytes = kwargs.get("name") == "huggingface_hub.snapshot_download"
            super().__init__(*args, **(kwargs | {"disable": True}))  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            if is_interrupted.is_set():
                raise KeyboardInterrupt
            if self.counts_bytes:
                advance(n or 0)

    return Counting


def _verify(path: Path, listed: RepoFile, name: HubName) -> None:
    """Compare a file with its hash: sha256 of large ones, of others that of a git blob."""
    if not path.is_file():
        raise TryAgainError(f"{name}: {listed.path} didn't come. Run the command again")
    if listed.lfs is not None:
        is_same = sha256_of(path) == listed.lfs.sha256
    else:
        data = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)  # what git calls it by
        is_same = blob.hexdigest() == listed.blob_id
    if not is_same:
        path.resolve().unlink()
        path.unlink(missing_ok=True)  # without symbolic links the two are the same file
        raise TryAgainError(f"{name}: {listed.path} came with other bytes than the hub lists; it is removed. Try again")


@contextmanager
def _explained(name: HubName, kind: Kind) -> Iterator[None]:
    """What `huggingface_hub` raises, as errors with a place, a remedy and an exit code."""
    from huggingface_hub import constants, errors

    hub, where = constants.ENDPOINT, f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{name.repo}"
    try:
        yield
    except errors.GatedRepoError:
        text = f"{name}: access is granted by its owner. Ask for it at {where}, then set HF_TOKEN to a token of yours"
        raise MissingInputError(text) from None
    except errors.RepositoryNotFoundError:
        text = f"{name}: {hub} has no such {kind}, or it is private: then set HF_TOKEN to a token that may read it"
        raise MissingInputError(text) from None
    except errors.RevisionNotFoundError:
        raise MissingInputError(f"{name}: there is no revision '{name.revision}'. See {where}") from None
    except (
        errors.HTTPError,  # type: ignore[attr-defined]  # httpx's, of whichever version the hub's client uses
        errors.LocalEntryNotFoundError,
        errors.RevisionResolutionError,
        errors.FileMetadataError,
        errors.XetDownloadError,
    ) as error:
        cause = error.__cause__ or error
        if not isinstance(cause, errors.HfHubHTTPError):
            offline = "With --offline only what is in its cache is used"
            what = f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"
            raise TryAgainError(f"{name}: {hub} can't be reached: {what}. {offline}") from None
        status = cause.response.status_code
        text = f"{name}: {hub} answered {status}: {cause.server_message or cause.response.reason_phrase}"
        raise (TryAgainError if status == 429 or status >= 500 else MissingInputError)(text) from None

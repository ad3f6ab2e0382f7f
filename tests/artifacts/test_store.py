import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from bmtool.artifacts import hashes
from bmtool.artifacts.files import sha256_of
from bmtool.artifacts.hashes import HashCache
from bmtool.artifacts.lock import locked
from bmtool.artifacts.store import Store, open_artifact, problems
from bmtool.errors import DataError, MissingInputError

sys.path.insert(0, str(Path(__file__).parent))
from maker import make

MAKER = Path(__file__).parent / "maker.py"
COMMIT_POINTS = ["synced", "manifest", "cleaned", "renamed", "linking", "linked"]


def run_maker(root: Path, *words: str, fault: str = "") -> subprocess.CompletedProcess:
    environment = {**os.environ, "BMTOOL_FAULT": fault}
    return subprocess.run([sys.executable, MAKER, root, *words], env=environment, capture_output=True, text=True)


def contents(root: Path) -> dict[str, str]:
    """Every file and link below the root, without the memory of hashes."""
    return {
        str(path.relative_to(root)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in root.rglob("*")
        if (path.is_symlink() or path.is_file()) and path.name != ".hashes"
    }


@pytest.fixture
def reference(tmp_path):
    """What an uninterrupted run leaves."""
    make(tmp_path / "reference", {"a": 1})
    return contents(tmp_path / "reference")


def test_an_artifact_is_made_once_and_found_again(tmp_path):
    first = make(tmp_path, {"a": 1})
    again = make(tmp_path, {"a": 1})

    assert first.folder == again.folder
    assert (tmp_path / "name/fake").resolve() == first.folder.resolve()
    assert sorted(p.name for p in first.folder.rglob("*") if p.is_file()) == ["a.txt", "b.txt", "manifest.json"]


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_killed_at_any_step_of_the_commit_the_same_command_finishes(tmp_path, reference, point):
    root = tmp_path / "runs"

    killed = run_maker(root, "1", fault=f"kill@commit:{point}")
    again = run_maker(root, "1")

    assert killed.returncode == -9
    assert again.returncode == 0, again.stderr
    assert contents(root) == reference


@pytest.mark.parametrize("point", ["synced", "manifest", "cleaned", "moved", "renamed"])
def test_killed_while_forced_the_old_or_the_new_artifact_is_whole(tmp_path, reference, point):
    root = tmp_path / "runs"
    run_maker(root, "1")

    killed = run_maker(root, "1", "--force", fault=f"kill@commit:{point}")
    again = run_maker(root, "1", "--force")

    assert killed.returncode == -9
    assert again.returncode == 0, again.stderr
    assert contents(root) == reference


def test_other_settings_keep_the_first_artifact_and_move_the_name(tmp_path):
    first = make(tmp_path, {"a": 1})
    second = make(tmp_path, {"a": 2})

    assert first.folder.exists()
    assert (tmp_path / "name/fake").resolve() == second.folder.resolve()
    assert make(tmp_path, {"a": 1}).folder == first.folder
    assert (tmp_path / "name/fake").resolve() == first.folder.resolve()


def test_a_moved_store_is_still_valid(tmp_path):
    make(tmp_path / "runs", {"a": 1})

    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")

    artifact = open_artifact(tmp_path / "elsewhere/name/fake")
    assert not list(problems(artifact, sha256_of))
    assert artifact.folder.parent == tmp_path / "elsewhere/store"


def test_a_flipped_bit_is_found_and_its_file_named(tmp_path):
    artifact = make(tmp_path, {"a": 1})
    path = artifact.folder / "data/a.txt"
    path.write_bytes(b"A" + path.read_bytes()[1:])

    with pytest.raises(DataError) as error:
        Store(tmp_path).verify(artifact)

    assert str(error.value) == (
        f"{path}: its bytes changed since they were written (sha256 differs). Make the artifact again with --force"
    )


def test_a_bit_flipped_behind_the_clocks_back_is_found_when_everything_is_hashed(tmp_path):
    artifact = make(tmp_path, {"a": 1})
    store = Store(tmp_path)
    path = artifact.folder / "b.txt"
    path.write_text("x")
    store.hashes.remember(path, artifact.manifest.files["b.txt"].sha256)  # as if nothing had told us

    store.verify(artifact)
    assert list(problems(artifact, sha256_of)) == [
        f"{path}: its bytes changed since they were written (sha256 differs)"
    ]


def test_a_shorter_file_and_a_missing_file_are_named(tmp_path):
    artifact = make(tmp_path, {"a": 1})
    (artifact.folder / "b.txt").write_text("")

    with pytest.raises(DataError, match=r"b\.txt: 0 bytes, but the manifest says 1"):
        Store(tmp_path).verify(artifact)

    (artifact.folder / "b.txt").unlink()
    with pytest.raises(DataError, match=r"b\.txt: the file is missing"):
        Store(tmp_path).verify(artifact)


def test_a_folder_without_a_manifest_is_no_artifact(tmp_path):
    with pytest.raises(MissingInputError) as error:
        open_artifact(tmp_path)

    assert str(error.value) == f"{tmp_path}: no artifact is here (manifest.json is missing)"


def test_a_torn_line_in_the_memory_of_hashes_costs_only_a_hash(tmp_path):
    make(tmp_path, {"a": 1})
    file = tmp_path / "store/.hashes"
    file.write_text(file.read_text()[:-30])

    assert make(tmp_path, {"a": 1}).summary == {"rows": 1}


def test_a_file_that_changes_while_it_is_hashed_is_hashed_again(tmp_path, monkeypatch):
    path = tmp_path / "data.jsonl"
    path.write_text("old")

    def slow_hash(file, stop):
        path.write_text("new text")
        return "hash of the old text"

    with monkeypatch.context() as patch:
        patch.setattr("bmtool.artifacts.hashes.sha256_of", slow_hash)
        HashCache(tmp_path / "hashes").sha256(path, ours=True)

    assert HashCache(tmp_path / "hashes").sha256(path) == hashlib.sha256(b"new text").hexdigest()


def test_a_file_deeper_down_that_is_called_like_a_manifest_is_listed(tmp_path):
    store = Store(tmp_path)
    place = store.place("fake", "0" * 64)
    (place.partial / "inner").mkdir(parents=True)
    (place.partial / "inner/manifest.json").write_text("{}")

    assert list(store.entries(place)) == ["inner/manifest.json"]


def test_an_artifact_that_is_half_removed_never_looks_whole(tmp_path, monkeypatch):
    artifact = make(tmp_path, {"a": 1})
    monkeypatch.setenv("BMTOOL_FAULT", "enospc@clean:moved")

    with pytest.raises(OSError, match="No space left"):
        Store(tmp_path).remove(artifact.folder)

    assert not artifact.folder.exists()
    assert make(tmp_path, {"a": 1}).folder.exists()


def test_what_a_run_is_at_is_not_removed(tmp_path):
    artifact = make(tmp_path, {"a": 1})
    store = Store(tmp_path)

    with locked(store.place("fake", artifact.fingerprint).lock):
        assert not store.remove(artifact.folder)

    assert artifact.folder.exists()
    assert store.remove(artifact.folder)
    assert not artifact.folder.exists()


def test_another_name_of_a_file_needs_no_hashing_until_the_file_is_written_to(tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(hashes, "sha256_of", lambda path, stop: hashed.append(path.name) or sha256_of(path, stop))
    cache = HashCache(tmp_path / ".hashes")
    one, other, third = (tmp_path / name for name in ("one", "other", "third"))
    one.write_bytes(b"abc")
    first = cache.sha256(one, ours=True)
    other.hardlink_to(one)

    again = HashCache(tmp_path / ".hashes")

    assert again.sha256(other, ours=True) == again.sha256(one, ours=True) == first == sha256_of(one)
    assert hashed == ["one"]
    third.hardlink_to(one)
    one.write_bytes(b"abd")
    assert again.sha256(third, ours=True) == sha256_of(third) != first
    assert hashed == ["one", "third"]


def test_raw_files_are_hashed_side_by_side_and_each_is_remembered(tmp_path, monkeypatch):
    files = [(f"{number}", tmp_path / f"{number}.txt") for number in range(50)]
    for name, path in files:
        path.write_text(name)
        os.utime(path, (1, 1))
    (tmp_path / "runs" / "store").mkdir(parents=True)
    time.sleep(hashes.FINE_SECONDS + 0.05)
    expected = {name: hashlib.sha256(name.encode()).hexdigest() for name, _ in files}

    assert Store(tmp_path / "runs").hashes_of_raw(files, is_smoke=False) == expected

    monkeypatch.setattr(hashes, "sha256_of", None)
    assert Store(tmp_path / "runs").hashes_of_raw(files, is_smoke=False) == expected


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_waits_for_no_large_raw_file(tmp_path):
    large = tmp_path / "large.txt"
    large.touch()
    os.truncate(large, 30 * 1024**3)  # takes no room on the disk, and ten seconds and more to hash
    asking = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    asking.start()
    started = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path / "runs").hashes_of_raw([("large", large)], is_smoke=False)

    assert time.monotonic() - started < 5

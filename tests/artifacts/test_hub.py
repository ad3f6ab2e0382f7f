import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from bmtool.artifacts import hub
from bmtool.artifacts.hub import cached, fetch, snapshot
from bmtool.config.hub import hub_name
from bmtool.config.model import ValidationError, validate
from bmtool.console import Console
from bmtool.errors import DataError, MissingInputError, StorageError, TryAgainError
from bmtool.sources.huggingface import Huggingface
from huggingface_hub import constants, get_cached_repo_tree

sys.path.insert(0, str(Path(__file__).parent))
from hub_server import LARGE, serving

NOWHERE = "http://127.0.0.1:9"
PINNED = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "README.md": b"# card",
    "loader.py": b"raise SystemExit(1)",
    "data/train-0.jsonl": b'{"text": "a"}\n',
    "data/train-1.jsonl": b'{"text": "b"}\n' * LARGE,
    "data/test-0.jsonl": b'{"text": "c"}\n',
}


def point_at(monkeypatch, url):
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A hub that the client reads, and a cache of its own."""
    with serving() as server:
        point_at(monkeypatch, server.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "none")
        yield server


def every(names):
    return sorted(names)


def source(path, **settings):
    return Huggingface(path=path, **settings)


def brought(path, **settings):
    one = source(path, **settings)
    one.fetch(Console())
    return {name: path.read_bytes() for name, path in one.files()}


def test_a_split_is_fetched_once_and_its_commit_is_known(server, capsys):
    commit = server.commit("org/name", FILES)

    first = brought("hf:org/name")
    asked = len(server.requests)
    again = brought("hf:org/name")

    assert first == again == {name: data for name, data in FILES.items() if name.startswith("data/train")}
    assert len(server.requests) == asked
    assert not [one for one in server.requests if "loader.py" in one or "README" in one]
    assert source("hf:org/name").revisions() == {"hf:org/name": commit}
    assert capsys.readouterr().err.splitlines() == [
        f"fetching hf:org/name from {server.url}: commit {commit}, 2 of 5 files, 14.0 kB",
        f"hf:org/name stays at this commit as long as the hub's cache has it. To pin it: hf:org/name@{commit}",
    ]


def test_a_branch_stays_at_its_commit_and_another_commit_can_be_named(server):
    before = server.commit("org/name", FILES)
    brought("hf:org/name@main")
    after = server.commit("org/name", {"train.csv": b"text\nnew\n"})

    assert len(brought("hf:org/name@main")) == 2
    assert brought(f"hf:org/name@{after}") == {"train.csv": b"text\nnew\n"}
    assert source("hf:org/name@main").revisions() == {"hf:org/name@main": before}


def test_what_is_in_the_cache_needs_no_network(server, monkeypatch):
    commit = server.commit("org/name", FILES)
    brought("hf:org/name")
    point_at(monkeypatch, NOWHERE)

    assert len(brought(f"hf:org/name@{commit}")) == 2
    with pytest.raises(TryAgainError, match=rf"hf:org/other: {NOWHERE} can't be reached: ConnectError"):
        brought("hf:org/other")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert len(brought("hf:org/name")) == 2
    with pytest.raises(MissingInputError) as error:
        brought("hf:org/name", files="data/*")
    assert str(error.value) == (
        "hf:org/name: 1 of 3 files aren't in the hub's cache (data/test-0.jsonl, ...). A run fetches what is missing, "
        "unless --offline or HF_HUB_OFFLINE=1 is set; check and --dry-run never do"
    )


def test_a_cache_without_a_listing_is_read_offline_with_a_warning(server, monkeypatch, capsys):
    commit = server.commit("org/name", FILES)
    brought("hf:org/name")
    (next(Path(constants.HF_HUB_CACHE).glob("*/trees")) / f"{commit}.json").unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    assert len(brought("hf:org/name")) == 2
    said = capsys.readouterr().err
    assert f"warning: hf:org/name: commit {commit}, from the hub's cache" in said
    assert "whether these are all of its files can't be told without the network" in said


def test_our_reading_of_the_cache_is_the_librarys(server):
    commit = server.commit("org/name", FILES)
    brought("hf:org/name")

    theirs = get_cached_repo_tree("org/name", repo_type="dataset", revision=commit)

    found = cached(hub_name("hf:org/name"), "dataset")
    assert list(found.names) == sorted(one.path for one in theirs) == sorted(FILES)


def test_an_interrupted_fetch_goes_on_with_the_files_that_are_missing(server):
    server.commit("org/name", FILES)
    server.broken["data/train-1.jsonl"] = 404

    with pytest.raises(MissingInputError, match=rf"hf:org/name: {server.url} answered 404: broken"):
        brought("hf:org/name")
    server.broken.clear()
    server.requests.clear()

    assert len(brought("hf:org/name")) == 2
    assert [one for one in server.requests if "train-0" in one] == []


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_fetch_within_a_moment(server):
    server.commit("org/name", {"train.jsonl": b'{"text": "a"}\n' * 1_000_000})  # 14 MB, in 11 s
    server.pause = 0.2
    threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT]).start()
    started = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        brought("hf:org/name")

    assert time.monotonic() - started < 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("broken", ["data/train-0.jsonl", "data/train-1.jsonl"])
def test_bytes_that_the_hub_did_not_list_are_removed(server, broken):
    server.commit("org/name", FILES)
    server.broken[broken] = 0

    with pytest.raises(TryAgainError) as error:
        brought("hf:org/name")
    server.broken.clear()

    assert (
        str(error.value) == f"hf:org/name: {broken} came with other bytes than the hub lists; it is removed. Try again"
    )
    assert brought("hf:org/name")[broken] == FILES[broken]


def test_what_the_hub_refuses_is_said_with_its_remedy(server, monkeypatch):
    server.commit("org/name", FILES)
    server.commit("org/gated", FILES)
    server.gated.add("org/gated")
    server.token = "hf_mine"

    with pytest.raises(MissingInputError, match="has no such dataset, or it is private: then set HF_TOKEN"):
        brought("hf:org/none")
    with pytest.raises(MissingInputError, match="hf:org/name@v9: there is no revision 'v9'"):
        brought("hf:org/name@v9")
    with pytest.raises(MissingInputError, match=rf"hf:org/name@{PINNED}: there is no revision"):
        brought(f"hf:org/name@{PINNED}")
    with pytest.raises(MissingInputError, match=r"Ask for it at .*/datasets/org/gated, then set HF_TOKEN"):
        brought("hf:org/gated")
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert len(brought("hf:org/gated")) == 2


def test_a_disk_without_room_and_a_repository_without_bounds_stop_before_the_fetch(server, monkeypatch):
    server.commit("org/name", FILES)
    usage = SimpleNamespace(free=1)
    with monkeypatch.context() as patch:
        patch.setattr(hub.shutil, "disk_usage", lambda path: usage)

        with pytest.raises(StorageError, match=r"14.0 kB are to be fetched, and 1 B are free in .* Make room"):
            brought("hf:org/name")

    monkeypatch.setattr(hub, "MAX_FILES", 3)
    with pytest.raises(hub.RefusedError, match="more than 3 files, the limit"):
        brought("hf:org/name")
    assert not [one for one in server.requests if "resolve" in one]


def test_a_split_in_several_folders_is_chosen_by_a_pattern(server):
    server.commit("org/name", {"de/train.csv": b"text\nja\n", "en/train.csv": b"text\nyes\n"})

    with pytest.raises(DataError, match=r"its split 'train' lies in 2 folders: de, en. Say which .* such as 'en/\*'"):
        brought("hf:org/name")
    assert brought("hf:org/name", files="en/*") == {"en/train.csv": b"text\nyes\n"}
    assert len(brought("hf:org/name", files="**/*.csv")) == 2


def test_names_with_signs_of_patterns_are_fetched_as_they_are(server):
    server.commit("org/name", {"train[1].csv": b"text\na\n", "train1.csv": b"text\nb\n"})

    assert brought("hf:org/name", files="train[[]1].csv") == {"train[1].csv": b"text\na\n"}
    assert not [one for one in server.requests if "train1.csv" in one]


def test_a_model_is_fetched_in_the_same_way(server):
    commit = server.commit("org/bert", {"config.json": b"{}", "model.safetensors": b"w" * LARGE, "old.bin": b"p"})
    name = hub_name("hf:org/bert")

    fetch(name, "model", lambda names: [one for one in names if not one.endswith(".bin")], Console(quiet=True))

    found = snapshot(name, "model")
    assert (found.commit, (found.folder / "model.safetensors").read_bytes()) == (commit, b"w" * LARGE)
    assert not (found.folder / "old.bin").exists()


@pytest.mark.parametrize(
    "path", ["hf:", "hf:/name", "hf:org/name@", "hf:a/b/c", "hf:../x", "hf:org/na--me", "hf:org/name@../../x", "hf:a b"]
)
def test_what_is_no_name_on_the_hub_is_refused(path):
    with pytest.raises(ValidationError, match=r"is no name on the hub. Write hf:ORG/NAME, or hf:ORG/NAME@REVISION"):
        validate(Huggingface, {"path": path})


def test_a_name_says_whether_it_is_pinned():
    assert hub_name("data/reviews/") is None
    assert [hub_name(text).is_pinned for text in (f"hf:a/b@{PINNED}", "hf:a/b@main", "hf:b")] == [True, False, False]

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bmtool.artifacts.files import sha256_of
from bmtool.artifacts.lock import locked

sys.path.insert(0, str(Path(__file__).parent.parent))
from project import bmtool, tree, write_project

SMALLER = ("--set", "prepare.corpus.tokenizer.vocab_size=280")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Two artifacts with names, and one that a name pointed at before."""
    folder = write_project(tmp_path_factory.mktemp("once") / "project")
    bmtool(folder, "prepare", "tiny.yaml", "corpus", *SMALLER)
    done = bmtool(folder, "prepare", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(once, tmp_path):
    """A copy of it to play with."""
    shutil.copytree(once, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


def artifacts(folder: Path) -> set[str]:
    return {path.name for path in (folder / "runs/store").iterdir() if path.is_dir() and path.name != ".cache"}


def parts(folder: Path) -> set[str]:
    """The work that the cache keeps."""
    return {path.name for shelf in ("rows", "tokens") for path in (folder / "runs/store/.cache" / shelf).glob("*/*")}


def test_status_names_what_each_name_points_at(folder):
    results = json.loads(bmtool(folder, "status", "--json").stdout)["results"]

    names = [result["names"] for result in results]
    assert sorted(names) == [[], [], ["tiny/prepare/corpus"], ["tiny/prepare/stars"]]
    assert sorted(result["state"] for result in results) == ["cache", "finished", "finished", "finished"]
    assert all(result["size_bytes"] > 1000 for result in results)


def test_status_shows_unfinished_work(folder):
    bmtool(folder, "prepare", "tiny.yaml", "stars", "--force", fault="kill@commit:synced")

    results = json.loads(bmtool(folder, "status", "--json").stdout)["results"]

    assert [result["state"] for result in results].count("partial") == 1


def test_status_without_a_store_is_66(tmp_path):
    done = bmtool(tmp_path, "status")

    assert done.returncode == 66
    assert done.stderr == "error: runs: nothing has been made here yet (runs/store doesn't exist)\n"


def test_clean_removes_what_no_name_points_at(folder):
    before = artifacts(folder)

    done = bmtool(folder, "clean")

    assert done.returncode == 0, done.stderr
    gone = before - artifacts(folder)
    assert len(gone) == 1
    assert bmtool(folder, "prepare", "tiny.yaml", "--json").stdout.count("up_to_date") == 2


def test_clean_keeps_as_many_as_it_is_told(folder):
    before = artifacts(folder)

    bmtool(folder, "clean", "--keep", "1")

    assert artifacts(folder) == before


def test_clean_with_dry_run_only_says_so(folder):
    before = artifacts(folder)

    done = bmtool(folder, "clean", "--dry-run")

    assert "would remove runs/store/prepare-" in done.stderr
    assert artifacts(folder) == before


def test_clean_keeps_what_a_named_artifact_was_made_from(folder):
    stars = (folder / "runs/tiny/prepare/stars").resolve()
    manifest = json.loads((stars / "manifest.json").read_text())
    corpus = (folder / "runs/tiny/prepare/corpus").resolve()
    manifest["inputs"]["from"] = {"path": corpus.name, "fingerprint": "x"}
    (stars / "manifest.json").write_text(json.dumps(manifest))
    (folder / "runs/tiny/prepare/corpus").unlink()

    bmtool(folder, "clean")

    assert corpus.exists()


def test_clean_leaves_what_is_all_there_is_of_an_artifact_that_was_being_replaced(folder):
    before = tree(folder / "runs/store")
    killed = bmtool(folder, "prepare", "tiny.yaml", "stars", "--force", fault="kill@commit:moved")

    bmtool(folder, "clean", "--keep", "9")
    again = bmtool(folder, "prepare", "tiny.yaml", "stars")

    assert killed.returncode < 0
    assert again.returncode == 0
    assert "resumed" in again.stderr
    assert tree(folder / "runs/store") == before


def test_clean_removes_unfinished_work_that_nobody_is_at(folder):
    bmtool(folder, "prepare", "tiny.yaml", "stars", "--force", fault="kill@commit:synced")
    assert [name for name in artifacts(folder) if name.endswith(".partial")]

    bmtool(folder, "clean")

    assert not [name for name in artifacts(folder) if name.endswith(".partial")]


# ---------------------------------------------------------------- the cache


def test_status_shows_the_cache_in_the_table(folder):
    done = bmtool(folder, "status")

    [line] = [line for line in done.stdout.splitlines() if line.startswith(".cache")]
    assert line.split()[-2:] == ["cache", "-"]


def test_clean_removes_kept_work_that_no_dataset_needs(folder):
    before = parts(folder)
    bmtool(folder, "prepare", "tiny.yaml", "stars", "--set", "prepare.stars.clean=[whitespace]", "--force")
    bmtool(folder, "prepare", "tiny.yaml", "stars")
    with_more = parts(folder)
    left_over = folder / "runs/store/.cache/rows/ab/.abcd.somewhere.1"
    left_over.mkdir(parents=True)

    memos = folder / "runs/store/.cache/memos"
    [tokenizer] = (folder / "runs").glob("*/prepare/*/tokenizer/tokenizer.json")
    memo = memos / f"{sha256_of(tokenizer)[:32]}.memo"
    memos.mkdir()
    for one in (memo, memos / f"{'0' * 32}.memo"):  # as larger data than this would leave them
        one.write_bytes(b"memo")

    dry = bmtool(folder, "clean", "--dry-run")
    still = parts(folder)
    done = bmtool(folder, "clean", "--json")

    assert before < with_more
    assert "parts of earlier data in runs/store/.cache" in dry.stderr
    assert still == with_more | {left_over.name}
    assert json.loads(done.stdout)["freed_bytes"] > 1000
    assert parts(folder) == before
    assert list(memos.iterdir()) == [memo]
    again = bmtool(folder, "prepare", "tiny.yaml", "--json", "--force")
    assert [result["status"] for result in json.loads(again.stdout)["results"]] == ["done", "done"]


def test_what_clean_leaves_is_what_the_datasets_are_made_of(folder):
    bmtool(folder, "clean")
    kept = parts(folder)
    shutil.rmtree(next((folder / "runs/store").glob("prepare-*")))
    shutil.rmtree(next((folder / "runs/store").glob("prepare-*")))

    done = bmtool(folder, "prepare", "tiny.yaml")

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("resumed: 400 rows were read already (1 of 1 parts)") == 2
    assert parts(folder) == kept


def test_clean_leaves_the_cache_alone_while_data_is_prepared(folder):
    before = parts(folder)
    bmtool(folder, "prepare", "tiny.yaml", "stars", "--set", "prepare.stars.clean=[whitespace]")
    bmtool(folder, "prepare", "tiny.yaml", "stars")

    with locked(folder / "runs/store/.prepare-0123456789ab.lock"):
        done = bmtool(folder, "clean")

    assert done.returncode == 0
    assert "runs/store/.cache stays: data is being prepared" in done.stderr
    assert parts(folder) > before


def test_a_clean_that_is_killed_is_finished_by_the_next(folder):
    read = folder / "runs/store/.cache/read/ab"
    for name in ("abcd", ".abce.somewhere.1"):  # read by a training, and being read when it was killed
        (read / name).mkdir(parents=True)
        (read / name / "read.npy").write_bytes(b"numbers")

    killed = bmtool(folder, "clean", fault="kill@clean:going:2")
    left = {path.name for path in read.iterdir()}
    done = bmtool(folder, "clean")

    assert killed.returncode < 0
    assert any(name.endswith(".going") for name in left)
    assert done.returncode == 0
    assert list(read.iterdir()) == []


def test_what_a_training_is_reading_stays(folder):
    reading = folder / "runs/store/.cache/read/ab/.abce.somewhere.1"
    reading.mkdir(parents=True)

    with locked(folder / "runs/store/.finetune-0123456789ab.lock"):
        bmtool(folder, "clean")

    assert reading.is_dir()


# ---------------------------------------------------------------- temporary folders


def piped(folder: Path, fault: str = "") -> subprocess.CompletedProcess:
    words = ("prepare", "tiny.yaml", "corpus", "--set", "prepare.corpus.sources={type: csv, path: '-'}")
    environment = {**os.environ, "BMTOOL_FAULT": fault, "TMPDIR": str(folder / "temporary")}
    (folder / "temporary").mkdir(exist_ok=True)
    with (folder / "reviews.csv").open() as rows:
        return subprocess.run(
            [sys.executable, "-m", "bmtool.cli", *words], cwd=folder, env=environment, stdin=rows, capture_output=True
        )


def test_the_standard_input_that_a_killed_run_kept_is_gone_after_the_next(folder):
    killed = piped(folder, fault="kill@prepare:rows")
    left = list((folder / "temporary").iterdir())

    again = piped(folder)

    assert killed.returncode == -9, killed.stderr
    assert [path.name.startswith("bmtool-stdin-") for path in left] == [True]
    assert again.returncode == 0, again.stderr
    assert list((folder / "temporary").iterdir()) == []


def test_status_shows_what_killed_runs_left_in_the_temporary_folder_and_clean_removes_it(folder, monkeypatch):
    piped(folder, fault="kill@prepare:rows")
    [left] = (folder / "temporary").iterdir()
    monkeypatch.setenv("TMPDIR", str(folder / "temporary"))

    results = json.loads(bmtool(folder, "status", "--json").stdout)["results"]
    done = bmtool(folder, "clean")

    [shown] = [result for result in results if result["state"] == "left over"]
    assert shown["artifact"] == str(left)
    assert shown["size_bytes"] > (folder / "reviews.csv").stat().st_size
    assert f"removing {left}, which a killed run left" in done.stderr
    assert list((folder / "temporary").iterdir()) == []


def test_verify_reads_all_bytes_and_names_each_file_that_changed(folder):
    done = bmtool(folder, "verify", "--json")
    assert done.returncode == 0, done.stderr
    assert [result["problems"] for result in json.loads(done.stdout)["results"]] == [[], [], []]

    path = next((folder / "runs/tiny/prepare/stars/").resolve().rglob("*.arrow"))
    content = path.read_bytes()
    times = path.stat()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    done = bmtool(folder, "verify", "runs/tiny/prepare/stars")
    assert done.returncode == 65
    assert path.name in done.stderr
    assert "1 of 1 artifacts are damaged" in done.stderr
    assert bmtool(folder, "verify", "runs/tiny/prepare/corpus").returncode == 0


def test_clean_leaves_what_a_running_process_reads(folder):
    before = artifacts(folder)
    [loose] = before - {path.resolve().name for path in (folder / "runs/tiny/prepare").iterdir()}

    with locked(folder / "runs/store/.finetune-0123456789ab.lock", reads=[loose]):
        bmtool(folder, "clean")
        during = artifacts(folder)
    bmtool(folder, "clean")

    assert during == before
    assert artifacts(folder) == before - {loose}


def test_a_circle_of_links_made_by_hand_stops_neither_status_nor_clean(folder):
    (folder / "runs/tiny/odd").symlink_to("odd")

    assert [bmtool(folder, command).returncode for command in ("status", "clean")] == [0, 0]

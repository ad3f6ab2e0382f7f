"""The life of an artifact as a user sees it, on `prepare`, which needs no torch."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from project import bmtool, start, tree, write_project


@pytest.fixture
def folder(tmp_path):
    """A project in which nothing is made."""
    return write_project(tmp_path / "project")


@pytest.fixture(scope="session")
def prepared_once(tmp_path_factory):
    """A project whose datasets are made."""
    folder = write_project(tmp_path_factory.mktemp("prepared") / "project")
    done = bmtool(folder, "prepare", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def prepared(prepared_once, tmp_path):
    """A copy of it to play with."""
    shutil.copytree(prepared_once, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def test_stdout_has_one_path_per_artifact_and_the_names_point_there(prepared_once):
    done = bmtool(prepared_once, "prepare", "tiny.yaml")

    paths = [prepared_once / line for line in done.stdout.splitlines()]
    assert [path.name[:8] for path in paths] == ["prepare-", "prepare-"]
    assert (prepared_once / "runs/tiny/prepare/corpus").resolve() == paths[0].resolve()
    assert (prepared_once / "runs/tiny/prepare/stars").resolve() == paths[1].resolve()


def test_a_second_run_is_up_to_date_and_changes_nothing(prepared):
    before = {path: path.stat().st_mtime_ns for path in (prepared / "runs").rglob("*.arrow")}

    done = bmtool(prepared, "prepare", "tiny.yaml", "--json")

    document = json.loads(done.stdout)
    assert document["command"] == "prepare"
    assert document["exit_code"] == 0
    assert [(r["stage"], r["dataset"], r["status"]) for r in document["results"]] == [
        ("prepare", "corpus", "up_to_date"),
        ("prepare", "stars", "up_to_date"),
    ]
    assert {path: path.stat().st_mtime_ns for path in (prepared / "runs").rglob("*.arrow")} == before


def test_quiet_is_silent_on_success(prepared):
    assert bmtool(prepared, "prepare", "tiny.yaml", "-q").stderr == ""


def test_an_error_of_a_stage_says_of_which_dataset(folder):
    done = bmtool(folder, "prepare", "tiny.yaml", "-q", "--set", "prepare.corpus.columns={text: no_such}")

    assert done.returncode == 65
    assert done.stderr.startswith("error: prepare corpus: ")


def test_closed_standard_streams_change_nothing(folder, prepared_once):
    command = f"{sys.executable} -m bmtool.cli prepare tiny.yaml <&- >&- 2>&-"
    done = subprocess.run(["bash", "-c", command], cwd=folder, check=False)

    assert done.returncode == 0
    assert tree(folder / "runs" / "store") == tree(prepared_once / "runs" / "store")


def test_a_result_that_can_not_be_written_is_74(prepared):
    command = f"{sys.executable} -m bmtool.cli prepare tiny.yaml -q > /dev/full"
    done = subprocess.run(["bash", "-c", command], cwd=prepared, check=False, capture_output=True, text=True)

    assert done.returncode == 74
    assert done.stderr.startswith("error: No space left on device")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("output_dir", "code"), [("reviews.csv", 66), ("/proc/nowhere", 74)])
def test_an_output_folder_that_can_not_be_is_named(folder, output_dir, code):
    done = bmtool(folder, "prepare", "tiny.yaml", "-q", "--set", f"output_dir={output_dir}")

    assert done.returncode == code
    assert output_dir in done.stderr
    assert "a bug" not in done.stderr


def test_the_last_line_names_the_next_command(prepared):
    done = bmtool(prepared, "prepare", "tiny.yaml")

    assert done.stderr.splitlines()[-1] == "next: bmtool pretrain tiny.yaml"


def test_a_changed_setting_is_the_reason_that_is_said(prepared):
    done = bmtool(prepared, "prepare", "tiny.yaml", "corpus", "--set", "prepare.corpus.tokenizer.vocab_size=280")

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == (
        "prepare corpus: again, because prepare.corpus.tokenizer.vocab_size 300 -> 280"
    )


def test_an_earlier_setting_is_up_to_date_at_once(prepared):
    bmtool(prepared, "prepare", "tiny.yaml", "corpus", "--set", "prepare.corpus.tokenizer.vocab_size=280")

    done = bmtool(prepared, "prepare", "tiny.yaml", "corpus", "--json")

    result = json.loads(done.stdout)["results"][0]
    assert result["status"] == "up_to_date"
    assert (prepared / "runs/tiny/prepare/corpus").resolve() == (prepared / result["artifact"]).resolve()


def test_changed_raw_data_is_the_reason_that_is_said(prepared):
    with (prepared / "reviews.csv").open("a", encoding="utf-8") as handle:
        handle.write("one more lovely review for the price,5,customer-1\n")

    done = bmtool(prepared, "prepare", "tiny.yaml", "stars", "--dry-run")

    assert done.returncode == 0
    assert done.stderr == "prepare stars: again, because reviews.csv changed\n"
    assert "rejected" not in done.stdout


def test_a_setting_that_decides_nothing_is_never_the_reason(prepared):
    with (prepared / "reviews.csv").open("a", encoding="utf-8") as handle:
        handle.write("one more lovely review for the price,5,customer-1\n")

    done = bmtool(prepared, "prepare", "tiny.yaml", "stars", "--dry-run", "--set", "prepare.stars.limits.min_rows=1")

    assert done.stderr == "prepare stars: again, because reviews.csv changed\n"


def test_dry_run_with_force_says_that_everything_would_be_made(prepared):
    done = bmtool(prepared, "prepare", "tiny.yaml", "--dry-run", "--force", "--json")

    assert [result["status"] for result in json.loads(done.stdout)["results"]] == ["would_run", "would_run"]
    assert done.stderr == "prepare corpus: --force\nprepare stars: --force\n"


def test_the_heads_seed_is_no_part_of_stages_that_take_none(folder):
    own = [f"--set={stage}.seed=0" for stage in ("pretrain", "finetune", "evaluate")]

    documents = [
        json.loads(bmtool(folder, "run", "tiny.yaml", "--dry-run", "--json", *own, *more).stdout)
        for more in ((), ("--set=seed=7",))
    ]

    before, after = ([result["fingerprint"] for result in document["results"]] for document in documents)
    assert len(before) == 6
    assert before == after


def test_without_a_command_nothing_is_done_and_that_is_a_mistake(folder):
    done = bmtool(folder, "-C", ".")

    assert (done.returncode, done.stderr) == (2, "error: which command? `bmtool --help` lists them\n")


def test_how_settings_are_no_reason(prepared):
    done = bmtool(prepared, "prepare", "tiny.yaml", "--set", "runtime.threads=2", "--json")

    assert [result["status"] for result in json.loads(done.stdout)["results"]] == ["up_to_date", "up_to_date"]


def test_force_makes_it_again_with_the_same_bytes(prepared):
    before = tree(prepared / "runs")

    done = bmtool(prepared, "prepare", "tiny.yaml", "--force", "--json")

    assert [result["status"] for result in json.loads(done.stdout)["results"]] == ["done", "done"]
    assert tree(prepared / "runs") == before


def test_a_moved_output_folder_is_up_to_date(prepared):
    (prepared / "runs").rename(prepared / "results")

    done = bmtool(prepared, "prepare", "tiny.yaml", "--set", "output_dir=results", "--json")

    assert [result["status"] for result in json.loads(done.stdout)["results"]] == ["up_to_date", "up_to_date"]


def test_an_input_that_is_not_made_names_the_command_that_makes_it(folder):
    done = bmtool(folder, "pretrain", "tiny.yaml")

    assert done.returncode == 66
    assert done.stderr == (
        "error: pretrain reads prepare corpus (data), which isn't up to date (for the first time). "
        "Make it: bmtool prepare tiny.yaml corpus\n"
    )


def test_a_suggested_command_has_the_overrides_of_this_one(folder):
    done = bmtool(folder, "pretrain", "tiny.yaml", "--set", "prepare.corpus.filters=[length]")

    assert done.stderr.endswith("Make it: bmtool prepare tiny.yaml corpus --set 'prepare.corpus.filters=[length]'\n")


def test_locked_refuses_when_something_upstream_would_be_made(folder):
    done = bmtool(folder, "run", "tiny.yaml", "--until", "pretrain", "--locked")

    assert done.returncode == 2
    assert done.stderr == "error: --locked: prepare corpus isn't up to date (for the first time)\n"
    assert not (folder / "runs").exists()


def test_dry_run_makes_nothing(folder):
    done = bmtool(folder, "run", "tiny.yaml", "--dry-run", "--json")

    document = json.loads(done.stdout)
    assert [result["status"] for result in document["results"]] == ["would_run"] * 6
    assert not list((folder / "runs").rglob("*.arrow"))


def test_a_flipped_bit_in_an_input_is_65_and_names_the_file(prepared):
    path = next((prepared / "runs/tiny/prepare/corpus/train").resolve().glob("*.arrow"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    done = bmtool(prepared, "pretrain", "tiny.yaml")

    assert done.returncode == 65
    assert f"{path.relative_to(prepared)}: its bytes changed since they were written" in done.stderr


def test_a_data_gate_exits_3_and_3_again_and_stops_what_reads_the_data(prepared):
    words = ("--set", "prepare.stars.limits.min_rows=100000")

    first = bmtool(prepared, "prepare", "tiny.yaml", "stars", *words)
    second = bmtool(prepared, "prepare", "tiny.yaml", "stars", "--json", *words)

    assert first.returncode == second.returncode == 3
    assert json.loads(second.stdout)["results"][0]["status"] == "gate_failed"
    assert "100,000" in second.stderr or "100000" in second.stderr


def test_a_changed_limit_is_judged_on_the_data_that_is_there(prepared):
    limits = "prepare.stars.limits={max_rejected: 0, max_dropped_by: {duplicate: 1%}, max_overlap: 0, min_rows: 401}"

    failed = bmtool(prepared, "prepare", "tiny.yaml", "stars", "--json", "--set", limits)
    passed = bmtool(prepared, "prepare", "tiny.yaml", "stars", "--json", "--set", limits.replace("401", "400"))

    first, second = (json.loads(done.stdout)["results"][0] for done in (failed, passed))
    assert (failed.returncode, first["status"]) == (3, "gate_failed")
    assert first["error"] == "prepare stars: 400 rows, at least 401 wanted"
    assert (passed.returncode, second["status"]) == (0, "up_to_date")
    assert first["artifact"] == second["artifact"]
    assert passed.stderr.count("gate passed: ") == 4


def test_two_runs_at_once_one_works_and_one_is_75_naming_the_owner(folder):
    (folder / "runs/store").mkdir(parents=True)
    document = json.loads(bmtool(folder, "prepare", "tiny.yaml", "stars", "--dry-run", "--json").stdout)
    lock = folder / f"runs/store/.prepare-{document['results'][0]['fingerprint'][:12]}.lock"
    holder = "import sys, time; from pathlib import Path; from bmtool.artifacts.lock import locked\n"
    holder += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", holder, lock], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"

    done = bmtool(folder, "prepare", "tiny.yaml", "stars", "--json")
    process.kill()
    process.communicate()
    again = bmtool(folder, "prepare", "tiny.yaml", "stars")

    assert done.returncode == 75
    assert json.loads(done.stdout)["results"][0]["status"] == "interrupted"
    assert f"is being made by process {process.pid} on " in done.stderr
    assert again.returncode == 0


@pytest.mark.parametrize("point", ["synced", "manifest", "cleaned", "renamed", "linking", "linked"])
def test_killed_at_the_commit_the_same_command_finishes(folder, prepared_once, point):
    killed = bmtool(folder, "prepare", "tiny.yaml", "stars", fault=f"kill@commit:{point}")
    again = bmtool(folder, "prepare", "tiny.yaml")

    assert killed.returncode == -signal.SIGKILL
    assert again.returncode == 0, again.stderr
    assert tree(folder / "runs") == tree(prepared_once / "runs")


def test_a_full_disk_is_74_and_the_same_command_goes_on(folder, prepared_once):
    full = bmtool(folder, "prepare", "tiny.yaml", fault="enospc@write:1")
    again = bmtool(folder, "prepare", "tiny.yaml")

    assert full.returncode == 74
    assert "No space left on device" in full.stderr
    assert again.returncode == 0
    assert tree(folder / "runs") == tree(prepared_once / "runs")


DOCSTRINGS = """\
version: 1
name: docs
prepare:
  corpus:
    sources: docstrings
    tokenizer: {type: wordpiece, vocab_size: 500}
"""


def test_no_time_at_all_is_refused(folder):
    done = bmtool(folder, "prepare", "tiny.yaml", "--max-time", "0s")

    assert done.returncode == 2
    assert "no time at all" in done.stderr


def test_ctrl_c_is_130_and_says_what_is_kept(tmp_path):
    folder = write_project(tmp_path, DOCSTRINGS)
    process = start(folder, "prepare", "tiny.yaml")
    assert process.stderr.readline() == "prepare corpus: for the first time\n"

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert "stopped by Ctrl-C" in err
    assert not list((folder / "runs/store").glob("prepare-*"))


def test_a_bug_keeps_its_traceback_in_a_file(prepared):
    (prepared / "runs/tiny/history.jsonl").unlink()
    (prepared / "runs/tiny/history.jsonl").mkdir()

    done = bmtool(prepared, "prepare", "tiny.yaml", "stars", "--force")

    assert done.returncode == 1
    path = prepared / done.stderr.strip().rpartition(" ")[2]
    assert "Traceback" in path.read_text()


def test_warnings_are_told_again_when_up_to_date(folder):
    alike = ("prepare", "tiny.yaml", "stars", "--set", "prepare.stars.split={validation: 0, test: 0.001}")
    first = bmtool(folder, *alike)

    again = bmtool(folder, *alike)

    warnings = [line for line in first.stderr.splitlines() if "warning: " in line]
    assert warnings
    assert "up to date" in again.stderr
    assert [line for line in again.stderr.splitlines() if "warning: " in line] == warnings
    assert bmtool(folder, *alike, "-q").stderr == ""


def test_a_signal_while_files_are_hashed_is_75_with_a_document(folder):
    with (folder / "reviews.csv").open("r+b") as handle:
        handle.truncate(200 * 10**9)  # nothing of it is on the disk, and it takes a minute to read
    process = start(folder, "run", "tiny.yaml", "--json", "--dry-run")
    time.sleep(3)

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 75, err
    assert json.loads(out)["exit_code"] == 75
    assert err == "error: stopped by SIGTERM; what was on the disk is kept. The same command goes on from there\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("status", "nowhere"), 66),
        (("verify", "nowhere"), 66),
        (("clean", "nowhere"), 66),
        (("check", "tiny.yaml", "-C", "nowhere"), 66),
        (("run", "tiny.yaml", "-C", "nowhere"), 66),
        (("list", "filtres"), 2),
        (("init", "nowhere.csv"), 66),
        (("inspect", "nowhere"), 66),
        (("compare", "nowhere", "nowhere"), 66),
        (("doctor", "nowhere.yaml"), 2),
        (("predict", "nowhere", "reviews.csv"), 2),
    ],
)
def test_with_json_an_error_is_a_document_too(folder, words, code):
    done = bmtool(folder, *words, "--json")

    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == code
    assert (document["command"], document["results"]) == (words[0], [])
    assert done.stderr == f"error: {document['error']}\n"


def test_a_suggested_command_quotes_a_name_with_spaces(folder):
    (folder / "tiny.yaml").rename(folder / "my file.yaml")

    done = bmtool(folder, "pretrain", "my file.yaml")
    made = bmtool(folder, "prepare", "my file.yaml")

    assert done.stderr.endswith("Make it: bmtool prepare 'my file.yaml' corpus\n")
    assert made.stderr.splitlines()[-1] == "next: bmtool pretrain 'my file.yaml'"


def test_a_log_on_a_full_disk_changes_no_exit_code(prepared):
    words = "prepare tiny.yaml --set prepare.stars.limits.min_rows"
    ends = [
        subprocess.run(["bash", "-c", f"{sys.executable} -m bmtool.cli {words}={rows} 2>/dev/full"], cwd=prepared)
        for rows in (1, 100000)
    ]

    assert [done.returncode for done in ends] == [0, 3]


def test_standard_output_in_other_characters_than_utf_8_gets_the_result_all_the_same(prepared):
    (prepared / "runs").rename(prepared / "läufe")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "bmtool.cli", "prepare", "tiny.yaml", "stars", "--set", "output_dir=läufe"]
    plain, as_json = (
        subprocess.run([*command, *more], cwd=prepared, env=environment, check=False, capture_output=True)
        for more in ((), ("--json",))
    )

    assert (plain.returncode, as_json.returncode) == (0, 0), plain.stderr
    assert plain.stdout.startswith(b"l\\xe4ufe/store/prepare-")
    assert json.loads(as_json.stdout)["results"][0]["artifact"].startswith("läufe/store/prepare-")

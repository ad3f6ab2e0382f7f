"""What is kept between runs of `prepare`, workers, sizes and interruptions: none of it shows in a single byte."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from bmtool.artifacts.faults import VARIABLE
from bmtool.artifacts.files import sha256_of
from bmtool.config.model import validate
from bmtool.config.shared import Runtime
from bmtool.data.dataset import open_dataset
from bmtool.data.passes import decide, encode_pass, units
from bmtool.data.readers import buffer, lines
from bmtool.errors import TryAgainError
from bmtool.sources.csv import Csv
from bmtool.sources.jsonl import Jsonl
from bmtool.stages import prepare

sys.path.insert(0, str(Path(__file__).parent.parent))
from conftest import untimed

WORDS = ["the", "a", "film", "was", "is", "very", "good", "bad", "long", "plot", "actor", "scene", "story", "end"]
WORDS += ["green", "house", "river", "walks", "slowly", "under", "bright", "sun", "with", "many", "old", "friends"]


def texts(count, seed):
    """Some of 5 to 40 words; of ten, one has an address in it, one is a copy, one nearly, and one is too short."""
    rng = random.Random(seed)
    made = []
    for index in range(count):
        words = rng.choices(WORDS, k=rng.randint(8, 40))
        if index % 10 == 3:
            words.append(f"mail{seed}x{index}@example.org")
        if index % 10 == 5 and made:
            words = rng.choice(made).upper().split()
        if index % 10 == 7 and made:
            words = rng.choice(made).split()
            words[-1] = "changed"
        if index % 10 == 9:
            words = words[:1]
        made.append(" ".join(words))
    return made


def row(text, seed):
    rng = random.Random(f"{seed}{text}")
    return {"body": text, "stars": rng.randint(1, 3), "author": f"author {rng.randrange(30)}"}


def write(path, count, seed):
    """A JSONL file; every 23rd line is broken."""
    with path.open("w", encoding="utf-8") as handle:
        for index, text in enumerate(texts(count, seed)):
            handle.write('{"body": \n' if index % 23 == 22 else json.dumps(row(text, seed)) + "\n")


@pytest.fixture
def data(tmp_path):
    """A folder with three files of several small pieces, and a CSV."""
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, (name, count) in enumerate([("a", 150), ("b", 20), ("c", 90)]):
        write(folder / f"{name}.jsonl", count, seed)
    with (folder / "d.csv").open("w", encoding="utf-8") as handle:
        handle.write("body,stars,author\n")
        for text in texts(60, 9):
            handle.write(",".join(map(str, row(text, 9).values())) + "\n")
    return folder


SIZES = {(lines, "PIECE_BYTES"): 4000, (units, "UNIT_BYTES"): 6000, (units, "EARLY_BYTES"): 2000}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Pieces of some 20 rows, units of some 30."""
    for (module, name), value in SIZES.items():
        monkeypatch.setattr(module, name, value)


def corpus(data, **more):
    return {
        "sources": [{"type": "jsonl", "path": str(data)}, {"path": str(data / "d.csv"), "weight": 0.7}],
        "columns": {"text": "body", "author": "author"},
        "clean": ["whitespace"],
        "filters": [{"type": "length", "min_chars": 10}],
        "scrub": ["email"],
        "deduplicate": ["exact", {"type": "near", "threshold": 0.7}],
        "split": {"validation": 0.2, "test": 0.1},
        "tokenizer": {"type": "wordpiece", "vocab_size": 120},
        **more,
    }


def labelled(data, **more):
    return {
        "task": "text_classification",
        "sources": {"type": "jsonl", "path": str(data)},
        "columns": {"text": "body", "label": "stars"},
        "filters": [{"type": "length", "min_chars": 10}],
        "deduplicate": ["exact"],
        "split": {"validation": 0.2, "test": 0.1},
        **more,
    }


@pytest.fixture
def make(tmp_path, make_job):
    """`make(settings)`: prepare into a new folder with the shared cache; what is in the folder, by name."""
    count = iter(range(1000))

    def make(settings, *, workers=1, cache="cache", folder=None, fresh=False, stop=None):
        config = validate(prepare.Config, settings)
        job = make_job(folder or tmp_path / f"made-{next(count)}")
        raw = {name: sha256_of(path) for name, path in prepare.raw(config)}
        root = tmp_path / cache
        job = replace(job, runtime=Runtime(workers=workers), cache=root, raw=raw, is_fresh=fresh, stop=stop or job.stop)
        prepare.run(config, job)
        make.said = job.console.lines
        make.folder = job.folder
        return contents(job.folder)

    return make


def contents(folder):
    """Name and hash of every file, but for the saved work of an unfinished run, and for what says how long it took."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(untimed(path)).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and "checkpoints" not in path.parts
    }


@pytest.fixture
def pieces_read(monkeypatch):
    """(file, first line) of every piece that is read, in this process."""
    found = []
    for source in (Jsonl, Csv):

        def read(self, piece, reading, plain=source.read):
            found.append((piece.file, piece.first))
            return plain(self, piece, reading)

        monkeypatch.setattr(source, "read", read)
    return found


# ---------------------------------------------------------------- the same bytes


def test_the_data_of_these_tests_has_all_that_can_happen_to_a_row(data, make):
    made = make(corpus(data))

    report = json.loads((make.folder / "report.json").read_text())
    lost = report["ledger"]["dropped"]
    assert min(lost[name] for name in ("not sampled", "length", "duplicate", "near duplicate", "broken JSON")) > 3
    assert report["scrubbed"]["email"] > 10
    assert len(list((make.folder.parent / "cache" / "rows").glob("*/*"))) > 10
    assert {"dropped.arrow", "rejected.jsonl", "sketches/train-00000.arrow", "report.json"} <= set(made)


@pytest.mark.parametrize(("kind", "workers"), [(corpus, 2), (corpus, 3), (labelled, 2)])
def test_the_number_of_workers_changes_no_byte(data, make, kind, workers):
    expected = make(kind(data))

    assert make(kind(data), workers=workers, cache="several") == expected


@pytest.mark.parametrize("kind", [corpus, labelled])
def test_sizes_of_pieces_units_and_batches_change_no_byte(data, make, monkeypatch, kind):
    expected = make(kind(data))

    for piece, unit, early, rows in ((10**7, 10**7, 10**7, 8192), (300, 10**6, 900, 7), (2000, 1, 1, 1)):
        monkeypatch.setattr(lines, "PIECE_BYTES", piece)
        monkeypatch.setattr(units, "UNIT_BYTES", unit)
        monkeypatch.setattr(units, "EARLY_BYTES", early)
        monkeypatch.setattr(buffer, "MAX_BATCH_ROWS", rows)
        assert make(kind(data), cache=f"{piece}") == expected


def test_rounds_over_hashes_change_no_byte(data, make, monkeypatch):
    expected = make(labelled(data))

    monkeypatch.setattr(decide, "HASHES_AT_ONCE", 10)

    assert make(labelled(data)) == expected


@pytest.mark.parametrize("kind", [corpus, labelled])
def test_a_warm_cache_and_force_change_no_byte(data, make, kind, pieces_read):
    expected = make(kind(data))
    num_pieces = len(pieces_read)

    warm = make(kind(data))
    read_warm = len(pieces_read) - num_pieces
    forced = make(kind(data), fresh=True)

    assert warm == forced == expected
    assert read_warm == 0
    assert len(pieces_read) == 2 * num_pieces


# ---------------------------------------------------------------- what is read again


def rows_out(folder):
    return {name: split.column("id").to_pylist() for name, split in open_dataset(folder).splits.items()}


CHANGES = {
    "added": lambda data: write(data / "bb.jsonl", 40, 5),
    "added first": lambda data: write(data / "0.jsonl", 40, 5),
    "removed": lambda data: (data / "b.jsonl").unlink(),
    "renamed": lambda data: (data / "a.jsonl").rename(data / "zz.jsonl"),
    "changed": lambda data: write(data / "b.jsonl", 25, 6),
    "appended": lambda data: append(data / "c.jsonl", texts(30, 7)),
}


def append(path, some):
    with path.open("a", encoding="utf-8") as handle:
        handle.writelines(json.dumps(row(text, 7)) + "\n" for text in some)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [corpus, labelled])
def test_after_a_change_the_bytes_are_those_of_a_full_rebuild_and_little_is_read(data, make, pieces_read, kind, change):
    make(kind(data))
    everything = len(pieces_read)
    CHANGES[change](data)
    pieces_read.clear()

    made = make(kind(data))
    again = list(pieces_read)

    assert made == make(kind(data), cache="none")
    least = {"removed": 0, "appended": 1, "renamed": 1}.get(change, 1)
    assert least <= len(again) <= everything * (0.8 if change == "renamed" else 0.5)
    if change == "appended":
        assert {file for file, _ in again} == {"c.jsonl"}
        assert min(first for _, first in again) > 40


@pytest.mark.parametrize("before", [1, 2])
def test_after_a_change_they_are_those_of_a_full_rebuild_whatever_the_workers_then_and_now(data, make, before):
    make(corpus(data), workers=before)
    CHANGES["added first"](data)

    assert make(corpus(data), workers=3 - before) == make(corpus(data), workers=before, cache="none")


def test_what_is_done_to_rows_decides_what_is_read_again(data, make, pieces_read):
    make(labelled(data))
    pieces_read.clear()

    for same in ({"split": {"validation": 0.5}}, {"limits": {"min_rows": 1}}, {"sample": {"train_per_label": 5}}):
        make(labelled(data, split={"validation": 0.2}, **{key: one for key, one in same.items() if key != "split"}))
        make(labelled(data, **same))
    same_work = list(pieces_read)
    for other in ({"clean": ["whitespace"]}, {"filters": ["length"]}, {"scrub": ["email"]}):
        pieces_read.clear()
        make(labelled(data, **other))
        assert pieces_read

    assert same_work == []


def test_a_dataset_takes_up_what_another_kept_of_a_source_in_another_place(data, make, pieces_read):
    one = {"type": "jsonl", "path": [str(data / "a.jsonl"), str(data / "c.jsonl")]}
    other = {"type": "jsonl", "path": str(data / "b.jsonl")}
    expected = make(labelled(data, sources=[other, one]), cache="apart")
    make(labelled(data, sources=[one]))
    pieces_read.clear()

    made = make(labelled(data, sources=[other, one]))

    assert made == expected
    assert {file for file, _ in pieces_read} == {"b.jsonl"}


def test_the_same_file_twice_counts_twice(data, make):
    source = {"type": "jsonl", "path": str(data / "a.jsonl")}
    alone = make(labelled(data, sources=[source]), cache="alone")
    report = json.loads((make.folder / "report.json").read_text())

    for workers in (1, 2):
        made = make(labelled(data, sources=[source, source]), workers=workers, cache=f"{workers}")
        twice = json.loads((make.folder / "report.json").read_text())

        assert made["train/data-00000-of-00001.arrow"] == alone["train/data-00000-of-00001.arrow"]
        assert twice["ledger"]["rows_in"] == 2 * report["ledger"]["rows_in"]
        assert twice["sources"]["0"]["rows_in"] == twice["sources"]["1"]["rows_in"] == report["ledger"]["rows_in"]


# ---------------------------------------------------------------- damage


def kept_files(cache):
    """One file of each name in the cache, from the middle of what is there."""
    by_name = {}
    for path in sorted(Path(cache).rglob("*")):
        if path.is_file():
            by_name.setdefault(path.suffix if path.parent.name in ("cuts", "memos") else path.name, []).append(path)
    return {name: paths[len(paths) // 2] for name, paths in by_name.items()}


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize("harm", [flip, cut, Path.unlink])
def test_a_damaged_file_in_the_cache_is_made_again(data, make, tmp_path, harm, monkeypatch):
    monkeypatch.setattr(encode_pass, "MEMO_FROM_BYTES", 0)
    expected = make(corpus(data))
    files = kept_files(tmp_path / "cache")
    assert {"facts.json", "rows.arrow", "dropped.arrow", "rejected.jsonl", "hashes.npy", "sketches.npy"} <= set(files)
    assert {"ids.npy", "offsets.npy", ".json", ".memo"} <= set(files)

    for path in files.values():
        if path.stat().st_size:
            harm(path)
            assert make(corpus(data)) == expected, path

    assert make(corpus(data)) == expected


def test_any_digit_of_the_facts_is_guarded(data, make, tmp_path):
    settings = labelled(data, sources={"type": "jsonl", "path": str(data / "b.jsonl")})
    expected = make(settings)
    [facts, *_] = sorted((tmp_path / "cache").rglob("facts.json"))
    whole = facts.read_text()
    place = whole.index('"rows": ') + len('"rows": ')

    facts.write_text(whole[:place] + str((int(whole[place]) + 1) % 10) + whole[place + 1 :])

    assert make(settings) == expected


def test_an_emptied_cache_is_filled_again(data, make, tmp_path):
    expected = make(corpus(data))
    shutil.rmtree(tmp_path / "cache" / "rows")
    without_rows = make(corpus(data))
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file():
            path.unlink()

    assert without_rows == make(corpus(data)) == expected


def test_without_the_file_in_the_cache_nothing_of_another_run_is_left(data, make, tmp_path):
    expected = make(labelled(data))
    gone = tmp_path / "cache" / "rows"
    key = next(gone.glob("*/*"))
    left = [key.with_name(f".{key.name}.{os.uname().nodename}.{number}") for number in (999_999_999, os.getpid())]
    for one in left:
        one.mkdir()
        (one / "rows.arrow").write_text("half")
    shutil.rmtree(key)

    assert make(labelled(data)) == expected
    assert not any(one.exists() for one in left)


# ---------------------------------------------------------------- interruptions

PROGRAM = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from bmtool.artifacts.files import sha256_of
from bmtool.config.model import validate
from bmtool.config.shared import Runtime
from bmtool.console import Console
from bmtool.contracts import Job
from bmtool.data.passes import units
from bmtool.data.readers import lines
from bmtool.errors import BmtoolError
from bmtool.runner.crash import as_error
from bmtool.stages import prepare

lines.PIECE_BYTES, units.UNIT_BYTES, units.EARLY_BYTES = 4000, 6000, 2000
folder, cache, workers, settings = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
folder.mkdir(exist_ok=True)
config = validate(prepare.Config, settings)
raw = {name: sha256_of(path) for name, path in prepare.raw(config)}
job = Job(folder=folder, inputs={}, seed=0, runtime=Runtime(workers=workers), console=Console(),
          stop=SimpleNamespace(reason=""), fingerprint="f" * 64, raw=raw, cache=cache)
print("working", flush=True)
try:
    prepare.run(config, job)
except Exception as error:
    error = as_error(error)
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def start(settings, folder, cache, workers=1, fault=""):
    command = [sys.executable, "-c", PROGRAM, str(folder), str(cache), str(workers), json.dumps(settings)]
    environment = {**os.environ, VARIABLE: fault}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def end(process):
    _, err = process.communicate(timeout=120)
    return process.returncode, err


PLACES = ["prepare:batch:5", "prepare:rows", "prepare:decided", "prepare:tokenizer", "prepare:drops", "prepare:write:3"]
PLACES += ["write:4", "write:60", "write:100"]


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_is_killed_anywhere_goes_on_to_the_same_bytes(data, make, tmp_path, place, pieces_read):
    code, err = end(start(corpus(data), tmp_path / "killed", tmp_path / "cache", fault=f"kill@{place}"))
    assert code == -signal.SIGKILL, err

    made = make(corpus(data), folder=tmp_path / "killed")
    num_read = len(pieces_read)

    assert made == make(corpus(data), cache="none")
    assert num_read < len(pieces_read) - num_read or place == "write:4"


@pytest.mark.parametrize("fault", ["kill@prepare:batch:3", "kill@write:9"])
def test_a_worker_that_is_killed_ends_the_run_and_the_same_command_goes_on(data, make, tmp_path, fault):
    code, err = end(start(corpus(data), tmp_path / "killed", tmp_path / "cache", workers=2, fault=fault))

    assert code == 75, err
    assert "a worker process was killed (signal 9); what is done is kept" in err
    assert make(corpus(data), folder=tmp_path / "killed") == make(corpus(data), cache="none")


@pytest.mark.parametrize(("workers", "fault"), [(1, "enospc@write:4"), (1, "enospc@write:100"), (2, "enospc@write:4")])
def test_a_full_disk_is_74_here_or_in_a_worker_and_the_next_run_works(data, make, tmp_path, workers, fault):
    code, err = end(start(corpus(data), tmp_path / "full", tmp_path / "cache", workers=workers, fault=fault))

    assert code == 74, err
    assert "No space left on device" in err
    assert make(corpus(data), folder=tmp_path / "full") == make(corpus(data), cache="none")
    assert not list((tmp_path / "cache").rglob(f".*.{os.uname().nodename}.*"))


def test_killed_at_any_moment_with_all_its_workers_it_ends_with_the_same_bytes(data, make, tmp_path):
    rng = random.Random(time.time_ns())  # another moment each time: what is found once is found for good
    moments = [rng.uniform(0, 2), rng.uniform(1, 5)]

    for moment in moments:
        process = start(corpus(data), tmp_path / "killed", tmp_path / "cache", workers=2)
        assert process.stdout.readline() == "working\n"
        time.sleep(moment)
        process.kill()
        end(process)

    assert make(corpus(data), folder=tmp_path / "killed") == make(corpus(data), cache="none"), moments


class StopAfter:
    """Asks to stop at the n-th look."""

    def __init__(self, looks):
        self.looks = looks

    @property
    def reason(self):
        self.looks -= 1
        return "SIGTERM" if self.looks < 0 else ""


@pytest.mark.parametrize("kind", [corpus, labelled])
def test_a_run_that_is_stopped_again_and_again_comes_to_its_end_with_the_same_bytes(data, make, tmp_path, kind):
    made, stops = None, []

    while made is None and len(stops) < 50:
        try:
            made = make(kind(data), folder=tmp_path / "stopped", stop=StopAfter(12 + 4 * len(stops)))
        except TryAgainError as error:
            stops.append(str(error))

    assert len(stops) > 1
    assert all(text.startswith("stopped by SIGTERM; ") for text in stops)
    assert made == make(kind(data), cache="none")


def test_work_that_is_taken_up_is_said(data, make, tmp_path):
    with pytest.raises(TryAgainError):
        make(labelled(data), stop=StopAfter(20))
    make(labelled(data))

    [said] = [line for line in make.said if line.startswith("resumed: ")]
    rows, parts, of_parts = map(int, re.findall("[0-9]+", said))
    assert 0 < rows < 260
    assert 0 < parts < of_parts

"""`bmtool inspect --row`: what became of a row, why, and which models saw it."""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bmtool.artifacts.files import write_json
from bmtool.artifacts.manifest import Manifest, read_manifest
from bmtool.commands.trace import trace
from bmtool.config.model import validate
from bmtool.data.dataset import open_dataset
from bmtool.errors import MissingInputError
from bmtool.stages import prepare

sys.path.insert(0, str(Path(__file__).parent.parent))
from conftest import job_for
from project import bmtool, write_project

WORDS = ["river", "house", "green", "walks", "slowly", "under", "bright", "sun", "with", "many", "old", "friends"]
LONG = " ".join(random.Random(1).choices(WORDS, k=40))
OTHER = " ".join(random.Random(2).choices(WORDS, k=40))
TEXTS = {"kept": LONG, "near": f"{LONG} indeed", "exact": OTHER.upper(), "first": OTHER, "short": "too short"}


def made(store, name, rows):
    """A dataset of rows in a store, as a run leaves it."""
    source = store.parent / f"{name}.jsonl"
    source.write_text("".join(json.dumps({"text": text, "label": "ab"[n % 2]}) + "\n" for n, text in enumerate(rows)))
    plan = {
        "task": "text_classification",
        "sources": str(source),
        "filters": [{"type": "length", "min_chars": 20}],
        "deduplicate": ["exact", "near"],
    }
    folder = store / name
    config = validate(prepare.Config, plan)
    summary = prepare.run(config, job_for(folder))
    note(folder, Manifest("dataset", "prepare", 2, "f" * 64, {}, {}, {}, summary))
    return folder


def note(folder, manifest):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(replace(manifest, finished="2026-01-02T03:04:05+00:00").to_json())


def model(store, name, stage, **inputs):
    kind = "evaluation" if stage == "evaluate" else "checkpoint"
    read = {role: {"path": path, "fingerprint": "f"} for role, path in inputs.items()}
    note(store / name, Manifest(kind, stage, 1, "f" * 64, {}, read, {}, {}))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An older dataset with all texts and one more, and models made from it; a newer one from which one is erased."""
    store = tmp_path_factory.mktemp("runs") / "store"
    store.mkdir()
    order = [TEXTS[name] for name in ("kept", "first", "exact", "near", "short")]
    made(store, "prepare-old", [*order, "a text about a person who asked for it to be erased"])
    made(store, "prepare-new", order)
    model(store, "pretrain-1", "pretrain", data="prepare-old")
    model(store, "finetune-1", "finetune", **{"from": "pretrain-1", "data": "prepare-old"})
    model(store, "evaluate-1", "evaluate", **{"from": "finetune-1", "data": "prepare-old"})
    model(store, "finetune-2", "finetune", data="prepare-other")
    (store / ".prepare-x.partial").mkdir()
    return store


def ids(folder):
    """text -> id of the rows that stayed, and line -> id of those that went."""
    from bmtool.data.storage import read_stream

    train = open_dataset(folder)["train"]
    kept = dict(zip(train.column("text").to_pylist(), train.column("id").to_pylist(), strict=True))
    return kept, {
        row["line"]: row["id"] for batch in read_stream(folder / "dropped.arrow") for row in batch.to_pylist()
    }


def lines(capsys, folder, row):
    assert trace(folder, row) == 0
    return capsys.readouterr().out.splitlines()


def test_a_kept_row_is_shown_where_it_is_and_with_all_that_saw_it(store, capsys):
    kept, _ = ids(store / "prepare-old")

    said = lines(capsys, store / "prepare-old", kept[LONG])

    assert said[0] == "kept: train, row 0"
    assert said[1] == "also in prepare-new: train, row 0"
    assert {line.partition(" (")[0] for line in said[2:]} == {
        f"seen by {name}-1" for name in ("pretrain", "finetune", "evaluate")
    }
    assert "seen by pretrain-1 (checkpoint, 2026-01-02T03:04:05+00:00), from prepare-old train" in said


def test_a_filtered_row_has_its_rule_value_and_threshold(store, capsys):
    _, gone = ids(store / "prepare-new")

    said = lines(capsys, store / "prepare-new", gone[5])

    assert said == ["dropped: length (min_chars): 9 against 20", "  read from prepare-new.jsonl, line 5"]


def test_copies_name_the_row_that_stays_and_how_similar_it_is(store, capsys):
    kept, gone = ids(store / "prepare-new")

    exact = lines(capsys, store / "prepare-new", gone[3])
    near = lines(capsys, store / "prepare-new", gone[4])

    assert exact == [f"dropped: duplicate of {kept[OTHER]}", "  read from prepare-new.jsonl, line 3"]
    assert near[0].startswith(f"dropped: near duplicate of {kept[LONG]}, similarity ")
    assert 0.9 < float(near[0].rpartition("similarity ")[2]) < 1


def test_an_erased_row_is_gone_and_what_was_made_from_it_is_listed(store, capsys):
    kept, _ = ids(store / "prepare-old")
    [erased] = [one for text, one in kept.items() if "erased" in text]

    said = lines(capsys, store / "prepare-new", erased)

    assert said[0] == "it isn't in this dataset, nor was it dropped from it: its sources don't hold it (any more)"
    assert said[1] == "also in prepare-old: train, row 2"
    assert sorted(line.split()[2] for line in said[2:]) == ["evaluate-1", "finetune-1", "pretrain-1"]


def test_json_has_the_same_as_values(store, capsys):
    kept, gone = ids(store / "prepare-new")

    trace(store / "prepare-new", gone[4], as_json=True)

    [result] = json.loads(capsys.readouterr().out)["results"]
    [dropped] = result["dropped"]
    assert (dropped["reason"], dropped["kept"], dropped["line"]) == ("near duplicate", kept[LONG], 4)
    assert 0.9 < dropped["similarity"] < 1
    assert result["places"] == result["models"] == []


def test_no_model_is_listed_twice_for_a_row_that_is_there_twice(store, tmp_path, capsys):
    other = tmp_path / "store"
    other.mkdir()
    source = tmp_path / "twice.jsonl"
    source.write_text('{"text": "a b", "label": "x"}\n' * 2 + '{"text": "c", "label": "y"}\n')
    folder = other / "prepare-1"
    config = validate(prepare.Config, {"task": "text_classification", "sources": str(source)})
    note(folder, Manifest("dataset", "prepare", 2, "f" * 64, {}, {}, {}, prepare.run(config, job_for(folder))))
    model(other, "finetune-1", "finetune", data="prepare-1")

    said = lines(capsys, folder, open_dataset(folder)["train"].column("id")[0].as_py())

    assert said[:2] == ["kept: train, row 0", "kept: train, row 1"]
    assert len(said) == 3


def test_a_test_row_is_seen_by_what_it_is_tested_with_and_by_no_model(tmp_path, capsys):
    store = tmp_path / "store"
    store.mkdir()
    source = tmp_path / "x.jsonl"
    source.write_text("".join(json.dumps({"text": f"row {n}", "label": "ab"[n % 2]}) + "\n" for n in range(20)))
    config = validate(prepare.Config, {"task": "text_classification", "sources": str(source), "split": {"test": 0.5}})
    folder = store / "prepare-1"
    note(folder, Manifest("dataset", "prepare", 2, "f" * 64, {}, {}, {}, prepare.run(config, job_for(folder))))
    model(store, "finetune-1", "finetune", data="prepare-1")
    model(store, "evaluate-1", "evaluate", **{"from": "finetune-1", "data": "prepare-1"})
    compared = {"decontaminate:0": {"path": "prepare-1"}, "against:0": {"path": "prepare-1"}}
    note(store / "prepare-2", Manifest("dataset", "prepare", 2, "f" * 64, {}, compared, {}, {}))
    write_json(store / "prepare-2" / "dataset_dict.json", {"splits": []})
    write_json(store / "prepare-2" / "report.json", {"task": None})
    model(store, "pretrain-1", "pretrain", data="prepare-2")
    splits = open_dataset(folder).splits

    said = {name: lines(capsys, folder, splits[name].column("id")[0].as_py())[1:] for name in ("train", "test")}

    assert [line.split()[2] for line in said["test"]] == ["evaluate-1"]
    assert [line.split()[2] for line in said["train"]] == ["evaluate-1", "finetune-1"]


def test_a_row_that_nobody_knows_is_missing(store):
    with pytest.raises(MissingInputError, match=r"prepare-new: no row 0123 is here or in another dataset of the store"):
        trace(store / "prepare-new", "0123")


def test_only_a_dataset_has_rows(store):
    with pytest.raises(MissingInputError, match=r"pretrain-1: --row looks into a dataset, and this is a checkpoint"):
        trace(store / "pretrain-1", "0123")


def test_the_command_finds_the_row_through_its_name(tmp_path):
    folder = write_project(tmp_path)
    assert bmtool(folder, "prepare", "tiny.yaml", "stars").returncode == 0
    stars = open_dataset(folder / "runs/tiny/prepare/stars")
    row = stars["test"].column("id")[3].as_py()

    found = bmtool(folder, "inspect", "runs/tiny/prepare/stars", "--row", row)
    unknown = bmtool(folder, "inspect", "runs/tiny/prepare/stars", "--row", "x" * 32, "--json")

    assert found.stdout == "kept: test, row 3\nno artifact of this store was made from it\n"
    assert unknown.returncode == 66
    assert read_manifest(folder / "runs/tiny/prepare/stars").environment["kept"]["rows"]

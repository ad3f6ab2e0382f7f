import json
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data.readers import huggingface
from bmtool.errors import DataError, MissingInputError, RefusedError
from bmtool.sources.huggingface import Huggingface

sys.path.insert(0, str(Path(__file__).parents[2]))
from reading import read_source

KINDS = {"text": "text", "label": "label"}
LABELS = datasets.ClassLabel(names=["bad", "good"])


def dataset(count=30, first=0):
    numbers = range(first, first + count)
    columns = {"text": [f"text {n}" for n in numbers], "label": [n % 2 for n in numbers]}
    features = datasets.Features({"text": datasets.Value("string"), "label": LABELS})
    return datasets.Dataset.from_dict(columns, features=features)


def read(path, split="train", kinds=KINDS, mapping=None):
    return read_source(Huggingface(path=str(path), split=split), kinds, mapping)


def test_a_saved_dataset_is_read_split_by_split_with_names_for_labels(tmp_path):
    datasets.DatasetDict(train=dataset(), test=dataset(5, 100)).save_to_disk(tmp_path / "d")
    (tmp_path / "d" / "train" / "cache-1234.arrow").write_bytes(b"made by datasets")

    rows, rejected = read(tmp_path / "d")

    assert rejected == []
    assert rows[:2] == [
        {"text": "text 0", "label": "bad", "#line": 1},
        {"text": "text 1", "label": "good", "#line": 2},
    ]
    assert (len(rows), len(read(tmp_path / "d", "test")[0])) == (30, 5)
    assert [name for name, _ in Huggingface(path=str(tmp_path / "d")).files()] == ["train/data-00000-of-00001.arrow"]
    with pytest.raises(MissingInputError) as error:
        read(tmp_path / "d", "validation")
    assert str(error.value) == f"{tmp_path}/d: there is no split 'validation'. Its splits are: train, test"


def test_record_batches_are_read_in_pieces_with_their_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface, "PIECE_BYTES", 30_000)
    dataset(5000).save_to_disk(tmp_path / "d")
    source = Huggingface(path=str(tmp_path / "d"))
    [(name, path)] = source.files()

    pieces = list(source.pieces(name, path, "sha"))
    rows, _ = read(tmp_path / "d")

    assert len(pieces) == 5
    assert [(row["text"], row["#line"]) for row in rows] == [(f"text {n}", n + 1) for n in range(5000)]


def test_the_hubs_layout_is_read_by_the_names_of_its_files(tmp_path):
    for name, part in {"train-00000-of-00002": 0, "train-00001-of-00002": 30, "validation-00000-of-00001": 60}.items():
        (tmp_path / "data").mkdir(exist_ok=True)
        dataset(30, part).to_parquet(tmp_path / "data" / f"{name}.parquet")
    (tmp_path / "README.md").write_text("# card")

    rows, _ = read(tmp_path)

    assert [row["label"] for row in rows[:2]] == ["bad", "good"]
    assert (len(rows), len(read(tmp_path, "validation")[0])) == (60, 30)
    with pytest.raises(MissingInputError, match=r"there is no split 'test'. Its splits are: train, validation"):
        read(tmp_path, "test")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("en/dev.jsonl", "validation"),
        ("test/0001.csv.gz", "test"),
        ("training_data/part.parquet", "train"),
        ("latest.jsonl", "train"),
        ("train/test_0.jsonl", "test"),
        ("my-eval-set.csv", "test"),
    ],
)
def test_a_split_is_a_word_in_a_path(name, split):
    assert huggingface._split_of(name) == split


def test_jsonl_and_csv_are_read_and_a_mix_is_refused(tmp_path):
    (tmp_path / "train.jsonl").write_text(json.dumps({"text": "t", "label": 1}) + "\n")
    (tmp_path / "test.csv").write_text("text,label\nu,x\n")

    assert read(tmp_path)[0] == [{"text": "t", "label": "1", "#line": 1}]
    assert read(tmp_path, "test")[0] == [{"text": "u", "label": "x", "#line": 2}]
    (tmp_path / "train.csv").write_text("text,label\nt,1\n")
    with pytest.raises(DataError, match=r"there are files of several formats: .csv, .jsonl"):
        read(tmp_path)


def test_the_hubs_cache_of_links_is_read(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc123"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    dataset().to_parquet(blobs / "f00")
    (snapshot / "train.parquet").symlink_to("../../blobs/f00")

    assert len(read(snapshot)[0]) == 30


def test_lists_of_labels_come_as_their_names_and_none_as_missing(tmp_path):
    features = datasets.Features({"words": datasets.List(datasets.Value("string")), "tags": datasets.List(LABELS)})
    columns = {"words": [["a", "b"], ["c"], []], "tags": [[0, 1], [-1], []]}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "d")

    rows, rejected = read(tmp_path / "d", kinds={"words": "words", "tags": "tags"})

    assert [row["tags"] for row in rows] == [["bad", "good"], []]
    assert [(one.line, one.reason) for one in rejected] == [(2, "no value in a list of column 'tags'")]


def test_a_damaged_dataset_is_named(tmp_path):
    dataset().save_to_disk(tmp_path / "d")
    path = tmp_path / "d" / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-100])
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "state.json").write_text("{")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "state.json").write_text('{"_data_files": [{"filename": "../secret.arrow"}]}')

    with pytest.raises(DataError, match=f"^{path}: this Arrow file can't be read: "):
        read(tmp_path / "d")
    with pytest.raises(DataError, match=r"state.json: this isn't a JSON object. The dataset is damaged"):
        read(tmp_path / "e")
    with pytest.raises(RefusedError, match=r"state.json names a file outside of the folder: '../secret.arrow'"):
        read(tmp_path / "f")
    with pytest.raises(MissingInputError, match="there is no such folder"):
        read(tmp_path / "g")


def saved(folder, state):
    """A folder as `save_to_disk` leaves it, with this for its state.json."""
    folder.mkdir()
    (folder / "state.json").write_text(json.dumps(state))
    return folder


@pytest.mark.parametrize("state", [{}, {"_data_files": 3}, {"_data_files": [{}]}, {"_data_files": ["x.arrow"]}])
def test_a_saved_dataset_that_lists_no_files_is_damaged(tmp_path, state):
    with pytest.raises(DataError) as error:
        read(saved(tmp_path / "d", state))

    assert str(error.value) == f"{tmp_path}/d/state.json: it lists no files. The dataset is damaged"


def test_what_a_saved_dataset_lists_must_be_there_and_not_lead_outside(tmp_path):
    folder = saved(tmp_path / "d", {"_data_files": [{"filename": "x.arrow"}]})
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "dataset_dict.json").write_text('{"splits": ["train"]}')

    with pytest.raises(MissingInputError, match=r"d/x.arrow: there is no such file, and state.json names it"):
        read(folder)
    with pytest.raises(MissingInputError, match=r"e/train/state.json: there is no such file. The dataset is damaged"):
        read(tmp_path / "e")
    (tmp_path / "secret.arrow").write_bytes(b"")
    (folder / "x.arrow").symlink_to(tmp_path / "secret.arrow")
    with pytest.raises(RefusedError, match=r"d/x.arrow: this link leads outside of "):
        read(folder)


def test_a_missing_column_is_named(tmp_path):
    dataset().save_to_disk(tmp_path / "d")

    with pytest.raises(DataError, match=r"there is no column 'body'. Its columns are: text, label."):
        read(tmp_path / "d", mapping={"text": "body"})


def test_what_datasets_did_not_write_has_plain_numbers(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "state.json").write_text('{"_data_files": [{"filename": "x.arrow"}]}')
    table = pa.table({"text": ["a"], "label": [1]}).replace_schema_metadata({"huggingface": '{"info": [1]}'})
    with pa.OSFile(str(tmp_path / "d" / "x.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)

    assert read(tmp_path / "d")[0] == [{"text": "a", "label": "1", "#line": 1}]


def test_files_are_named_by_patterns_whatever_their_split(tmp_path):
    for name in ("de/train.jsonl", "de/test.jsonl", "en/train.jsonl", "en/more/train.jsonl", "train.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"text": name, "label": "x"}) + "\n")
    (tmp_path / "notes.txt").write_text("a note\n")

    def texts(files):
        source = Huggingface.model_validate({"path": str(tmp_path), "files": files})
        return [row["text"] for row in read_source(source, {"text": "text"}, None)[0]]

    assert texts("de/*") == ["de/test.jsonl", "de/train.jsonl"]
    assert texts(("en/*.jsonl", "de/tr*")) == ["de/train.jsonl", "en/train.jsonl"]
    assert texts("**/train.jsonl") == ["de/train.jsonl", "en/more/train.jsonl", "en/train.jsonl"]
    assert texts("train.json") == ["train.json"]
    assert texts("notes.txt") == ["a note"]
    with pytest.raises(MissingInputError) as error:
        texts(("de/*", "fr/*"))
    assert str(error.value) == (
        f"{tmp_path}: no file matches 'fr/*'. Its files are: de/test.jsonl, de/train.jsonl, en/more/train.jsonl, "
        "en/train.jsonl, notes.txt, ..."
    )
    with pytest.raises(ValidationError, match="'files' says which files are read, of any split"):
        validate(Huggingface, {"path": "x/", "files": "*", "split": "test"})


def test_files_that_are_not_read_are_named_and_notes_are_no_data(tmp_path):
    (tmp_path / "train.jsonl").write_text(json.dumps({"text": "t", "label": 1}) + "\n")
    (tmp_path / "LICENSE.txt").write_text("all rights\n")
    (tmp_path / "weights.bin").write_bytes(b"")

    assert len(read(tmp_path)[0]) == 1
    with pytest.raises(DataError, match=r": .bin files aren't read. Name files that end with .parquet, .jsonl, "):
        Huggingface.model_validate({"path": str(tmp_path), "files": "weights.*"}).files()


def test_a_single_file_is_read(tmp_path):
    dataset().to_parquet(tmp_path / "part-7.parquet")

    assert len(read(tmp_path / "part-7.parquet")[0]) == 30
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"x.bin: .bin files aren't read"):
        read(tmp_path / "x.bin")

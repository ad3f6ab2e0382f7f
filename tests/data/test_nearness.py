import json

import pyarrow as pa
from bmtool.config.model import validate
from bmtool.data.dataset import open_dataset
from bmtool.stages import prepare

WORDS = [f"word{n}" for n in range(60)]


def write_rows(path, texts):
    path.write_text("".join(json.dumps({"text": text, "label": "ab"[n % 2]}) + "\n" for n, text in enumerate(texts)))
    return str(path)


def run(path, job, **settings):
    config = validate(prepare.Config, {"task": "text_classification", "sources": path, **settings})
    return prepare.run(config, job)


def drops(folder):
    with pa.ipc.open_stream(folder / "dropped.arrow") as reader:
        return reader.read_all().to_pylist()


def ids_of(folder, split="train"):
    return [row for batch in open_dataset(folder)[split].batches() for row in batch.column("id").to_pylist()]


def texts_with_a_chain():
    """A text, one like it but for a word, that one again in capitals, a part of the first, and two others."""
    first = " ".join(WORDS[:50])
    like = " ".join([*WORDS[:25], "other", *WORDS[26:50]])
    return [first, like, like.upper(), " ".join(WORDS[5:]), " ".join(reversed(WORDS)), "and another"]


def test_every_copy_names_a_row_that_stays(tmp_path, make_job):
    job = make_job()

    run(write_rows(tmp_path / "x.jsonl", texts_with_a_chain()), job, deduplicate=["exact", "near"])

    kept = ids_of(job.folder)
    assert sorted(one["reason"] for one in drops(job.folder)) == ["duplicate", "near duplicate", "near duplicate"]
    assert {one["kept"] for one in drops(job.folder)} == {kept[0]}


def test_rows_move_with_the_cluster_they_are_in(tmp_path, make_job):
    """Similar rows that stay (the threshold lets them) are in one split: here all of a long chain."""
    chain = [" ".join(f"w{n}" for n in range(start, start + 60)) for start in range(0, 200, 2)]
    job = make_job()

    near = {"type": "near", "threshold": 0.8}
    run(write_rows(tmp_path / "x.jsonl", chain), job, deduplicate=[near], split={"test": 0.5})

    report = json.loads((job.folder / "report.json").read_text())
    splits = open_dataset(job.folder).splits
    assert min(split.num_rows for split in splits.values()) == 0
    assert report["split_by_cluster"]["rows"] == max(split.num_rows for split in splits.values()) > 20
    assert report["overlap"] is None or report["overlap"]["test"]["similar"] == 0


def test_similar_rows_across_splits_are_counted(tmp_path, make_job):
    texts = [f"{' '.join(WORDS[:40])} number {n}" for n in range(200)]
    job = make_job()

    summary = run(write_rows(tmp_path / "x.jsonl", texts), job, split={"test": 0.5})

    overlap = summary["overlap"]["test"]
    assert overlap["similar"] == overlap["rows"] == open_dataset(job.folder)["test"].num_rows > 50
    row, twin, similarity = overlap["examples"][0]
    assert row in ids_of(job.folder, "test")
    assert twin in ids_of(job.folder)
    assert similarity >= 0.7

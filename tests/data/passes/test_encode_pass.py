import json
from dataclasses import replace

import pyarrow as pa
import pytest
from bmtool.artifacts.files import sha256_of
from bmtool.config.model import validate
from bmtool.data.dataset import open_dataset
from bmtool.data.passes import encode_pass
from bmtool.data.segments import storage
from bmtool.data.tokenizing.encode import Encoder
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.stages import prepare

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "plain", "words", "zebra", "##s"]


@pytest.fixture
def tokenizer(tmp_path):
    """A folder with a WordPiece tokenizer of nine tokens."""
    from bmtool.data.tokenizing.tokenizers import _bert_tokenizer

    made = _bert_tokenizer({token: index for index, token in enumerate(VOCABULARY)}, True)
    (tmp_path / "tokenizer").mkdir()
    made.save(str(tmp_path / "tokenizer" / "tokenizer.json"))
    return tmp_path / "tokenizer"


def settings(path, tokenizer):
    return {"sources": str(path), "tokenizer": {"from": f"{tokenizer}/"}}


def write_rows(path, rows):
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    return path


def wrong_memo(path, tokenizer):
    """A memo that is whole, and says that `zebra` is `plain`, in a row that isn't sampled when it is opened."""
    encoder = Encoder(load_tokenizer(tokenizer))
    encoder.encode(pa.array(["words zebra plain " + " ".join(f"unknown{n}" for n in range(storage.NUM_SAMPLED * 4))]))
    encoder.save(path)
    with pa.ipc.open_file(path) as reader:
        batch = reader.get_batch(0)
    order = list(range(batch.num_rows))
    place = batch.column("segment").to_pylist().index(b"zebra")
    order[1], order[place] = order[place], order[1]  # one row in four is sampled, from 0 on
    batch = batch.take(pa.array(order))
    zebra, plain = VOCABULARY.index("zebra"), VOCABULARY.index("plain")
    lists = [[plain if one == zebra else one for one in ids] for ids in batch.column("ids").to_pylist()]
    changed = pa.record_batch([batch.column("segment"), pa.array(lists, batch.column("ids").type)], batch.schema.names)
    metadata = {**batch.schema.metadata, b"checksum": storage._checksum(changed)}
    with pa.ipc.new_file(path, changed.schema.with_metadata(metadata)) as writer:
        writer.write_batch(changed.replace_schema_metadata(metadata))


def ids_of(folder):
    return [row for batch in open_dataset(folder)["train"].batches() for row in batch.column("input_ids").to_pylist()]


def test_a_memo_that_gives_wrong_ids_late_is_used_for_nothing(tmp_path, make_job, tokenizer, monkeypatch):
    monkeypatch.setattr(encode_pass, "MEMO_FROM_BYTES", 0)
    rows = ["plain words"] * 9_000 + ["zebra plain"] * 3_000
    path = write_rows(tmp_path / "x.jsonl", rows)
    job = make_job()
    memos = job.folder / "checkpoints" / "cache" / "memos"
    memos.mkdir(parents=True)
    wrong_memo(memos / f"{sha256_of(tokenizer / 'tokenizer.json')[:32]}.memo", tokenizer)

    prepare.run(validate(prepare.Config, settings(path, tokenizer)), job)

    assert ids_of(job.folder) == [[5, 6]] * 9_000 + [[7, 5]] * 3_000
    assert any("gave wrong ids; everything is encoded again without" in line for line in job.console.lines)


def test_a_run_that_ends_right_after_a_failed_check_leaves_no_wrong_ids(tmp_path, make_job, tokenizer, monkeypatch):
    monkeypatch.setattr(encode_pass, "MEMO_FROM_BYTES", 0)
    (tmp_path / "rows").mkdir()
    # Checked are the first 200 rows, then one in 2,000: the first file passes, the second doesn't.
    write_rows(tmp_path / "rows" / "a.jsonl", ["plain words"] * 300 + ["zebra plain"] * 100)
    write_rows(tmp_path / "rows" / "b.jsonl", ["zebra plain"] * 1_700)
    path = tmp_path / "rows" / "*.jsonl"
    jobs = (make_job(tmp_path / name) for name in ("one", "two"))
    job, again = (replace(job, cache=tmp_path / "cache") for job in jobs)
    memos = tmp_path / "cache" / "memos"
    memos.mkdir(parents=True)
    wrong_memo(memos / f"{sha256_of(tokenizer / 'tokenizer.json')[:32]}.memo", tokenizer)

    class EndedError(Exception):
        """As if the process were killed before what is in doubt is removed."""

    def end(*_):
        raise EndedError

    with monkeypatch.context() as changed:
        changed.setattr(encode_pass.Shelf, "remove", end)
        with pytest.raises(EndedError):
            prepare.run(validate(prepare.Config, settings(path, tokenizer)), job)
    prepare.run(validate(prepare.Config, settings(path, tokenizer)), again)

    assert ids_of(again.folder) == [[5, 6]] * 300 + [[7, 5]] * 1_800


def test_ids_are_taken_up_again_until_the_rows_that_stay_change(tmp_path, make_job, tokenizer, monkeypatch):
    path = write_rows(tmp_path / "x.jsonl", [f"plain words {'zebra ' * (n % 7)}" for n in range(50)])
    encoded = []
    original = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda self, texts: encoded.append(len(texts)) or original(self, texts))
    jobs = (make_job(tmp_path / name) for name in ("one", "two", "three"))
    job, again, other = (replace(job, cache=tmp_path / "cache") for job in jobs)
    prepare.run(validate(prepare.Config, settings(path, tokenizer)), job)

    prepare.run(validate(prepare.Config, settings(path, tokenizer)), again)
    prepare.run(validate(prepare.Config, {**settings(path, tokenizer), "deduplicate": ["exact"]}), other)

    assert encoded == [50, 7]
    assert ids_of(job.folder) == ids_of(again.folder)
    assert ids_of(other.folder) == ids_of(job.folder)[:7]


def test_it_is_recorded_what_encoded_how_many_texts_and_how_many_were_compared(tmp_path, make_job, tokenizer):
    path = write_rows(tmp_path / "x.jsonl", [f"plain words {n}" for n in range(300)])

    summary = prepare.run(validate(prepare.Config, settings(path, tokenizer)), make_job())

    assert summary["environment"]["encoded_by"] == {"memo of WordPiece segments": {"texts": 300, "checked": 200}}

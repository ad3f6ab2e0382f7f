import json
import subprocess
import sys
from pathlib import Path

import bmtool
import numpy as np
import pytest
from bmtool.artifacts.manifest import FileEntry, Manifest
from bmtool.errors import DataError, MissingInputError
from bmtool.models.files.checkpoint import read_info
from bmtool.models.files.opening import load
from bmtool.registry import TASKS

sys.path.insert(0, str(Path(__file__).parents[2]))
from checkpoints import write_checkpoint

MANY = ["good movie", "bad " * 80, "the plot was very boring", "a", "好 坏", "fine film, fine plot"] * 7


@pytest.fixture(scope="module", params=["bert", "gpt"])
def classifier(request, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("tags"), "tags")


def test_answers_are_those_of_transformers_alone(classifier):
    import torch
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(classifier / "tokenizer.json"))
    model = AutoModelForSequenceClassification.from_pretrained(classifier)

    answers = load(classifier)(MANY)

    for text, answer in zip(MANY[:6], answers, strict=False):
        ids = tokenizer(text)["input_ids"]
        ids = ids if len(ids) <= 48 else [*ids[:47], ids[-1]]
        with torch.no_grad():
            scores = model(torch.tensor([ids])).logits.softmax(-1)[0]
        assert answer["label"] == model.config.id2label[int(scores.argmax())]
        assert answer["score"] == pytest.approx(float(scores.max()), abs=1e-5)


def test_the_order_is_kept_whatever_the_batches_are(classifier):
    one_by_one = [load(classifier)([text])[0] for text in MANY[:6]]

    together = load(classifier, batch_tokens=64)(MANY)

    assert [answer["label"] for answer in together] == [answer["label"] for answer in one_by_one * 7]
    assert np.allclose([a["score"] for a in together], [a["score"] for a in one_by_one * 7], atol=1e-5)


def test_a_tagger_answers_each_word_and_cuts_texts_at_white_space(tagger):
    model = load(tagger)

    split, text = model([["good", "movie"], ["the", "plot"]]), model(["good movie", " the  plot "])

    assert split == text
    assert [len(answer["tags"]) for answer in split] == [2, 2]
    assert set(split[0]) == {"words", "tags", "scores"}


def test_no_word_of_a_long_text_is_cut(tagger):
    model = load(tagger)

    answers, cut = model.answers([{"words": ["good"] * 100}, {"words": ["movie"]}])

    assert [len(answer["tags"]) for answer in answers] == [100, 1]
    assert all(score > 0 for score in answers[0]["scores"])
    assert not any(cut.values())


def test_no_texts_give_no_answers(classifier, tagger):
    assert load(classifier)([]) == []
    assert load(tagger).output_columns == ["tags", "scores"]


def test_a_row_may_be_a_mapping_of_the_columns_that_are_read(classifier, tagger):
    assert load(classifier)([{"text": "good movie", "other": 1}]) == load(classifier)(["good movie"])
    assert load(tagger)([{"words": ["good"]}]) == load(tagger)(["good"])
    with pytest.raises(DataError, match=r"item 0 is not a text: \{'body': 'good'\}"):
        load(classifier)([{"body": "good"}])


def test_a_single_text_and_a_number_are_refused(classifier):
    model = load(classifier)

    with pytest.raises(DataError, match="give a list of texts"):
        model("good movie")
    with pytest.raises(DataError, match="item 1 is not a text: 5"):
        model(["good", 5])


def test_a_model_of_an_objective_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "mlm", "mlm")

    with pytest.raises(MissingInputError) as error:
        load(folder)

    assert str(error.value) == (
        f"{folder}: the model was trained for 'mlm', which is no task. Fine-tune it first, on one of: "
        f"{', '.join(TASKS.names())}"
    )


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInputError, match="there is no such folder"):
        load(tmp_path / "nothing")


INFO = {
    "goal": {"type": "text_classification"},
    "goal_kind": "task",
    "labels": ["neg", "pos", "mid"],
    "max_seq_length": 48,
    "data_fingerprint": "abc",
}


def test_texts_are_cleaned_as_the_training_texts_were(tmp_path):
    clean = [{"type": "replace", "pattern": "movie", "with": "boring"}]
    plain = load(write_checkpoint(tmp_path / "plain", "bert", INFO))
    cleaned = load(
        write_checkpoint(tmp_path / "cleaned", "bert", {**INFO, "columns": {"text": "body"}, "clean": clean})
    )

    assert cleaned(["good movie"]) == plain(["good boring"])
    assert cleaned(["good movie"]) != plain(["good movie"])
    assert cleaned.columns == {"text": "body"}


def test_a_flipped_byte_is_found_and_the_file_named(tmp_path):
    from bmtool.artifacts.files import sha256_of

    folder = write_checkpoint(tmp_path / "bert", "bert", INFO)
    files = {p.name: FileEntry(p.stat().st_size, sha256_of(p)) for p in folder.iterdir()}
    manifest = Manifest("checkpoint", "finetune", 1, "f" * 64, {}, {}, files, {})
    (folder / "manifest.json").write_text(manifest.to_json())
    assert load(folder).fingerprint == "f" * 64
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)

    with pytest.raises(DataError, match=r"model\.safetensors: the file is missing or its bytes changed"):
        load(folder)


def test_a_foreign_folder_has_the_fingerprint_that_stages_give_it(classifier, tmp_path):
    from bmtool.artifacts.foreign import foreign_checkpoint
    from bmtool.artifacts.hashes import HashCache

    assert load(classifier).fingerprint == foreign_checkpoint(classifier, HashCache(tmp_path / "hashes")).fingerprint


def test_scores_of_words_are_those_of_their_own_text(tagger):
    model = load(tagger)

    together, alone = model([["good", "movie"], ["bad"]]), model([["bad"]])

    assert together[1]["tags"] == alone[0]["tags"]
    assert np.allclose(together[1]["scores"], alone[0]["scores"], atol=1e-5)


def test_importing_bmtool_imports_nothing_heavy():
    code = "import sys, bmtool, json; print(json.dumps(sorted({'torch', 'numpy', 'transformers'} & set(sys.modules))))"

    heavy = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)

    assert heavy == []
    assert bmtool.load.__module__ == "bmtool"


def test_a_cleaner_that_another_version_recorded_is_named(tmp_path):
    folder = write_checkpoint(tmp_path / "bert", "bert")
    info = {**read_info(folder), "clean": [{"type": "of_tomorrow"}]}
    (folder / "bmtool.json").write_text(json.dumps(info), encoding="utf-8")

    with pytest.raises(MissingInputError) as raised:
        load(folder)

    assert "its cleaner was recorded by another version" in str(raised.value)
    assert "of_tomorrow" in str(raised.value)


ASKED = {
    "bert": ({"type": "text_classification"}, [" ", {"text": "\n"}]),
    "tags": ({"type": "token_classification"}, [" ", ["", " "]]),
    "questions": ({"type": "question_answering"}, [{"question": " ", "context": "good"}]),
    "vectors": ({"type": "similarity"}, [" "]),
    "bart": ({"type": "translation"}, [" ", {"source": ""}]),
    "writing_gpt": ({"type": "generation"}, [" "]),
}
CHAT = [{"role": "user", "content": "good?"}, {"role": "assistant", "content": "good"}]


@pytest.mark.parametrize("kind", list(ASKED))
def test_a_blank_text_is_refused_by_every_task(kind, tmp_path):
    goal, blank = ASKED[kind]
    model = load(write_checkpoint(tmp_path / kind, kind, INFO | {"goal": goal, "max_seq_length": 16, "labels": []}))

    for row in blank:
        with pytest.raises(DataError) as error:
            model([row])
        assert str(error.value) == f"item 0 has no text: {row!r}"


def test_a_conversation_that_ends_with_a_blank_question_is_refused_and_a_tool_may_say_nothing(tmp_path):
    settings = {"type": "generation", "messages": True, "max_new_tokens": 2}
    folder = write_checkpoint(tmp_path / "gpt", "writing_gpt", INFO | {"goal": settings, "max_seq_length": 40})
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "[SEP]", "pad_token": "[PAD]"}))
    model = load(folder)

    assert model.fault(model.as_row([*CHAT, {"role": "user", "content": " \n"}])) == "no text"
    assert model.fault(model.as_row("")) == "no text"
    assert model.fault(model.as_row([*CHAT, {"role": "tool", "content": ""}])) == ""
    assert model.fault(model.as_row(5)) == "not a text, or messages that ask something"
    assert len(model(["good", CHAT])) == 2

"""`inspect --mask`: each token of a row with its role, as the model that was trained on the row got it."""

import json
import sys
from pathlib import Path

import pytest
from bmtool.architectures.gpt import Gpt
from bmtool.artifacts.manifest import Manifest
from bmtool.commands.mask import mask
from bmtool.config.model import validate
from bmtool.data.dataset import open_dataset
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import MissingInputError
from bmtool.models.building.build import new_model, special_ids
from bmtool.models.files.checkpoint import save_checkpoint

sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import prepare


def as_stage(folder, stage, kind, inputs=None, finished="2026-01-02T03:04:05+00:00"):
    manifest = Manifest(kind, stage, 1, "f" * 64, {}, inputs or {}, {}, {}, finished=finished)
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with conversations, pairs, a corpus, and a model that was trained on the conversations."""
    store = tmp_path_factory.mktemp("store")
    path = store / ".rows.jsonl"
    chat = [{"role": "user", "content": "who 猫?"}, {"role": "assistant", "content": "a\nmachine"}]
    row = {"messages": chat, "text": "who assistant user machine", "source": "who?", "target": "machine"}
    path.write_text("".join(json.dumps(row) + "\n" for _ in range(4)), encoding="utf-8")
    source = {"sources": str(path)}
    tokenizer = {"tokenizer": {"type": "bpe", "vocab_size": 270}}
    made = {
        "chats": source | {"task": {"type": "generation", "messages": True, "max_new_tokens": 50}},
        "pairs": source | {"task": "translation"},
        "shorts": source | {"task": {"type": "translation", "max_new_tokens": 3}},
        "words": source | tokenizer,
    }
    for name, settings in made.items():
        prepare(store / name, settings)
        as_stage(store / name, "prepare", "dataset")
    folder = open_dataset(store / "words").tokenizer_folder
    ids = special_ids(load_tokenizer(folder), folder)
    small = validate(Gpt, {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2})
    model = new_model(small.config(vocab_size=270, max_seq_length=99, special_ids=ids), "AutoModelForCausalLM")
    save_checkpoint(store / "model", model, folder, {"max_seq_length": 99, "labels": [], "goal": None})
    as_stage(store / "model", "finetune", "checkpoint", {"data": {"path": "chats"}})
    save_checkpoint(store / "several" / "shorts", model, folder, {"max_seq_length": 20, "labels": [], "goal": None})
    as_stage(store / "several", "finetune", "checkpoint", {"data:shorts": {"path": "shorts"}})
    return store


def stretches(text):
    """(role, tokens) of the lines of the first row."""
    lines = text.split("\n\n")[1].splitlines()
    return [(line[2:10].strip(), line[10:]) for line in lines[1:]]


def test_each_stretch_of_tokens_is_a_line_with_its_role(store, capsys):
    code = mask(store / "chats")

    text = capsys.readouterr().out
    assert code == 0
    assert text.startswith(f"read by {store / 'model'}, max_seq_length 99\n")
    end = "<|endoftext|>"
    assert [(role, text.replace("·", "")) for role, text in stretches(text)] == [
        ("special", end),
        ("prompt", "user"),
        ("special", end),
        ("prompt", "who ‥‥猫?"),
        ("special", end),
        ("prompt", "assistant"),
        ("special", end),
        ("answer", "a⏎machine"),
        ("end", end),
    ]
    assert "\x1b" not in text


def test_a_checkpoint_shows_the_rows_that_it_was_trained_on(store, capsys):
    mask(store / "chats", as_json=True)
    by_data = json.loads(capsys.readouterr().out)["results"][0]

    mask(store / "model", as_json=True)

    by_model = json.loads(capsys.readouterr().out)["results"][0]
    assert by_model["rows"] == by_data["rows"]
    assert by_model["model"] == str(store / "model")
    assert len(by_model["rows"]) == 3
    tokens = by_model["rows"][0]["tokens"]
    assert tokens[-1] == {"id": 0, "text": "<|endoftext|>", "role": "end"}
    assert {token["role"] for token in tokens} == {"prompt", "special", "answer", "end"}


def test_a_dataset_is_found_among_those_of_several_tasks_and_what_is_cut_is_said(store, capsys):
    mask(store / "shorts")

    text = capsys.readouterr().out
    assert text.startswith(f"read by {store / 'several' / 'shorts'}, max_seq_length 20\n")
    assert [role for role, _ in stretches(text)] == ["special", "prompt", "answer", "special"]
    assert "of these rows: 3 targets cut, 3 tokens cut at max_new_tokens 3" in text


def test_a_terminal_gets_colours(store, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    mask(store / "chats")

    assert "\x1b[32;1m<|endoftext|>\x1b[0m" in capsys.readouterr().out


def test_a_dataset_that_nobody_was_trained_on_is_read_as_by_a_given_model_or_corpus(store, capsys):
    with pytest.raises(MissingInputError, match="no model of this store was trained on it"):
        mask(store / "pairs")

    for model in ("model", "words"):
        mask(store / "pairs", store / model)
        roles = [role for role, _ in stretches(capsys.readouterr().out)]
        assert roles == ["special", "prompt", "answer", "end"]


def test_what_does_not_write_has_no_mask(store, reviews, tmp_path):
    (reviews.folder / "manifest.json").write_text(reviews.manifest.to_json())

    with pytest.raises(MissingInputError, match=r"--mask shows what tasks that write learn .* is for text_classif"):
        mask(reviews.folder, store / "model")
    with pytest.raises(MissingInputError, match="--mask looks into a dataset, or a checkpoint that was fine-tuned"):
        mask(as_stage(tmp_path, "evaluate", "evaluation"))

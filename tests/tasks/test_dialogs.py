"""Conversations from a file to answers: what is trained is what transformers gives, and what is asked is answered."""

import json
import sys
from pathlib import Path

import pytest
from bmtool.config.model import validate
from bmtool.data.dataset import open_dataset
from bmtool.errors import ConfigError
from bmtool.models.files.opening import load
from bmtool.stages import evaluate, finetune
from bmtool.tasks.generation import Generation
from transformers import AutoModelForCausalLM, AutoTokenizer, T5Config

sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import prepare

FACTS = {"red": "like blood", "blue": "like the sky", "green": "like grass", "white": "like snow"}
MODEL = {"architecture": "gpt", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "dropout": 0.0}


def chats():
    for index in range(48):
        colour = list(FACTS)[index % len(FACTS)]
        yield [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": f"what is {colour}, number {index}?"},
            {"role": "assistant", "content": FACTS[colour]},
        ]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Conversations, and a corpus of what is said in them with a tokenizer."""
    folder = tmp_path_factory.mktemp("dialogs")
    rows = [{"messages": chat, "text": "\n".join(one["content"] for one in chat)} for chat in chats()]
    (folder / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = {"sources": str(folder / "chats.jsonl")}
    task = {"type": "generation", "messages": True, "max_new_tokens": 16}
    return (
        prepare(folder / "data", source | {"task": task, "split": {"validation": 0.2, "test": 0.2}}),
        prepare(folder / "corpus", source | {"tokenizer": {"type": "bpe", "vocab_size": 300}}),
    )


@pytest.fixture(scope="module")
def tuned(data, job_at, tmp_path_factory):
    labelled, corpus = data
    work = job_at(tmp_path_factory.mktemp("tuned") / "finetune-1", {"data": labelled, "tokenizer": corpus})
    settings = {
        "data": "chats",
        "tokenizer": "corpus",
        "model": MODEL,
        "num_train_epochs": 25,
        "learning_rate": 1e-2,
        "max_seq_length": 64,
        "per_device_batch_tokens": 256,
        "precision": "fp32",
    }
    return work.as_artifact("checkpoint", finetune.run(validate(finetune.Config, settings), work.job))


def test_a_dialog_is_learned_and_evaluated_beside_the_nearest_answer(data, tuned, job_at, tmp_path):
    work = job_at(tmp_path, {"from": tuned, "data:chats": data[0]})

    evaluate.run(validate(evaluate.Config, {"baselines": ["phrase_lookup"]}), work.job)

    [result] = json.loads((tmp_path / "metrics.json").read_text())["datasets"].values()
    assert set(result["metrics"]) == {"chrf", "bleu", "rouge_l", "loss", "perplexity", "bits_per_byte"}
    assert result["metrics"]["chrf"]["value"] > 70
    assert set(result["baselines"]["phrase_lookup"]) == {"chrf", "bleu", "rouge_l"}


def test_what_transformers_asks_by_the_checkpoints_own_template_is_answered_as_bmtool_answers(data, tuned):
    rows = open_dataset(data[0].folder)["test"].column("messages").to_pylist()
    tokenizer = AutoTokenizer.from_pretrained(tuned.folder)
    model = AutoModelForCausalLM.from_pretrained(tuned.folder).eval()

    ours = load(tuned.folder)([{"messages": messages} for messages in rows])

    assert len({one["target"] for one in ours}) > 1
    for messages, answer in zip(rows, ours, strict=True):
        inputs = tokenizer.apply_chat_template(
            messages[:-1], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        ids = model.generate(**inputs, max_new_tokens=16, do_sample=False)
        assert tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True) == answer["target"]


def test_a_text_is_a_question_and_messages_need_one(tuned):
    predictor = load(tuned.folder)
    question = {"role": "user", "content": "what is red?"}

    [by_text, by_messages] = predictor(["what is red?", [question, {"role": "assistant", "content": "not read"}]])

    assert by_text == by_messages
    assert predictor.as_row({"messages": [{"role": "assistant", "content": "a"}]}) is None
    assert predictor.as_row({"messages": 5}) is None


def test_conversations_need_a_decoder():
    with pytest.raises(ConfigError, match=r"a conversation is one text that a decoder .* and this is a 't5'"):
        Generation(messages=True).suited(T5Config(), Path())

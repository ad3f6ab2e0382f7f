"""Decoders that answer prompts: what is read, learned and cut, and that neither padding nor neighbours matter."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from bmtool.architectures.bert import Bert
from bmtool.architectures.gpt import Gpt
from bmtool.architectures.llama import Llama
from bmtool.architectures.qwen3 import Qwen3
from bmtool.config.model import ValidationError, validate
from bmtool.errors import ConfigError, DataError
from bmtool.methods.lora import Lora
from bmtool.models.attention.documents import ATTENTION
from bmtool.models.building.build import new_model
from bmtool.models.files.checkpoint import open_model
from bmtool.models.files.inference import Rows
from bmtool.tasks.generation import Generation
from bmtool.tasks.summarization import Summarization
from bmtool.tasks.translation import Translation
from bmtool.tokenizers.bpe import Bpe
from bmtool.tokenizers.unigram import Unigram
from bmtool.train.inference.predict import run_goal

PROMPTS = [
    "who are you?",
    "what is (a lovely) film, then?",
    "?",
    "你是谁",
    "and this is a longer one: why do you ask",
]
ANSWERS = ["a machine", "This one. Twice!", "nothing", "这部电影很好看", "because"]
ARCHITECTURES = {"gpt": Gpt, "llama": Llama, "qwen3": Qwen3}


@pytest.fixture(scope="module")
def bpe(tmp_path_factory):
    return saved(Bpe(vocab_size=300), tmp_path_factory.mktemp("bpe"))


@pytest.fixture(scope="module")
def unigram(tmp_path_factory):
    return saved(Unigram(vocab_size=340, byte_fallback=True), tmp_path_factory.mktemp("unigram"))


def saved(trainer, folder):
    from bmtool.data.tokenizing.tokenizers import load_tokenizer, save_tokenizer

    save_tokenizer(folder, trainer.train((PROMPTS + ANSWERS) * 20), trainer)
    return load_tokenizer(folder), folder


def rows(prompts=PROMPTS, answers=ANSWERS, column="prompt"):
    columns = {column: prompts} | ({} if answers is None else {"target": answers})
    return Rows(pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns])), (), "train")


def config_of(name, tokenizer, **settings):
    end = tokenizer.token_to_id("<|endoftext|>")
    ids = {"eos": end, "bos": end, "pad": tokenizer.token_to_id("<|pad|>")}
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    plain = {"dropout": 0.0} if name == "gpt" else {}
    architecture = validate(ARCHITECTURES[name], small | plain | settings)
    return architecture.config(vocab_size=tokenizer.get_vocab_size(), max_seq_length=64, special_ids=ids)


def small(name, bpe, task=None, **settings):
    """A new model, and the task as it learns it."""
    tokenizer, folder = bpe
    config = config_of(name, tokenizer, **settings)
    task = (task or Generation()).suited(config, folder)
    return new_model(config, task.auto_class, seed=0).eval(), task


def encoded(task, tokenizer, split=None, max_seq_length=64):
    examples = task.examples(rows() if split is None else split, tokenizer, max_seq_length)
    return examples, task.collate(examples, np.arange(len(examples)), np.random.default_rng(0))


def learned(task, model, tokenizer, steps=80):
    torch.set_num_threads(1)
    _, batch = encoded(task, tokenizer)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * min(1, step / 5) * (1 - step / steps)
        loss = task.losses(model, batch)["cross_entropy"] / batch.counts["cross_entropy"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, loss.item()


@pytest.fixture(scope="module")
def half_learned(bpe):
    """A model that writes something else to each prompt, and ends some of its answers."""
    model, task = small("gpt", bpe)
    return learned(task, model, bpe[0], steps=20)[0]


# ---------------------------------------------------------------- what is read


def test_an_example_is_a_prompt_and_an_answer_of_which_the_answer_and_its_end_are_learned(bpe):
    tokenizer = bpe[0]
    _, task = small("gpt", bpe)

    examples, batch = encoded(task, tokenizer, rows(["who?", "a"], ["me", "two"]))

    end = "<|endoftext|>"
    asked = [[end, *tokenizer.encode(f"{text}\n").tokens] for text in ("who?", "a")]
    answers = [[*tokenizer.encode(text).tokens, end] for text in ("me", "two")]
    tokens = [tokenizer.id_to_token(i) for i in batch.input_ids[0].tolist()]
    assert tokens == [*asked[0], *answers[0], *asked[1], *answers[1]]
    assert [tokenizer.id_to_token(i) for i in batch.targets["labels"].tolist()] == [*answers[0], *answers[1]]
    assert [tokens[place + 1] for place in batch.targets["positions"].tolist()] == [*answers[0], *answers[1]]
    assert batch.counts == {"cross_entropy": len(answers[0]) + len(answers[1])}
    assert examples.columns["prompt_lengths"].tolist() == [len(asked[0]), len(asked[1])]
    assert examples.columns["references"] == [["me"], ["two"]]
    assert examples.columns["bytes"].tolist() == [2, 3]
    assert batch.is_causal


def test_a_tokenizer_with_special_tokens_of_its_own_puts_them_around_both(unigram):
    _, task = small("gpt", unigram)

    _, batch = encoded(task, unigram[0], rows(["who"], ["me"]))

    tokens = [unigram[0].id_to_token(i) for i in batch.input_ids[0].tolist()]
    assert tokens[0] == "<s>"
    assert tokens[-1] == "</s>"
    assert batch.targets["labels"].tolist() == [*unigram[0].encode("me", add_special_tokens=False).ids, 2]


def test_of_a_long_prompt_the_text_is_cut_and_what_is_behind_it_stays(bpe):
    tokenizer = bpe[0]
    _, task = small("gpt", bpe, Translation(prompt="say: {source} =>"))
    long, short = "aéb " * 10, "a"

    examples, batch = encoded(task, tokenizer, rows([long, short], None, "source"), max_seq_length=20)

    tail = tokenizer.encode(" =>").ids
    first = batch.input_ids[0, : batch.cu_seq_lens[1]].tolist()
    assert len(first) == 20
    assert first[-len(tail) :] == tail
    assert tokenizer.decode(first[1 : -len(tail)]).startswith("say: aéb aéb")
    whole = tokenizer.encode(f"say: {long} =>").ids
    assert examples.cut == {"texts_cut": 1, "tokens_cut": len(whole) - 19}
    assert batch.input_ids[0, batch.cu_seq_lens[1] + 1 :].tolist() == tokenizer.encode("say: a =>").ids


def test_of_an_answer_that_is_cut_the_end_is_not_learned_and_it_is_counted(bpe):
    tokenizer, end = bpe[0], bpe[0].token_to_id("<|endoftext|>")
    _, task = small("gpt", bpe, Generation(max_new_tokens=6))
    long = "aéb " * 10

    examples, batch = encoded(task, tokenizer, rows(["a", "a"], [long, "me"]))

    kept = tokenizer.encode(long).ids[:5]
    assert batch.targets["labels"].tolist() == [*kept, *tokenizer.encode("me").ids, end]
    assert examples.cut["targets_cut"] == 1
    assert examples.columns["bytes"][0] == pytest.approx(50 * 5 / len(tokenizer.encode(long).ids))


def test_a_prompt_that_leaves_no_room_for_text_is_refused(bpe):
    _, task = small("gpt", bpe, Translation(prompt="{source}, of which this is much too long to fit"))

    with pytest.raises(DataError, match="max_seq_length leaves no room for text beside that of the prompt"):
        encoded(task, bpe[0], rows(["a" * 50], None, "source"), max_seq_length=16)


def test_prompts_and_answers_that_the_model_has_no_positions_for_are_refused(bpe):
    _, task = small("gpt", bpe, max_position_embeddings=100)

    with pytest.raises(ConfigError) as error:
        encoded(task, bpe[0])

    assert str(error.value) == (
        "a prompt of max_seq_length (64) and an answer of max_new_tokens (128) don't fit into the 100 positions of the "
        "model. Lower one, or set max_position_embeddings of a new model to 192"
    )


def test_a_model_that_does_not_write_is_refused(bpe):
    config = Bert().config(vocab_size=100, max_seq_length=16, special_ids={})

    with pytest.raises(ConfigError, match=r"generation needs a model that writes: .* and this is a 'bert'"):
        Generation().suited(config, bpe[1])


def test_settings_are_checked():
    with pytest.raises(ValidationError, match=r"must have \{prompt\} in it once"):
        validate(Generation, {"prompt": "answer:"})
    with pytest.raises(ValidationError, match="set num_beams: 1 with it"):
        validate(Translation, {"sampling": {"temperature": 0.5}})
    with pytest.raises(ValidationError, match="has an effect only with several beams"):
        validate(Generation, {"length_penalty": 2.0})
    with pytest.raises(ValidationError, match="seed"):
        validate(Generation, {"sampling": {"seed": 2**63}})


# ---------------------------------------------------------------- what is learned


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_loss_is_that_of_each_row_alone_by_transformers_itself(name, bpe):
    tokenizer, _ = bpe
    model, task = small(name, bpe)
    examples, batch = encoded(task, tokenizer)

    with torch.inference_mode():
        loss = task.losses(model, batch)["cross_entropy"].item()
        outputs = task.watched(None).outputs(model, batch, examples)

    model.set_attn_implementation("eager")
    end, alone = tokenizer.token_to_id("<|endoftext|>"), []
    for prompt, answer in zip(PROMPTS, ANSWERS, strict=True):
        asked = [end, *tokenizer.encode(f"{prompt}\n").ids]
        written = [*tokenizer.encode(answer).ids, end]
        labels = torch.tensor([[-100] * len(asked) + written])
        alone.append(model(torch.tensor([asked + written]), labels=labels).loss.item() * len(written))
    assert loss == pytest.approx(sum(alone), rel=1e-5)
    np.testing.assert_allclose(outputs["nll"], alone, rtol=1e-4)
    assert set(outputs) == {"nll", "targets", "bytes"}


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (Generation(), "gpt"),
        (Generation(), "llama"),
        (Generation(), "qwen3"),
        (Translation(), "gpt"),
        (Summarization(), "gpt"),
    ],
)
def test_a_few_answers_are_learned_by_heart_with_their_ends(task, name, bpe, tmp_path):
    tokenizer, _ = bpe
    model, task = small(name, bpe, task)
    split = rows(column=task.asked_column)
    _, batch = encoded(task, tokenizer, split)
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(60):
        loss = task.losses(model, batch)["cross_entropy"] / batch.counts["cross_entropy"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    examples, _ = encoded(task, tokenizer, split)
    outputs = run_goal(model, task, examples, 128)
    model.save_pretrained(tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    again = run_goal(open_model(tmp_path, task.auto_class), task, examples, 256)

    assert outputs["predictions"] == again["predictions"] == ANSWERS
    assert not outputs["is_cut"].any()
    np.testing.assert_allclose(outputs["nll"], again["nll"], atol=1e-4)
    assert task.present(outputs, ()).to_pydict() == {"target": ANSWERS}


def test_that_an_answer_ends_is_learned_also_where_padding_has_the_ends_id(bpe):
    tokenizer, _ = bpe
    model, task = small("gpt", bpe)
    model.config.pad_token_id = tokenizer.token_to_id("<|endoftext|>")

    learned(task, model, tokenizer, steps=60)
    examples, batch = encoded(task, tokenizer)
    outputs = task.outputs(model.eval(), batch, examples)

    assert outputs["predictions"] == ANSWERS
    assert not outputs["is_cut"].any()


def test_adapters_learn_to_answer_and_are_merged_without_a_change(bpe, make_job):
    pytest.importorskip("peft")
    tokenizer, _ = bpe
    model, task = small("gpt", bpe)
    method = Lora(rank=4)
    method.shaped(model, make_job())
    learned(task, model, tokenizer, steps=10)
    examples, batch = encoded(task, tokenizer)

    before = task.outputs(model.eval(), batch, examples)
    merged = method.finished(model)
    after = task.outputs(merged.eval(), batch, examples)

    np.testing.assert_allclose(before["nll"], after["nll"], rtol=1e-4)
    assert before["predictions"] == after["predictions"]
    assert merged.state_dict().keys() == small("gpt", bpe)[0].state_dict().keys()


# ---------------------------------------------------------------- what is written


SEARCHES = {
    "greedy": {},
    "beams": {"num_beams": 3},
    "sampling": {"sampling": {"temperature": 0.7, "top_p": 0.9, "seed": 3}},
}


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("how", SEARCHES)
def test_a_text_does_not_depend_on_what_else_is_in_the_batch(name, how, bpe):
    model, task = small(name, bpe, validate(Generation, {"max_new_tokens": 20} | SEARCHES[how]))
    learned(task, model, bpe[0], steps=12)
    examples, batch = encoded(task, bpe[0], rows(answers=None))

    together = task.outputs(model, batch, examples)

    assert set(together) == {"predictions", "is_cut"}
    assert len(set(together["predictions"])) > 1
    for row in range(len(examples)):
        one = task.collate(examples, np.asarray([row]), np.random.default_rng(0))
        alone = task.outputs(model, one, examples)
        assert alone["predictions"] == [together["predictions"][row]]
        assert alone["is_cut"][0] == together["is_cut"][row]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_texts_are_those_that_transformers_writes_by_the_same_settings(num_beams, half_learned, bpe):
    tokenizer, folder = bpe
    task = Generation(num_beams=num_beams, max_new_tokens=15, length_penalty=2.0 if num_beams > 1 else 1.0)
    task = task.suited(half_learned.config, folder)
    examples, batch = encoded(task, tokenizer, rows(answers=None))

    ours = task.outputs(half_learned, batch, examples)["predictions"]

    plain = new_model(half_learned.config, task.auto_class, attention="eager")
    plain.load_state_dict(half_learned.state_dict())
    end = tokenizer.token_to_id("<|endoftext|>")
    for prompt, text in zip(PROMPTS, ours, strict=True):
        asked = torch.tensor([[end, *tokenizer.encode(f"{prompt}\n").ids]])
        ids = plain.eval().generate(
            asked,
            attention_mask=torch.ones_like(asked),
            num_beams=num_beams,
            max_new_tokens=15,
            length_penalty=2.0,
            eos_token_id=end,
            do_sample=False,
        )
        assert tokenizer.decode(ids[0, asked.shape[1] :].tolist(), skip_special_tokens=True) == text


def test_another_seed_draws_other_texts_and_the_same_the_same(half_learned, bpe):
    def drawn(**sampling):
        task = validate(Generation, {"max_new_tokens": 10, "sampling": sampling}).suited(half_learned.config, bpe[1])
        examples, batch = encoded(task, bpe[0], rows(answers=None))
        return task.outputs(half_learned, batch, examples)["predictions"]

    assert drawn(seed=1) == drawn(seed=1)
    assert drawn(seed=1) != drawn(seed=2)
    greedy = Generation(max_new_tokens=10).suited(half_learned.config, bpe[1])
    examples, batch = encoded(greedy, bpe[0], rows(answers=None))
    assert drawn(temperature=1e-4) == greedy.outputs(half_learned, batch, examples)["predictions"]


def test_tokens_are_drawn_as_often_as_they_are_likely():
    from bmtool.models.decoding.search import Draws, _chance

    scores = torch.log(torch.tensor([0.5, 0.3, 0.2])).repeat(4000, 1)

    whole = _chance(Draws(1.0, 1.0, 0), list(range(4000)))(None, scores.clone()).argmax(-1)
    nucleus = _chance(Draws(1.0, 0.7, 0), list(range(4000)))(None, scores.clone()).argmax(-1)

    np.testing.assert_allclose(torch.bincount(whole).numpy() / 4000, [0.5, 0.3, 0.2], atol=0.03)
    np.testing.assert_allclose(torch.bincount(nucleus).numpy() / 4000, [0.625, 0.375], atol=0.03)


def test_a_text_that_does_not_end_in_time_is_cut_and_said_to_be(half_learned, bpe):
    task = Generation(max_new_tokens=2).suited(half_learned.config, bpe[1])
    examples, batch = encoded(task, bpe[0], rows(answers=None))

    outputs = task.outputs(half_learned, batch, examples)
    longer = task.model_copy(update={"max_new_tokens": 9}).outputs(half_learned, batch, examples)

    assert outputs["is_cut"].all()
    assert any(
        len(long) > len(short) for long, short in zip(longer["predictions"], outputs["predictions"], strict=True)
    )


def test_writing_leaves_the_model_packed(half_learned, bpe):
    task = Generation(max_new_tokens=2).suited(half_learned.config, bpe[1])
    examples, batch = encoded(task, bpe[0])
    before = task.losses(half_learned, batch)["cross_entropy"].item()

    task.outputs(half_learned, batch, examples)

    assert task.losses(half_learned, batch)["cross_entropy"].item() == before


def test_a_model_writes_with_layers_that_belong_to_another_one(half_learned, bpe):
    other, _ = small("gpt", bpe)
    other.transformer.h = half_learned.transformer.h
    task = Generation(max_new_tokens=2).suited(other.config, bpe[1])
    examples, batch = encoded(task, bpe[0])

    outputs = task.outputs(other, batch, examples)

    assert len(outputs["predictions"]) == len(examples)
    assert half_learned.transformer.h[0].attn.config._attn_implementation == ATTENTION

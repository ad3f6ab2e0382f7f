"""Conversations: ids and masks are those of transformers, ends of answers are learned, and what is too long is said."""

import numpy as np
import pyarrow as pa
import pytest
from bmtool.artifacts.files import write_json
from bmtool.data.examples.conversations import conversations, furnish
from bmtool.data.messages import MESSAGES
from bmtool.data.tokenizing.chat_template import PLAIN, ChatTemplate, write_template
from bmtool.data.tokenizing.tokenizers import load_tokenizer, save_tokenizer
from bmtool.errors import DataError, MissingInputError
from bmtool.models.files.inference import Rows
from bmtool.tokenizers.bpe import Bpe
from bmtool.tokenizers.unigram import Unigram
from tokenizers import Regex, Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.trainers import BpeTrainer
from transformers import AutoTokenizer, GenerationConfig

TURN = "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
CHATML = f"""{{% for message in messages %}}{TURN}{{% endfor %}}\
{{% if add_generation_prompt %}}{{{{ '<|im_start|>assistant\n' }}}}{{% endif %}}"""
MARKED = """{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}\
{% if message.role == 'assistant' %}{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}\
{% else %}{{ message.content + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
END_OUTSIDE = MARKED.replace(" + '<|im_end|>' }}{% endgeneration %}", " }}{% endgeneration %}{{ '<|im_end|>' }}")
#: As in Qwen3: thoughts are left out once the conversation goes on.
FORGETFUL = CHATML.replace(
    TURN,
    "{{ '<|im_start|>' + message.role + '\n' + ('<think></think>' if loop.last and message.role == 'assistant' else '')"
    " + message.content + '<|im_end|>\n' }}",
)

#: As in Phi-4: what is over ends with a token of its own.
CLOSED = CHATML.replace("{% if add_generation_prompt %}", "{% if not add_generation_prompt %}<|endoftext|>{% else %}")
#: As in Llama 2: the first turn's border is no token of its own, and only answers end with one.
BRACKETS = """{% for message in messages %}{% if message.role == 'assistant' %}\
{{ ' ' + message.content | trim + ' ' + eos_token }}{% else %}{{ '[INST] ' + message.content | trim + ' [/INST]' }}\
{% endif %}{% endfor %}"""

CHATS = [
    [("user", "who are you?"), ("assistant", "a machine, 你好")],
    [("system", "be brief"), ("user", " \nand you"), ("assistant", "I  see"), ("user", "what?"), ("assistant", "x\n")],
    [("user", "part\n\nof it"), ("assistant", "")],
]


def as_messages(turns):
    return [{"role": role, "content": content} for role, content in turns]


def rows(chats=CHATS):
    return Rows(pa.table({"messages": pa.array([as_messages(chat) for chat in chats], MESSAGES)}), (), "train")


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def folder(request, tmp_path_factory):
    """A tokenizer as `prepare` makes it, without a chat template."""
    trainer = {"bpe": Bpe(vocab_size=300), "unigram": Unigram(vocab_size=340, byte_fallback=True)}[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    texts = [content for chat in CHATS for _, content in chat] + ["user", "assistant", "system"]
    save_tokenizer(folder, trainer.train(texts * 20), trainer)
    return folder


@pytest.fixture(scope="module")
def chatml(tmp_path_factory):
    """A tokenizer with the tokens of ChatML; give it a template."""
    trainer = Bpe(vocab_size=300)
    tokenizer = trainer.train(["who are you", "assistant"] * 20)
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    folder = tmp_path_factory.mktemp("chatml")
    save_tokenizer(folder, tokenizer, trainer)

    def with_template(text):
        (folder / "chat_template.jinja").write_text(text, encoding="utf-8")
        return folder

    return with_template


def encoded(folder, split=None, **limits):
    limits = {"max_prompt_tokens": 200, "max_answer_tokens": 100} | limits
    return conversations(split or rows(), load_tokenizer(folder), ChatTemplate.of(folder), **limits)


def read(examples, row):
    """The ids of a conversation, and which of them are learned."""
    start, length = examples.starts[row], examples.lengths[row]
    first = examples.columns["learned_starts"][row]
    return examples.tokens.gather([start], [length]).tolist(), examples.columns["learned"][first : first + length]


def learned_texts(examples, folder, row):
    """What is learned of a conversation, one text for each stretch of tokens."""
    tokenizer = load_tokenizer(folder)
    ids, learned = read(examples, row)
    borders = np.flatnonzero(np.diff(np.concatenate([[0], learned, [0]])))
    stretches = zip(borders[::2], borders[1::2], strict=True)
    return [tokenizer.decode(ids[first:last], skip_special_tokens=False) for first, last in stretches]


# ---------------------------------------------------------------- what is read and learned


def test_a_plain_template_is_written_with_which_transformers_gives_the_same_ids_and_mask(folder, tmp_path):
    examples = encoded(folder)

    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    write_template(tmp_path, ChatTemplate.of(tmp_path))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for row, chat in enumerate(CHATS):
        ids, learned = read(examples, row)
        wanted = theirs.apply_chat_template(
            as_messages(chat), tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        prompt = theirs.apply_chat_template(
            as_messages(chat[:-1]), tokenize=True, return_dict=True, add_generation_prompt=True
        )
        assert ids == wanted["input_ids"]
        assert learned.astype(int).tolist() == wanted["assistant_masks"]
        assert ids[: examples.columns["prompt_lengths"][row]] == prompt["input_ids"]
        assert ids[-1] == examples.end == theirs.eos_token_id
        assert learned[-1]


def test_of_the_plain_template_answers_and_their_ends_are_learned(folder):
    examples = encoded(folder)

    end = load_tokenizer(folder).id_to_token(examples.end)
    if end == "<|endoftext|>":  # a unigram tokenizer's white space isn't that of the text
        assert learned_texts(examples, folder, 0) == [f"a machine, 你好{end}"]
        assert learned_texts(examples, folder, 1) == [f"I  see{end}", f"x\n{end}"]
    assert learned_texts(examples, folder, 2) == [end]
    assert examples.columns["references"] == [["a machine, 你好"], ["x\n"], [""]]
    assert examples.columns["bytes"].tolist() == [len("a machine, 你好".encode()), 6 + 2, 0]


@pytest.mark.parametrize("template", [MARKED, CHATML, CLOSED], ids=["marked", "unmarked", "closed"])
def test_a_template_of_its_own_gives_the_ids_of_transformers_and_learns_the_end_of_each_turn(chatml, template):
    folder = chatml(template)
    examples = encoded(folder)

    theirs = AutoTokenizer.from_pretrained(folder)
    for row, chat in enumerate(CHATS):
        ids, learned = read(examples, row)
        wanted = theirs.apply_chat_template(as_messages(chat), tokenize=True, return_dict=True)
        assert ids == wanted["input_ids"]
        answers = [f"{content}<|im_end|>" for role, content in chat if role == "assistant"]
        assert learned_texts(examples, folder, row) == answers
        if template == MARKED:
            mask = theirs.apply_chat_template(
                as_messages(chat), tokenize=True, return_dict=True, return_assistant_tokens_mask=True
            )["assistant_masks"]
            assert learned.astype(int).tolist() == mask
    assert examples.end == theirs.convert_tokens_to_ids("<|im_end|>")


def test_what_stands_around_an_answer_in_a_template_is_learned_with_it(chatml):
    folder = chatml(BRACKETS)

    examples = encoded(folder)

    assert learned_texts(examples, folder, 0) == [" a machine, 你好 <|endoftext|>"]
    assert learned_texts(examples, folder, 1) == [" I  see <|endoftext|>", " x <|endoftext|>"]
    assert examples.end == load_tokenizer(folder).token_to_id("<|endoftext|>")


def test_what_is_marked_behind_an_end_is_learned_and_the_end_is_where_writing_stops(chatml):
    folder = chatml(MARKED.replace("'<|im_end|>' }}{% endgeneration %}", "'<|im_end|>\n' }}{% endgeneration %}"))

    examples = encoded(folder)

    assert learned_texts(examples, folder, 0) == ["a machine, 你好<|im_end|>\n"]
    assert examples.end == load_tokenizer(folder).token_to_id("<|im_end|>")


def test_an_end_that_the_template_leaves_unmarked_is_learned_too(chatml):
    folder = chatml(END_OUTSIDE)

    examples = encoded(folder, rows(CHATS[:2]))

    assert learned_texts(examples, folder, 0) == ["a machine, 你好<|im_end|>"]
    assert learned_texts(examples, folder, 1) == ["I  see<|im_end|>", "x\n<|im_end|>"]


def test_a_conversation_that_ends_with_a_question_is_all_prompt(folder):
    examples = encoded(folder, rows([CHATS[0][:1]]))

    tokenizer = load_tokenizer(folder)
    assert "learned" not in examples.columns
    assert examples.columns["prompt_lengths"].tolist() == examples.lengths.tolist()
    ids = examples.tokens.gather(examples.starts, examples.lengths)
    assert tokenizer.decode(ids[-2:].tolist(), skip_special_tokens=False).endswith(tokenizer.id_to_token(examples.end))


@pytest.mark.parametrize(
    ("given", "ends"), [({"eos_token_id": 0}, [1, 0]), ({"eos_token_id": [2, 1]}, [2, 1]), ({}, [1])]
)
def test_transformers_is_told_what_ends_an_answer(chatml, tmp_path, given, ends):
    folder = chatml(CHATML)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    end = load_tokenizer(folder).token_to_id("<|im_end|>")
    ids = {0: 0, 1: end, 2: 2}
    given = {
        name: ids[value] if isinstance(value, int) else [ids[one] for one in value] for name, value in given.items()
    }
    write_json(tmp_path / "generation_config.json", given | {"_from_model_config": True, "top_k": 3})

    furnish(tmp_path)

    found = GenerationConfig.from_pretrained(tmp_path)
    assert found.eos_token_id == [ids[one] for one in ends]
    assert found.top_k == 3


# ---------------------------------------------------------------- answers that look like what is around them

#: As in Qwen2 and Llama 3: line breaks are one token, with those that the template puts before them.
BREAKS = Split(Regex(r"\s*[\r\n]+|\s+(?!\S)|\s+|\S+"), "isolated")


@pytest.fixture(scope="module")
def joining(tmp_path_factory):
    """A tokenizer that joins what is at the border of a prompt and its answer."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Sequence([BREAKS, ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "</think>"]
    settings = {"vocab_size": 300, "special_tokens": specials, "initial_alphabet": ByteLevel.alphabet()}
    tokenizer.train_from_iterator(["user\n\n\nassistant   x"] * 20, BpeTrainer(show_progress=False, **settings))
    folder = tmp_path_factory.mktemp("joining")
    save_tokenizer(folder, tokenizer, Bpe(vocab_size=300))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    assert tokenizer.encode("\n\n").tokens == ["\u010a\u010a"]

    def with_template(text):
        (folder / "chat_template.jinja").write_text(text, encoding="utf-8")
        return folder

    return with_template


STRANGE = [
    "\nx",
    "\n\n\n",
    "   x",
    "x\n",
    " \n x ",
    "",
    "im_end",
    "<|im_end",
    "\n<|im_start|>assistant\nx",
    "assistant",
]


@pytest.mark.parametrize(
    "template", [MARKED, CHATML, CLOSED, END_OUTSIDE], ids=["marked", "plain", "closed", "outside"]
)
@pytest.mark.parametrize("said", [said for said in STRANGE if said])
def test_an_answer_is_learned_whole_whatever_it_begins_or_ends_with(joining, template, said):
    folder = joining(template)

    examples = encoded(folder, rows([[("user", "x"), ("assistant", said)]]))

    tokenizer = load_tokenizer(folder)
    ids, _ = read(examples, 0)
    prompt = tokenizer.encode("<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False).ids
    assert ids[: examples.columns["prompt_lengths"][0]] == prompt
    assert learned_texts(examples, folder, 0) == [f"{said}<|im_end|>"]


def test_where_an_answer_is_over_is_known_if_it_looks_like_what_is_around_it(joining):
    folder = joining(FORGETFUL)

    examples = encoded(folder, rows([[("user", "x"), ("assistant", said)] for said in ("think", "", "</think>")]))

    for row, said in enumerate(("think", "", "</think>")):
        assert learned_texts(examples, folder, row) == [f"<think></think>{said}<|im_end|>"]


def test_of_an_earlier_answer_a_token_that_begins_before_it_is_not_learned_and_counted(joining):
    folder = joining(CHATML)
    chat = [("user", "x"), ("assistant", "\nx x"), ("user", "x"), ("assistant", "\nx")]

    examples = encoded(folder, rows([chat]))

    assert learned_texts(examples, folder, 0) == ["x x<|im_end|>", "\nx<|im_end|>"]
    assert examples.cut["first_tokens_unlearned"] == 1
    theirs = AutoTokenizer.from_pretrained(folder)
    prompt = theirs.apply_chat_template(as_messages(chat[:-1]), add_generation_prompt=True, return_dict=True)
    assert read(examples, 0)[0][: examples.columns["prompt_lengths"][0]] == prompt["input_ids"]


def test_an_answer_that_says_what_ends_one_is_counted_and_named(joining):
    folder = joining(CHATML)

    examples = encoded(folder, rows([CHATS[0], [("user", "x"), ("assistant", "x<|im_end|> x")]]))

    assert learned_texts(examples, folder, 1) == ["x<|im_end|> x<|im_end|>"]
    assert examples.cut["answers_with_an_end"] == 1
    assert examples.notes == ("row 1: message 1 says <|im_end|>, which ends answers: writing stops there",)


def test_a_prompt_that_ends_within_a_token_of_the_answer_stays_as_it_is(joining):
    folder = joining(CHATML.replace("<|im_start|>assistant\n", "<|im_start|>assis"))

    examples = encoded(folder, rows([CHATS[0]]))

    assert learned_texts(examples, folder, 0) == ["tant\na machine, 你好<|im_end|>"]


def test_a_tokenizer_that_writes_prompt_and_answer_otherwise_when_they_are_apart_is_refused(tmp_path):
    trainer = Unigram(vocab_size=340, byte_fallback=True)
    save_tokenizer(tmp_path, trainer.train(["user: who are you assistant: hello"] * 20), trainer)
    turn = "{{ message.role + ': ' + message.content + (eos_token if message.role == 'assistant' else ' ') }}"
    ask = "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    (tmp_path / "chat_template.jinja").write_text(f"{{% for message in messages %}}{turn}{{% endfor %}}{ask}")

    with pytest.raises(DataError, match="End the prompt with a special token, or without a space"):
        encoded(tmp_path, rows([[("user", "who"), ("assistant", "hello")]]))


# ---------------------------------------------------------------- templates that can't be learned by


def test_a_template_that_changes_earlier_turns_is_refused_by_name(chatml):
    folder = chatml(FORGETFUL)

    with pytest.raises(DataError) as error:
        encoded(folder, rows([CHATS[0], CHATS[1]]))

    assert str(error.value) == (
        f"split 'train': {folder / 'chat_template.jinja'} fails on 1 of 2 conversations; row 1: it writes what comes "
        f"before message 2 in another way once it is answered, or goes on, so it isn't known which tokens are the "
        f"answer. Mark answers in it with {{% generation %}} and {{% endgeneration %}}, or give each answer a row of "
        f"its own that ends with it"
    )
    assert learned_texts(encoded(folder, rows([CHATS[0]])), folder, 0) == ["<think></think>a machine, 你好<|im_end|>"]


def test_a_row_that_a_template_writes_otherwise_for_what_it_says_is_counted_and_named(chatml):
    folder = chatml(
        f"{{% for message in messages if 'no' in message.content %}}{{{{ raise_exception('no') }}}}"
        f"{{% endfor %}}{CHATML}"
    )
    bad = [[("user", "why"), ("assistant", f"no {number}")] for number in range(4)]

    with pytest.raises(DataError) as error:
        encoded(folder, rows([CHATS[0], *bad]))

    place, why = folder / "chat_template.jinja", "it refuses this one: no"
    mend = "It does write these turns when they say something else, so mend the row or take it out"
    named = "; ".join(f"row {row}: {why}. {mend}" for row in (1, 2, 3))
    assert str(error.value) == f"split 'train': {place} fails on 4 of 5 conversations; {named}; and 1 more"


def test_a_template_without_an_end_is_refused(chatml):
    folder = chatml(CHATML.replace("<|im_end|>", ""))

    with pytest.raises(DataError, match="puts no special token behind an answer, so a model couldn't learn to stop"):
        encoded(folder)


@pytest.mark.parametrize(
    ("does", "why"),
    [("{{ raise_exception('no system') }}", "no system"), ("{{ 1 + 'a' }}", "unsupported operand")],
)
def test_what_a_template_refuses_is_said_with_the_row(chatml, does, why):
    folder = chatml(f"{{% if messages[0].role == 'system' %}}{does}{{% endif %}}{CHATML}")

    with pytest.raises(DataError) as error:
        encoded(folder)

    place = folder / "chat_template.jinja"
    assert str(error.value).startswith(
        f"split 'train': {place} fails on 1 of 3 conversations; row 1: it refuses this one: {why}"
    )
    assert "mend the row" not in str(error.value)


def test_a_tokenizer_without_a_template_and_an_end_is_refused(folder, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())

    with pytest.raises(MissingInputError, match="there is no chat template, and no eos_token"):
        ChatTemplate.of(tmp_path)


@pytest.mark.parametrize(("given", "text"), [("a", "a"), ([{"name": "default", "template": "b"}], "b"), (None, PLAIN)])
def test_templates_in_the_tokenizers_configuration_are_found(tmp_path, given, text):
    config = {"eos_token": {"content": "</s>"}} | ({} if given is None else {"chat_template": given})
    write_json(tmp_path / "tokenizer_config.json", config)

    assert ChatTemplate.of(tmp_path).text == text


def test_of_several_templates_one_must_be_the_default(tmp_path):
    write_json(tmp_path / "tokenizer_config.json", {"chat_template": [{"name": "tool_use", "template": "b"}]})

    with pytest.raises(DataError, match="none of them is called 'default'"):
        ChatTemplate.of(tmp_path)


# ---------------------------------------------------------------- what is too long


def test_of_a_long_prompt_the_oldest_messages_go_and_a_systems_last(chatml):
    folder = chatml(CHATML)
    turns = [("system", "be brief")]
    for number in range(6):
        turns += [("user", f"question {number}"), ("assistant", f"answer {number}")]
    whole = encoded(folder, rows([turns]))

    examples = encoded(folder, rows([turns]), max_prompt_tokens=60)

    left = int(examples.cut["messages_cut"])
    assert left > 0
    assert examples.columns["prompt_lengths"][0] <= 60
    text = load_tokenizer(folder).decode(read(examples, 0)[0], skip_special_tokens=False)
    kept = turns[:1] + turns[1 + left :]
    assert text == "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in kept)
    assert examples.cut["tokens_cut"] == whole.columns["prompt_lengths"][0] - examples.columns["prompt_lengths"][0]
    assert learned_texts(examples, folder, 0)[-1] == "answer 5<|im_end|>"
    assert examples.columns["bytes"][0] == sum(len(text) for role, text in kept if role == "assistant")


def test_of_one_message_that_is_too_long_the_end_is_cut(chatml):
    folder = chatml(CHATML)
    chat = [("user", "word " * 50), ("assistant", "yes")]

    examples = encoded(folder, rows([chat]), max_prompt_tokens=40)

    text = load_tokenizer(folder).decode(read(examples, 0)[0], skip_special_tokens=False)
    assert text.startswith("<|im_start|>user\nword wor")
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n")
    assert examples.cut["texts_cut"] == 1
    assert 38 <= examples.columns["prompt_lengths"][0] <= 40
    with pytest.raises(DataError, match=r"max_seq_length \(8\) leaves no room for text"):
        encoded(folder, rows([chat]), max_prompt_tokens=8)


def test_an_answer_that_is_too_long_is_cut_and_counted_and_its_end_is_not_learned(chatml):
    folder = chatml(CHATML)

    examples = encoded(folder, rows([[("user", "a"), ("assistant", "zxzxzxzxzx")]]), max_answer_tokens=6)

    assert learned_texts(examples, folder, 0) == ["zxzxzx"]
    assert {reason: count for reason, count in examples.cut.items() if count} == {"targets_cut": 1, "tokens_cut": 5}
    assert examples.columns["bytes"][0] == pytest.approx(10 * 6 / 11)

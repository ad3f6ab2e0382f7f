"""Words that a tokenizer gets as tokens of their own."""

import json
import shutil
from itertools import pairwise

import pyarrow as pa
import pytest
from bmtool.data.tokenizing.encode import Encoder
from bmtool.data.tokenizing.extended import add_words, added_tokens, frequent_words
from bmtool.data.tokenizing.tokenizers import load_tokenizer, save_tokenizer
from bmtool.errors import ConfigError
from bmtool.tokenizers.bpe import Bpe
from bmtool.tokenizers.unigram import Unigram
from bmtool.tokenizers.wordpiece import Wordpiece
from transformers import AutoTokenizer

GENERAL = [f"The {n} quick brown foxes jump over lazy dogs, naïvely, as they get home {n % 7}" for n in range(300)]
FIELD = [f"jump amoxicillin {n}, hydrolysis over ötzis amoxicillin." for n in range(30)]
NEARLY = [
    "Amoxicillin amoxicillins",
    "amoxicill-hydrolysis (ötzis) amox",
    "[MASK] amoxicillin <mask>hydrolysis",
    "",
    "x  ötzi",
]
TRAINERS = [Wordpiece(vocab_size=300), Bpe(vocab_size=400), Unigram(vocab_size=400)]


@pytest.fixture(params=TRAINERS, ids=lambda trainer: trainer.name())
def folders(request, tmp_path):
    """A tokenizer twice: one stays, one gets more tokens; as some are, it is set to pad."""
    tokenizer = request.param.train(GENERAL)
    tokenizer.enable_padding(length=16)
    save_tokenizer(tmp_path / "old", tokenizer, request.param)
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    return tmp_path / "old", tmp_path / "new"


def ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def test_a_word_becomes_one_token_and_all_else_stays(folders):
    old, new = folders
    before = load_tokenizer(old)

    tokens = add_words(new, ["amoxicillin", "hydrolysis"])

    after = load_tokenizer(new)
    first, size = before.get_vocab_size(), after.get_vocab_size()
    assert size - first == len(tokens) >= 2
    for word in (" amoxicillin", " hydrolysis"):
        (token,) = ids(after, word.lstrip() if "bpe" not in str(after.model).lower() else word)
        assert first <= token < size
    assert [ids(after, text) for text in GENERAL] == [ids(before, text) for text in GENERAL]
    assert json.loads((new / "tokenizer.json").read_text())["padding"] is not None
    assert add_words(new, ["amoxicillin"]) == []


def test_the_fast_way_and_transformers_give_the_same_ids(folders):
    _, new = folders
    add_words(new, ["amoxicillin", "hydrolysis", "ötzis"])
    tokenizer, texts = load_tokenizer(new), [*FIELD, *GENERAL[:20], *NEARLY]

    encoder = Encoder(tokenizer, by_fastokens=False)
    flat, offsets = encoder.encode(pa.array(texts))

    expected = [ids(tokenizer, text) for text in texts]
    assert encoder.method.startswith("memo of ")
    assert [flat[start:stop].tolist() for start, stop in pairwise(offsets)] == expected
    opened = AutoTokenizer.from_pretrained(new)
    assert [opened(text, add_special_tokens=False, padding=False).input_ids for text in texts] == expected


def test_new_tokens_are_known_by_what_they_were(folders):
    old, new = folders
    add_words(new, ["amoxicillin"])
    before, after = load_tokenizer(old), load_tokenizer(new)

    found = added_tokens(old, new)

    assert sorted(found) == list(range(before.get_vocab_size(), after.get_vocab_size()))
    word = " amoxicillin" if "merges" in json.loads(before.to_str())["model"] else "amoxicillin"
    assert found[ids(after, word)[0]] == ids(before, word)
    assert added_tokens(new, new) == {}
    assert added_tokens(new, old) is None


def test_another_tokenizer_is_no_extended_one(folders):
    old, new = folders
    plain = json.loads((new / "tokenizer.json").read_text())
    vocabulary = plain["model"]["vocab"]
    if isinstance(vocabulary, dict):
        one, other = sorted(vocabulary, key=vocabulary.get)[-2:]
        vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    else:
        vocabulary[-1], vocabulary[-2] = vocabulary[-2], vocabulary[-1]
    (new / "tokenizer.json").write_text(json.dumps(plain))
    add_words(new, ["amoxicillin"])

    assert added_tokens(old, new) is None


def test_frequent_words_of_many_pieces_are_found_whatever_the_order(folders):
    tokenizer = load_tokenizer(folders[0])

    found = frequent_words(FIELD, tokenizer, 2)

    assert found == frequent_words(reversed(FIELD), tokenizer, 2)
    assert found == ["amoxicillin", "hydrolysis"]
    assert "over" not in frequent_words(FIELD, tokenizer, 100)
    assert frequent_words(FIELD[:2], tokenizer, 100) == []


@pytest.mark.parametrize("word", ["covid-19", "two,three"])
def test_a_word_that_is_cut_before_any_vocabulary_is_refused(tmp_path, word):
    save_tokenizer(tmp_path / "t", TRAINERS[0].train(GENERAL), TRAINERS[0])
    before = (tmp_path / "t" / "tokenizer.json").read_bytes()

    with pytest.raises(ConfigError) as error:
        add_words(tmp_path / "t", ["fine", word])

    parts = word.replace("-", " - ").replace(",", " , ").split()
    assert str(error.value) == (
        f"tokenizer.add_tokens: '{word}' can't be one token: the tokenizer cuts it into {', '.join(parts)}"
    )
    assert (tmp_path / "t" / "tokenizer.json").read_bytes() == before

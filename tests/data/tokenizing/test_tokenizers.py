import hashlib
import json
import os
import subprocess
import sys

import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data.tokenizing.tokenizers import (
    WORDPIECE_SPECIALS,
    copy_tokenizer,
    load_tokenizer,
    read_alike,
    save_tokenizer,
    tokenizer_files,
)
from bmtool.errors import DataError, MissingInputError, RefusedError
from bmtool.tokenizers.bpe import Bpe
from bmtool.tokenizers.unigram import Unigram
from bmtool.tokenizers.wordpiece import Wordpiece

TEXTS = [
    f"The {n} quick brown foxes jump over lazy dogs, naïvely. 这家餐厅的菜{n % 7}很好吃。ラーメン" for n in range(300)
]

#: Trains all kinds on texts full of ties, and prints a hash of what is saved.
PROGRAM = """
import hashlib, sys
from pathlib import Path
from bmtool.data.tokenizing.tokenizers import save_tokenizer
from bmtool.tokenizers.bpe import Bpe
from bmtool.tokenizers.unigram import Unigram
from bmtool.tokenizers.wordpiece import Wordpiece
words = [a + b + c for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvéß你好"]
for number, trainer in enumerate([Wordpiece(vocab_size=400), Bpe(vocab_size=500), Unigram(vocab_size=300)]):
    folder = Path(sys.argv[1]) / str(number)
    save_tokenizer(folder, trainer.train([" ".join(words[i:] + words[:i]) for i in range(5)]), trainer)
    print(hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest())
"""


def train(trainer, folder, texts=TEXTS):
    save_tokenizer(folder, trainer.train(texts), trainer)
    return load_tokenizer(folder)


def test_the_same_vocabulary_comes_out_of_every_process(tmp_path):
    outputs = set()

    for seed in ("0", "1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": "12"[int(seed) % 2]}
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / seed)]
        outputs.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    assert len(outputs) == 1
    assert len(set(outputs.pop().split())) == 3


@pytest.mark.parametrize(
    ("trainer", "name"),
    [
        (Wordpiece(vocab_size=300), "BertTokenizer"),
        (Bpe(vocab_size=400), "GPT2Tokenizer"),
        (Unigram(vocab_size=300), "TokenizersBackend"),
    ],
)
def test_transformers_opens_it_as_the_same_tokenizer(tmp_path, trainer, name):
    from transformers import AutoTokenizer

    ours = train(trainer, tmp_path)

    theirs = AutoTokenizer.from_pretrained(tmp_path)

    assert type(theirs).__name__ == name
    assert len(theirs) == ours.get_vocab_size() <= trainer.vocab_size
    assert {key: getattr(theirs, key) for key in trainer.special_tokens()} == trainer.special_tokens()
    for text in [*TEXTS[:3], "", "unseen Ω 龍 😀", "a  b\n\nc", "[MASK] <|endoftext|>", "café CAFÉ"]:
        assert theirs(text)["input_ids"] == ours.encode(text).ids


def test_wordpiece_takes_every_han_character_for_a_word(tmp_path):
    tokenizer = train(Wordpiece(vocab_size=300), tmp_path)

    assert tokenizer.encode("The 餐厅很好").tokens == ["[CLS]", "the", "餐", "厅", "很", "好", "[SEP]"]
    assert not [token for token in tokenizer.get_vocab() if token.startswith("##") and token[2:] in "餐厅很好。,."]


def test_wordpiece_starts_with_its_special_tokens_and_learns_words(tmp_path):
    tokenizer = train(Wordpiece(vocab_size=300), tmp_path)

    assert [tokenizer.id_to_token(index) for index in range(5)] == list(WORDPIECE_SPECIALS.values())
    assert tokenizer.encode("quick brown foxes", add_special_tokens=False).tokens == ["quick", "brown", "foxes"]
    assert tokenizer.encode("naïvely", add_special_tokens=False).tokens == ["naively"]


def test_wordpiece_keeps_case_and_accents_when_told_to(tmp_path):
    tokenizer = train(Wordpiece(vocab_size=300, lowercase=False), tmp_path)

    assert tokenizer.encode("The naïvely", add_special_tokens=False).tokens == ["The", "naïvely"]


def test_wordpiece_with_more_characters_than_room_keeps_the_frequent_ones(tmp_path):
    rare = "".join(chr(0x4E00 + n) for n in range(2000))
    tokenizer = train(Wordpiece(vocab_size=200), tmp_path, [*["好吃 aaa"] * 50, rare])

    assert tokenizer.get_vocab_size() <= 200
    assert tokenizer.encode("好吃", add_special_tokens=False).tokens == ["好", "吃"]
    assert tokenizer.encode(rare[-1], add_special_tokens=False).tokens == ["[UNK]"]


def test_text_that_looks_like_a_special_token_is_no_second_one(tmp_path):
    tokenizer = train(Wordpiece(vocab_size=64), tmp_path, ["[MASK] [PAD] mask ## #"] * 20)

    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert [vocabulary[token] for token in WORDPIECE_SPECIALS.values()] == [0, 1, 2, 3, 4]


def test_bpe_writes_any_text_and_reads_it_back(tmp_path):
    tokenizer = train(Bpe(vocab_size=300), tmp_path)

    for text in ("The fox", "  two  spaces\n", "餐厅 😀 Ω", "\x07"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert [tokenizer.token_to_id(token) for token in ("<|endoftext|>", "<|pad|>")] == [0, 1]


def test_unigram_learns_words_with_the_space_before_them(tmp_path):
    tokenizer = train(Unigram(vocab_size=300), tmp_path)

    tokens = tokenizer.encode("The  quick\nbrown foxes, \uff41\uff4e\uff44 餐厅").tokens
    assert tokens[:5] == ["<s>", "▁The", "▁quick", "▁brown", "▁foxes"]
    assert tokens[-1] == "</s>"
    assert tokenizer.decode(tokenizer.encode("The  quick\nbrown foxes").ids) == "The quick brown foxes"
    assert [tokenizer.id_to_token(index) for index in range(5)] == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def test_unigram_takes_characters_without_a_piece_for_unknown(tmp_path):
    rare = "".join(chr(0x4E00 + n) for n in range(2000))
    tokenizer = train(Unigram(vocab_size=200), tmp_path, [*["好吃 aaa"] * 50, rare])

    assert tokenizer.get_vocab_size() <= 200
    assert tokenizer.encode("好吃", add_special_tokens=False).tokens == ["▁好吃"]
    assert tokenizer.encode(f"aaa {rare[-1]}", add_special_tokens=False).ids[-1] == tokenizer.token_to_id("<unk>")


def test_unigram_with_byte_fallback_writes_any_character_and_reads_it_back(tmp_path):
    rare = "".join(chr(0x4E00 + n) for n in range(2000))
    tokenizer = train(Unigram(vocab_size=400, byte_fallback=True), tmp_path, [*["好吃 aaa <0x41>"] * 50, rare])

    assert tokenizer.get_vocab_size() <= 400
    assert tokenizer.encode(f"aaa {rare[-1]}", add_special_tokens=False).tokens == [
        "▁aaa",
        "▁",
        "<0xE5>",
        "<0x97>",
        "<0x8F>",
    ]
    for text in (f"好吃 {rare[-1]}{rare[-2]} aaa", "😀 Ωaaa", "<0x41> is no A"):
        encoded = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.token_to_id("<unk>") not in encoded.ids
        assert tokenizer.decode(encoded.ids) == text


def test_bytes_need_room_in_the_vocabulary():
    with pytest.raises(ValidationError, match="with byte_fallback 256 tokens are bytes: set at least 288"):
        validate(Unigram, {"vocab_size": 100, "byte_fallback": True})


def test_a_tokenizer_is_taken_over_byte_for_byte(tmp_path):
    train(Bpe(vocab_size=300), tmp_path / "from")
    (tmp_path / "from" / "model.safetensors").touch()

    copy_tokenizer(tmp_path / "from", tmp_path / "to")

    names = sorted(path.name for path in (tmp_path / "to").iterdir())
    assert names == ["tokenizer.json", "tokenizer_config.json"]
    assert [name for name, _ in tokenizer_files(tmp_path / "from")] == [f"tokenizer/{name}" for name in names]
    for name in names:
        assert digest(tmp_path / "to" / name) == digest(tmp_path / "from" / name)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_folder_without_a_usable_tokenizer_is_refused_by_name(tmp_path):
    with pytest.raises(MissingInputError, match=f"^{tmp_path}: tokenizer.json is missing"):
        copy_tokenizer(tmp_path, tmp_path / "to")
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(DataError, match=f"^{tmp_path}/tokenizer.json: this tokenizer can't be read"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": "x.Y"}}))
    with pytest.raises(RefusedError, match="runs code of its own"):
        copy_tokenizer(tmp_path, tmp_path / "to")


def test_loading_switches_truncation_and_padding_off(tmp_path):
    tokenizer = train(Wordpiece(vocab_size=300), tmp_path)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    assert len(load_tokenizer(tmp_path).encode(TEXTS[0]).ids) > 9
    assert len(load_tokenizer(tmp_path).encode("fox").ids) < 9


def test_two_tokenizers_read_alike_if_they_differ_only_in_how_they_cut(tmp_path):
    tokenizer = train(Wordpiece(vocab_size=200), tmp_path / "one")
    for name in ("cutting", "cased"):
        copy_tokenizer(tmp_path / "one", tmp_path / name)
    tokenizer.enable_truncation(16)
    tokenizer.save(str(tmp_path / "cutting/tokenizer.json"))
    cased = json.loads((tmp_path / "one/tokenizer.json").read_text(encoding="utf-8"))
    cased["normalizer"]["lowercase"] = False
    (tmp_path / "cased/tokenizer.json").write_text(json.dumps(cased), encoding="utf-8")

    assert read_alike(tmp_path / "one", tmp_path / "cutting")
    assert not read_alike(tmp_path / "one", tmp_path / "cased")

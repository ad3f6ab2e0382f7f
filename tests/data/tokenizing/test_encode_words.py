import pyarrow as pa
import pytest
from bmtool.data.tokenizing.encode_words import encode_words
from bmtool.data.tokenizing.tokenizers import save_tokenizer
from bmtool.tokenizers.bpe import Bpe
from bmtool.tokenizers.wordpiece import Wordpiece

TEXTS = [f"number {n} of the quick brown foxes 餐厅" for n in range(100)]


@pytest.fixture(scope="module", params=["wordpiece", "bpe"])
def tokenizer(request):
    trainer = Wordpiece(vocab_size=200) if request.param == "wordpiece" else Bpe(vocab_size=320)
    return trainer.train(TEXTS)


def test_words_are_encoded_one_by_one_and_say_where_they_start(tokenizer):
    rows = [["quick", "foxes", "quick"], [], ["餐厅", "of"], ["unseenword"]]
    space = " " if tokenizer.token_to_id("[CLS]") is None else ""

    encoded = encode_words(pa.chunked_array([rows[:1], rows[1:]]), tokenizer)

    assert encoded.word_offsets.tolist() == [0, 3, 3, 5, 6]
    for row, words in enumerate(rows):
        pieces = [tokenizer.encode(space + word, add_special_tokens=False).ids for word in words]
        tokens = encoded.ids[encoded.offsets[row] : encoded.offsets[row + 1]].tolist()
        starts = encoded.word_starts[encoded.word_offsets[row] : encoded.word_offsets[row + 1]].tolist()
        assert tokens == [token for piece in pieces for token in piece]
        assert starts == [sum(map(len, pieces[:index])) for index in range(len(words))]


def test_words_equal_what_transformers_makes_of_split_words(tmp_path):
    from transformers import AutoTokenizer

    trainer = Wordpiece(vocab_size=200)
    tokenizer = trainer.train(TEXTS)
    save_tokenizer(tmp_path, tokenizer, trainer)
    words = ["Quick", "foxes,", "餐厅", "unseenword", "7"]

    theirs = AutoTokenizer.from_pretrained(tmp_path)(words, is_split_into_words=True)

    encoded = encode_words(pa.array([words]), tokenizer)
    assert [2, *encoded.ids.tolist(), 3] == theirs["input_ids"]
    firsts = [theirs.word_ids().index(word) - 1 for word in range(len(words))]
    assert encoded.word_starts.tolist() == firsts


def test_a_word_without_tokens_becomes_the_unknown_token():
    tokenizer = Wordpiece(vocab_size=200).train(TEXTS)

    encoded = encode_words(pa.array([["quick", "\u200d\x07", "", "foxes"]]), tokenizer)

    unknown = tokenizer.token_to_id("[UNK]")
    assert encoded.word_starts.tolist() == [0, 1, 2, 3]
    assert encoded.ids[1:3].tolist() == [unknown, unknown]

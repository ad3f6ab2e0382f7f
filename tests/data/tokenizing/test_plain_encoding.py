import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.tokenizing import plain_encoding as module
from bmtool.data.tokenizing.encode import encode
from bmtool.data.tokenizing.plain_encoding import ids_dtype, special_affixes
from bmtool.tokenizers.bpe import Bpe
from bmtool.tokenizers.wordpiece import Wordpiece

TEXTS = [f"number {n} of the quick brown foxes 餐厅" for n in range(100)]


@pytest.fixture(scope="module", params=["wordpiece", "bpe"])
def tokenizer(request):
    trainer = Wordpiece(vocab_size=200) if request.param == "wordpiece" else Bpe(vocab_size=320)
    return trainer.train(TEXTS)


def test_ids_are_those_of_tokenizers_without_special_tokens(tokenizer, monkeypatch):
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 7)
    texts = [*TEXTS[:20], "", "unseen 龍"]

    ids, offsets = encode(pa.chunked_array([texts[:9], texts[9:]]), tokenizer)

    assert ids.dtype == np.uint16
    assert offsets.dtype == np.int64
    for row, text in enumerate(texts):
        assert ids[offsets[row] : offsets[row + 1]].tolist() == tokenizer.encode(text, add_special_tokens=False).ids


def test_nothing_is_encoded_to_nothing(tokenizer):
    ids, offsets = encode(pa.array([], pa.string()), tokenizer)

    assert (ids.tolist(), offsets.tolist()) == ([], [0])


def test_large_vocabularies_get_wider_ids():
    assert (ids_dtype(65_536), ids_dtype(65_537)) == (np.uint16, np.uint32)


def test_affixes_are_what_the_post_processor_adds():
    assert special_affixes(Wordpiece(vocab_size=200).train(TEXTS)) == ((2,), (3,))
    assert special_affixes(Bpe(vocab_size=320).train(TEXTS)) == ((), ())

import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.registry import TOKENIZERS

TEXTS = ["the quick brown fox", "这家餐厅 is quick", "", "the lazy dog the end"] * 5


@pytest.mark.parametrize("name", TOKENIZERS.names())
def test_every_trainer_gives_special_tokens_that_its_tokenizer_has(name):
    trainer = TOKENIZERS.load(name)()

    tokenizer = trainer.train(TEXTS)

    assert trainer.special_tokens()["pad_token"]
    assert all(tokenizer.token_to_id(token) is not None for token in trainer.special_tokens().values())
    assert tokenizer.get_vocab_size() <= trainer.vocab_size


@pytest.mark.parametrize("name", TOKENIZERS.names())
def test_every_trainer_refuses_a_vocabulary_without_room(name):
    with pytest.raises(ValidationError):
        validate(TOKENIZERS.load(name), {"vocab_size": 10})


@pytest.mark.parametrize("name", TOKENIZERS.names())
def test_every_trainer_learns_the_same_twice(name):
    trainer = TOKENIZERS.load(name)(vocab_size=300)

    assert trainer.train(TEXTS).to_str() == trainer.train(iter_twice(TEXTS)).to_str()


class iter_twice:  # noqa: N801  (reads as a function)
    """An iterable that is no list."""

    def __init__(self, texts):
        self.texts = texts

    def __iter__(self):
        return iter(self.texts)

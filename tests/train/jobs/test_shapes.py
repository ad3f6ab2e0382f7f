"""Models and vocabularies are known from the sections that will make them."""

import pytest
from bmtool.config.model import validate
from bmtool.contracts import Planned
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import MissingInputError
from bmtool.registry import TOKENIZERS
from bmtool.stages import finetune, prepare, pretrain
from bmtool.train.jobs.shapes import labelled, shape_of, vocabulary_of

MODEL = {"architecture": "bert", "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}


def planned(name, inputs=None, **settings):
    """A dataset that is still to be prepared."""
    config = validate(prepare.Config, {"sources": "x.jsonl", **settings})
    return Planned("prepare", f"prepare.{name}", config, inputs or {})


def trained(stage, module, inputs, **settings):
    """A checkpoint that is still to be trained."""
    config = validate(module.Config, {"max_steps": 1, **settings})
    return Planned(stage, stage, config, inputs)


@pytest.mark.parametrize("name", TOKENIZERS.names())
def test_special_tokens_are_where_training_will_put_them(name):
    corpus = planned("corpus", tokenizer={"type": name, "vocab_size": 300})
    trainer = corpus.config.tokenizer_trainer()
    tokenizer = trainer.train(["one two three", "four five six"] * 20)

    foreseen = vocabulary_of(corpus)

    made = {
        role.removesuffix("_token"): tokenizer.token_to_id(token) for role, token in trainer.special_tokens().items()
    }
    assert foreseen.special_ids == made
    assert (foreseen.size, foreseen.given) == (300, "300 tokens of prepare.corpus.tokenizer")


def test_a_corpus_that_is_there_has_its_own_vocabulary(corpus):
    found = vocabulary_of(corpus)

    size = load_tokenizer(corpus.folder / "tokenizer").get_vocab_size()
    assert (found.size, found.given) == (size, "")
    assert found.special_ids["mask"] == 4


def test_words_that_are_added_make_a_taken_vocabulary_larger():
    general = planned("general", tokenizer={"type": "wordpiece", "vocab_size": 100})
    own = planned("own", {"tokenizer": general}, tokenizer={"from": "general", "add_tokens": 20})
    named = planned("named", {"tokenizer": own}, tokenizer={"from": "own", "add_tokens": ["heart", "lung"]})
    same = planned("same", {"tokenizer": general}, tokenizer={"from": "general"})

    assert (vocabulary_of(own).size, vocabulary_of(own).given) == (120, "120 tokens of prepare.own.tokenizer")
    assert vocabulary_of(named).size == 122
    assert vocabulary_of(same).given == "100 tokens of prepare.general.tokenizer"


def test_a_checkpoint_has_the_shape_of_the_section_that_it_goes_back_to():
    general = planned("general", tokenizer={"type": "wordpiece", "vocab_size": 100})
    own = planned("own", {"tokenizer": general}, tokenizer={"from": "general", "add_tokens": 20})
    first = trained(
        "pretrain", pretrain, {"data": general}, data="general", model=MODEL, objective="mlm", max_seq_length=600
    )
    second = trained(
        "pretrain", pretrain, {"data": own, "from": first}, **{"data": "own", "from": "./x", "objective": "mlm"}
    )
    third = trained("finetune", finetune, {"from": second}, data="stars")
    fresh = trained("finetune", finetune, {"tokenizer": own}, data="stars", model=MODEL)

    shapes = [shape_of(one) for one in (first, second, third, fresh)]

    assert [shape.vocab_size for shape in shapes] == [100, 120, 120, 120]
    assert [shape.max_position_embeddings for shape in shapes] == [600, 600, 600, 512]
    assert {shape.hidden_size for shape in shapes} == {32}


def test_a_checkpoint_that_is_there_has_its_own_shape(pretrained):
    assert shape_of(pretrained).num_hidden_layers == 2


def test_labels_are_those_that_the_section_lists_or_two():
    listed = planned("a", task={"type": "text_classification", "labels": ["x", "y", "z"]}, split={"validation": 0.1})
    unknown = planned("b", task="text_classification")
    numbers = planned("c", task="text_regression")

    assert (labelled(listed).labels, labelled(listed).has_validation, labelled(listed).given) == (
        ("x", "y", "z"),
        True,
        "",
    )
    assert (len(labelled(unknown).labels), labelled(unknown).given) == (2, "2 labels in prepare.b")
    assert (labelled(numbers).labels, labelled(numbers).given) == ((), "")


def test_a_dataset_of_the_wrong_kind_is_named():
    task, corpus = planned("stars", task="text_classification"), planned("corpus")

    with pytest.raises(MissingInputError, match=r"prepare\.stars has a task, and so no tokenizer"):
        vocabulary_of(task)
    with pytest.raises(MissingInputError, match=r"prepare\.corpus has no task\. finetune\.data must name a dataset"):
        labelled(corpus)

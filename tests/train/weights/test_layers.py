"""Layers are taken out of a model so that it is, and is saved as, the one without them."""

import sys
from pathlib import Path

import pytest
import torch
from bmtool.errors import ConfigError
from bmtool.models.building.build import new_model, quiet_transformers
from bmtool.models.families.packed import document_logits
from bmtool.models.files.checkpoint import open_model
from bmtool.train.weights.layers import keep_layers, parameter_rates
from transformers import BartConfig, BertConfig, ModernBertConfig, T5Config

sys.path.insert(0, str(Path(__file__).parents[2]))
from packing import BERT_LIKE, LABELS, MODERNBERT, PACKED, make_batch

CLASS = "AutoModelForSequenceClassification"


@pytest.mark.parametrize("family", ["bert", "modernbert", "electra", "distilbert", "gpt2", "qwen3"])
def test_what_is_left_is_a_model_of_its_own(family, tmp_path):
    config = PACKED[family]()
    model = new_model(config, CLASS, LABELS, seed=1)
    last = model.config.num_hidden_layers - 1
    weights = {name: value.clone() for name, value in model.state_dict().items() if f".{last}." in name}

    places = keep_layers(model, 2)

    assert places == [0, last]
    assert all(bool((model.state_dict()[name.replace(f".{last}.", ".1.")] == weights[name]).all()) for name in weights)
    with quiet_transformers():
        model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    again = open_model(tmp_path, CLASS)
    with torch.no_grad():
        here, there = (document_logits(each.eval(), make_batch()) for each in (model, again))
    assert torch.equal(here, there)


def test_of_twelve_layers_six_are_those_of_distilbert():
    model = new_model(BertConfig(**BERT_LIKE | {"num_hidden_layers": 12}), CLASS, LABELS)

    assert keep_layers(model, 6) == [0, 2, 4, 7, 9, 11]


def test_local_layers_stay_local():
    model = new_model(ModernBertConfig(**MODERNBERT | {"num_hidden_layers": 4}), CLASS, LABELS)
    kinds = list(model.config.layer_types)

    places = keep_layers(model, 2)

    assert model.config.layer_types == [kinds[0], kinds[3]]
    assert places == [0, 3]


@pytest.mark.parametrize(
    ("config", "auto_class", "message"),
    [
        (BertConfig(**BERT_LIKE), CLASS, "3 layers are asked for, and the model has 2"),
        (
            T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=16, num_layers=4, num_heads=2),
            "AutoModelForSeq2SeqLM",
            "layers can't be taken out of a 't5' model",
        ),
    ],
)
def test_layers_that_are_not_there_are_refused(config, auto_class, message):
    with pytest.raises(ConfigError) as error:
        keep_layers(new_model(config, auto_class), 3)

    assert str(error.value) == message


@pytest.mark.parametrize(
    "config",
    [
        T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2),
        BartConfig(vocab_size=50, d_model=16, encoder_layers=1, decoder_layers=1),
    ],
    ids=["t5", "bart"],
)
def test_a_rate_for_a_head_that_is_not_there_is_refused(config):
    model = new_model(config, "AutoModelForSeq2SeqLM")

    with pytest.raises(ConfigError) as error:
        parameter_rates(model, 1e-3, of_head=1e-2)

    assert str(error.value) == (
        f"finetune.head_learning_rate: a {type(model).__name__} has no head beside its embeddings, "
        f"so there is none to learn at another rate. Leave the setting out"
    )
    assert parameter_rates(model, 1e-3) == {}

"""Models of several classes share what isn't a head, to the tensor, and are saved as plain models of their classes."""

import pytest
import torch
import transformers
from bmtool.models.building.build import new_model, quiet_transformers
from bmtool.models.heads.several_heads import SeveralHeads
from transformers import BartConfig, BertConfig, GPT2Config, ModernBertConfig, T5Config

SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
BERT = BertConfig(**SIZES)
MODERN = ModernBertConfig(**SIZES, pad_token_id=0, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2)
GPT = GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, pad_token_id=0, bos_token_id=1, eos_token_id=1)
T5 = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 2, "num_heads": 2} | {
    "decoder_start_token_id": 0
}
BART = BartConfig(
    vocab_size=40, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
    encoder_ffn_dim=16, decoder_ffn_dim=16, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2,
    forced_eos_token_id=None,
)  # fmt: skip
LABELS = {
    "AutoModelForSequenceClassification": ("a", "b"),
    "AutoModelForTokenClassification": ("x", "y", "z"),
    "AutoModelForQuestionAnswering": ("start", "end"),
}
TOGETHER = [
    (BERT, "AutoModelForSequenceClassification", "AutoModelForTokenClassification", {"classifier"}),
    (BERT, "AutoModelForQuestionAnswering", "AutoModelForSequenceClassification", {"classifier", "bert.pooler"}),
    (BERT, "AutoModel", "AutoModel", {"pooler"}),
    (MODERN, "AutoModelForTokenClassification", "AutoModelForSequenceClassification", {"head", "classifier"}),
    (GPT, "AutoModelForSequenceClassification", "AutoModelForCausalLM", set()),
    (GPT, "AutoModelForCausalLM", "AutoModelForSequenceClassification", {"score"}),
    (T5Config(**T5), "AutoModelForSeq2SeqLM", "AutoModelForSeq2SeqLM", set()),
    (T5Config(**T5, tie_word_embeddings=False), "AutoModelForSeq2SeqLM", "AutoModelForSeq2SeqLM", set()),
    (BART, "AutoModelForSeq2SeqLM", "AutoModelForSeq2SeqLM", set()),
]


@pytest.mark.parametrize(("config", "first", "second", "own"), TOGETHER)
def test_all_but_heads_and_poolers_is_shared(config, first, second, own):
    one, other = (
        new_model(config, name, LABELS.get(name), seed, attention="any") for seed, name in enumerate((first, second))
    )

    model = SeveralHeads({"one": one, "other": other})

    shared = {parameter.data_ptr() for parameter in model.of("one").parameters()}
    alone = {name for name, parameter in model.of("other").named_parameters() if parameter.data_ptr() not in shared}
    assert {part for part in own if not any(name.startswith(f"{part}.") for name in alone)} == set()
    assert all(any(name.startswith(f"{part}.") for part in own) for name in alone)
    count = sum(parameter.numel() for parameter in model.parameters())
    heads = sum(dict(model.of("other").named_parameters())[name].numel() for name in alone)
    assert count == sum(parameter.numel() for parameter in model.of("one").parameters()) + heads


@pytest.mark.parametrize(("config", "first", "second", "own"), TOGETHER)
def test_each_is_saved_whole_and_opens_in_its_own_class(config, first, second, own, tmp_path):
    one, other = (
        new_model(config, name, LABELS.get(name), seed, attention="any") for seed, name in enumerate((first, second))
    )
    model = SeveralHeads({"one": one, "other": other})

    for name, auto_class in {"one": first, "other": second}.items():
        with quiet_transformers():
            model.of(name).save_pretrained(tmp_path / name)
            opened = getattr(transformers, auto_class).from_pretrained(tmp_path / name)
        wanted = dict(model.of(name).named_parameters())
        assert all(torch.equal(parameter, wanted[place]) for place, parameter in opened.named_parameters())
        assert opened.num_parameters() == model.of(name).num_parameters()

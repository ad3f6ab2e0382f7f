"""Rows for tokens that a model didn't have."""

import pytest
import torch
from bmtool.models.building.build import new_model
from bmtool.models.building.vocabulary import widen
from transformers import AutoModelForMaskedLM, BertConfig, GPT2Config, LlamaConfig

SIZES = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
BERT = BertConfig(**SIZES, intermediate_size=16, max_position_embeddings=16)
LLAMA = LlamaConfig(**SIZES, intermediate_size=16, max_position_embeddings=16, tie_word_embeddings=False)
GPT = GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2, n_positions=16)


@pytest.mark.parametrize(
    ("config", "auto_class"),
    [(BERT, "AutoModelForMaskedLM"), (GPT, "AutoModelForCausalLM"), (LLAMA, "AutoModelForCausalLM")],
    ids=["bert", "gpt", "llama"],
)
def test_new_rows_are_the_mean_of_what_the_token_was_and_old_ones_stay(config, auto_class):
    model = new_model(config, auto_class, seed=1)
    head = model.get_output_embeddings()
    if head.bias is not None:
        torch.nn.init.normal_(head.bias)
    before = [model.get_input_embeddings().weight.clone(), head.weight.clone()]
    bias = None if head.bias is None else head.bias.clone()

    sizes = widen(model, {20: [3, 4, 5], 21: [7], 22: []})

    head = model.get_output_embeddings()
    assert sizes == (20, 23)
    assert model.config.vocab_size == 23
    for old, new in zip(before, (model.get_input_embeddings().weight, head.weight), strict=True):
        assert new.shape == (23, 16)
        assert torch.equal(new[:20], old)
        assert torch.equal(new[20:], torch.stack([old[3:6].mean(0), old[7], old.mean(0)]))
    if bias is not None:
        assert torch.equal(head.bias, torch.cat([bias, bias[3:6].mean()[None], bias[7:8], bias.mean()[None]]))


def test_rows_that_a_round_size_left_over_are_used_first():
    model = new_model(BERT, "AutoModelForMaskedLM", seed=1)
    before = model.get_input_embeddings().weight.clone()

    sizes = widen(model, {18: [3, 4]})

    after = model.get_input_embeddings().weight
    assert sizes == (20, 20)
    assert torch.equal(after[18], before[3:5].mean(0))
    assert torch.equal(after[[*range(18), 19]], before[[*range(18), 19]])


def test_a_widened_model_is_opened_as_it_was_saved(tmp_path):
    model = new_model(BERT, "AutoModelForMaskedLM", seed=1)
    widen(model, {20: [3, 4]})

    model.save_pretrained(tmp_path)

    opened = AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert opened.config.vocab_size == 21
    assert opened.get_output_embeddings().weight is opened.get_input_embeddings().weight
    ids = torch.tensor([[20, 3]])
    model.set_attn_implementation("sdpa")
    assert torch.equal(opened.eval()(ids).logits, model.eval()(ids).logits)

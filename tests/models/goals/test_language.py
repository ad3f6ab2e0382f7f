"""The loss of a language model, and the gradients that the loop sums up."""

import pytest
import torch
from bmtool.architectures.bert import Bert
from bmtool.architectures.gpt import Gpt
from bmtool.contracts import Batch
from bmtool.models.building.build import new_model
from bmtool.models.families.packed import lm_loss_at
from bmtool.models.goals.language import target_loss

SMALL = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1, "dropout": 0.0}
KINDS = {"bert": (Bert, "AutoModelForMaskedLM"), "gpt": (Gpt, "AutoModelForCausalLM")}
VOCABULARY = 60


def make_model(kind, *, tied=True):
    architecture, auto_class = KINDS[kind]
    config = architecture(**SMALL).config(
        vocab_size=VOCABULARY, max_seq_length=64, special_ids={"pad": 0, "bos": 0, "eos": 0}
    )
    config.tie_word_embeddings = tied
    return new_model(config, auto_class).train()


def make_batch():
    torch.manual_seed(0)
    lengths = torch.tensor([30, 20, 20])
    borders = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    places = torch.cat([torch.arange(int(length)) for length in lengths])
    return Batch(
        input_ids=torch.randint(0, 12, (1, 70)),
        position_ids=places[None],
        cu_seq_lens=borders.int(),
        max_length=30,
        rows=lengths.numpy(),
        targets={"positions": torch.arange(0, 70, 3), "labels": torch.randint(0, VOCABULARY, (24,))},
        counts={},
    )


def gradients(model, loss):
    loss.backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    return found


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_dense_and_those_of_plain_embeddings(kind, tied):
    model, batch = make_model(kind, tied=tied), make_batch()
    expected = gradients(model, lm_loss_at(model, batch, batch.targets["positions"], batch.targets["labels"]))

    found = gradients(model, target_loss(model, batch))

    assert model.get_input_embeddings().sparse == tied
    for name, gradient in found.items():
        assert (gradient is None) == (expected[name] is None)
        assert gradient is None or gradient.layout == torch.strided
        assert gradient is None or torch.allclose(gradient, expected[name], atol=1e-5), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_batch_gives_the_same_gradients_to_the_bit(dtype):
    model, batch = make_model("bert").to(dtype), make_batch()

    one, other = (gradients(model, target_loss(model, batch)) for _ in range(2))

    assert all(torch.equal(one[name], other[name]) for name in one if one[name] is not None)


def test_a_batch_without_targets_gives_dense_zeros():
    model, batch = make_model("bert"), make_batch()
    batch.targets.update(positions=torch.zeros(0, dtype=torch.long), labels=torch.zeros(0, dtype=torch.long))

    found = gradients(model, target_loss(model, batch))

    words = found["bert.embeddings.word_embeddings.weight"]
    assert words.layout == torch.strided
    assert not words.any()

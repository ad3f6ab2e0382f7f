"""Encoder-decoders that are packed: a batch gives what each pair of texts gives alone."""

import numpy as np
import pytest
import torch
import transformers
from bmtool.contracts import Examples
from bmtool.data.tokens import InMemoryTokens
from bmtool.errors import ConfigError
from bmtool.models.building.build import new_model
from bmtool.models.decoding.search import masked_attention
from bmtool.models.families.batches import pack, with_types, with_written
from bmtool.models.families.encoder_decoder import EncoderDecoder, start_token
from bmtool.models.families.family import WRITERS, family_for
from bmtool.models.families.packed import drop_attention_dropout, lm_logits_at, lm_loss_at, padding_note, set_dropout

SIZES = {
    "vocab_size": 100,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 32,
    "pad_token_id": 1,
    "decoder_start_token_id": 2,
}
CONFIGS = {"bart": transformers.BartConfig, "mbart": transformers.MBartConfig}
CLASS = "AutoModelForSeq2SeqLM"

#: (tokens of the source, tokens of the target), ends included. Equal lengths are there, also once apart.
LENGTHS = [(5, 3), (9, 12), (5, 3), (1, 2), (20, 4), (5, 8), (9, 12)]


def config_of(family, **changes):
    plain = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    return CONFIGS[family](**SIZES | plain | changes)


def make_batch(lengths=LENGTHS):
    """Sources, each with a start behind it, and targets."""
    totals = np.array([source + 1 + target for source, target in lengths])
    ids = np.random.default_rng(0).integers(5, 100, totals.sum())
    examples = Examples(InMemoryTokens(ids), np.cumsum(totals) - totals, totals, (), (), {})
    batch = with_types(pack(examples, np.arange(len(lengths))), np.array([source for source, _ in lengths]))
    return with_written(batch, "term")


def pairs(batch):
    """Source ids (1, S) and target ids (1, U) of each document."""
    for ids, (source, _) in zip(batch.input_ids[0].tensor_split(batch.cu_seq_lens[1:-1].long()), LENGTHS, strict=True):
        yield ids[None, :source], ids[None, source + 1 :]


def make_pair(family, **changes):
    """The same weights packed, and as transformers has them."""
    ours = new_model(config_of(family, **changes), CLASS, seed=1)
    alone = new_model(config_of(family, **changes), CLASS, seed=2, attention="any")
    alone.load_state_dict(ours.state_dict())
    return ours.train(), alone.train()


def logits_alone(model, batch):
    """What each target's tokens are predicted from, (P, V), by transformers' own forward of one pair at a time."""
    start = torch.tensor([[start_token(model.config)]])
    return torch.cat(
        [
            model(input_ids=source, decoder_input_ids=torch.cat([start, target[:, :-1]], dim=1)).logits[0]
            for source, target in pairs(batch)
        ]
    )


def test_every_packed_encoder_decoder_is_tested():
    assert set(CONFIGS) == set(WRITERS)
    assert all(not family_for(config_of(name)).pads for name in CONFIGS)
    assert type(family_for(transformers.T5Config())) is EncoderDecoder


@pytest.mark.parametrize("family", CONFIGS)
def test_logits_and_gradients_are_those_of_each_pair_alone(family):
    packed, alone = make_pair(family, init_std=0.2)
    batch = make_batch()

    ours = lm_logits_at(packed, batch, batch.targets["positions"])
    theirs = logits_alone(alone, batch)

    assert ours.shape == theirs.shape == (sum(target for _, target in LENGTHS), 100)
    assert (ours - theirs).abs().max() < 1e-5
    direction = torch.randn(ours.shape, generator=torch.Generator().manual_seed(0))
    ours.backward(direction)
    theirs.backward(direction)
    largest = max(parameter.grad.abs().max() for parameter in alone.parameters())
    for (name, one), other in zip(packed.named_parameters(), alone.parameters(), strict=True):
        assert (one.grad - other.grad).abs().max() < 1e-4 * max(1.0, largest), name


@pytest.mark.parametrize("family", CONFIGS)
def test_another_document_changes_nothing(family):
    model = new_model(config_of(family, init_std=0.2), CLASS, seed=1)
    batch = make_batch()
    first = batch.targets["positions"][batch.targets["positions"] < batch.cu_seq_lens[1]]

    before = lm_logits_at(model, batch, first)
    batch.input_ids[0, batch.cu_seq_lens[1] :] = 7
    after = lm_logits_at(model, batch, first)

    assert torch.equal(before, after)


def test_some_positions_are_those_of_all():
    model = new_model(config_of("bart", init_std=0.2), CLASS, seed=1)
    batch = make_batch()
    positions = batch.targets["positions"]

    some = lm_logits_at(model, batch, positions[3::4].contiguous())

    torch.testing.assert_close(some, lm_logits_at(model, batch, positions)[3::4], atol=1e-5, rtol=1e-5)


def test_bfloat16_is_near():
    model = new_model(config_of("bart"), CLASS, seed=1)
    batch = make_batch()
    positions, labels = batch.targets["positions"], batch.targets["labels"]

    exact = lm_loss_at(model, batch, positions, labels)
    near = lm_loss_at(model.to(torch.bfloat16), batch, positions, labels)

    assert near.item() == pytest.approx(exact.item(), rel=0.01)


def test_a_model_that_was_opened_with_another_attention_is_refused():
    model = new_model(config_of("bart"), CLASS, attention="any")
    batch = make_batch()

    with pytest.raises(ConfigError, match="in which packed documents see each other"):
        lm_logits_at(model, batch, batch.targets["positions"])


def test_while_it_writes_it_has_an_attention_with_masks():
    model = new_model(config_of("bart", init_std=0.2), CLASS, seed=1).eval()
    ids = torch.arange(5, 11)[None]
    padded, mask = torch.nn.functional.pad(ids, (0, 3), value=1), torch.tensor([[1] * 6 + [0] * 3])

    with masked_attention(model):
        alone = model.generate(ids, max_new_tokens=8, do_sample=False)
        beside = model.generate(padded, attention_mask=mask, max_new_tokens=8, do_sample=False)

    assert alone.tolist() == beside.tolist()
    assert len(lm_logits_at(model, make_batch(), torch.tensor([5, 6]))) == 2  # packed again


def test_dropout_that_is_a_number_is_set_too():
    bart = new_model(config_of("bart", dropout=0.1, attention_dropout=0.1), CLASS, seed=1).train()
    small = {"vocab_size": 100, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    t5 = new_model(transformers.T5Config(**small, decoder_start_token_id=0), CLASS)
    batch = make_batch()

    note = drop_attention_dropout(bart)
    lm_loss_at(bart, batch, batch.targets["positions"], batch.targets["labels"])
    for model in (bart, t5.train()):
        set_dropout(model, 0.0)
        one, other = (lm_logits_at(model, batch, batch.targets["positions"]) for _ in range(2))
        assert torch.equal(one, other)

    assert note == "dropout of attention probabilities is off (the model asks for 0.1): packed attention has none"
    assert padding_note(bart) == ""
    assert "padded" in padding_note(t5)

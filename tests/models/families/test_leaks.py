"""How transformers' own attention lets packed documents see each other: why bmtool has its own, and refuses theirs."""

import sys
from pathlib import Path

import pytest
import torch
from bmtool.errors import ConfigError
from bmtool.models.families.packed import hidden_states
from transformers import DynamicCache

sys.path.insert(0, str(Path(__file__).parents[2]))
from packing import documents, make_batch, make_pair

#: A difference that no rounding makes.
LEAK = 1e-2


def differences(family, **given):
    """How far transformers' hidden states of a packed row are from those of each document alone, and how far ours."""
    ours, theirs = make_pair(family, "AutoModel")
    batch = make_batch()
    with torch.no_grad():
        alone = torch.cat([theirs(ids).last_hidden_state[0] for ids in documents(batch)])
        packed = theirs(batch.input_ids, position_ids=batch.position_ids, **given).last_hidden_state[0]
        return (packed - alone).abs().max().item(), (hidden_states(ours, batch) - alone).abs().max().item()


@pytest.mark.parametrize("family", ["bert", "modernbert", "distilbert", "electra"])
def test_position_ids_that_restart_do_not_keep_an_encoder_from_other_documents(family):
    theirs, ours = differences(family)

    assert theirs > LEAK
    assert ours < 1e-5


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3"])
def test_position_ids_keep_a_decoder_from_other_documents_only_without_a_cache(family):
    with_cache, ours = differences(family)
    without_cache, _ = differences(family, use_cache=False)

    assert with_cache > LEAK
    assert without_cache < 1e-5
    assert ours < 1e-5


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_mask_of_ones_opens_a_decoder_to_other_documents(family):
    batch = make_batch()

    theirs, _ = differences(family, use_cache=False, attention_mask=torch.ones_like(batch.input_ids))

    assert theirs > LEAK


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_cache_opens_a_decoder_to_other_documents_and_ours_refuses_one_with_tokens_in_it(family):
    ours, _ = make_pair(family, "AutoModel")
    batch = make_batch()
    borders = {"cu_seq_lens_q": batch.cu_seq_lens, "max_length_q": batch.max_length}

    theirs, _ = differences(family, past_key_values=DynamicCache())
    cache = DynamicCache()
    with torch.no_grad():
        states = ours(batch.input_ids, position_ids=batch.position_ids, past_key_values=cache, **borders)

        assert theirs > LEAK
        assert torch.equal(states.last_hidden_state[0], hidden_states(ours, batch))
        with pytest.raises(ConfigError, match=r"has no cache: 65 queries, 130 keys"):
            ours(batch.input_ids, position_ids=batch.position_ids, past_key_values=cache, **borders)

"""Every architecture: its sizes are those that were published, and it learns by each objective that it names."""

import numpy as np
import pytest
import torch
from bmtool.config.model import ValidationError, validate
from bmtool.contracts import Examples
from bmtool.data.tokens import InMemoryTokens
from bmtool.errors import ConfigError
from bmtool.models.building.build import new_model, quiet_transformers
from bmtool.models.families.family import FAMILIES
from bmtool.models.families.packed import set_dropout
from bmtool.models.families.positions import longest_document
from bmtool.registry import ARCHITECTURES, OBJECTIVES
from bmtool.train.order.plan import generator
from transformers import T5ForConditionalGeneration

SPECIALS = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
SMALL = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}

#: What the checkpoints' config.json says, on the Hugging Face hub (llama2.c: its README).
PUBLISHED = [
    ("bert", "base", "google-bert/bert-base-uncased", (768, 12, 12, 3072, None)),
    ("roberta", "base", "FacebookAI/roberta-base", (768, 12, 12, 3072, None)),
    ("gpt", "base", "openai-community/gpt2", (768, 12, 12, 3072, None)),
    ("bart", "base", "facebook/bart-base without half of its layers", (768, 12, 12, 3072, None)),
    ("modernbert", "base", "answerdotai/ModernBERT-base", (768, 22, 12, 1152, None)),
    ("modernbert", "small", "jhu-clsp/ettin-encoder-68m", (512, 19, 8, 768, None)),
    ("modernbert", "mini", "jhu-clsp/ettin-encoder-17m", (256, 7, 4, 384, None)),
    ("llama", "base", "HuggingFaceTB/SmolLM2-135M", (576, 30, 9, 1536, 3)),
    ("llama", "small", "llama2.c stories42M", (512, 8, 8, 1376, 8)),
    ("llama", "mini", "llama2.c stories15M", (288, 6, 6, 768, 6)),
    ("qwen3", "base", "Qwen/Qwen3-0.6B", (1024, 28, 16, 3072, 8)),
]


def config_of(name, special_ids=SPECIALS, max_seq_length=64, **settings):
    architecture = validate(ARCHITECTURES.load(name), settings)
    return architecture.config(vocab_size=100, max_seq_length=max_seq_length, special_ids=special_ids)


def examples(count=6, length=20):
    ids = np.random.default_rng(0).integers(5, 100, count * length)
    columns = {"bytes": np.ones(count), "document": np.arange(count), "is_last": np.ones(count, dtype=bool)}
    specials = {f"[{name.upper()}]": token for name, token in SPECIALS.items()} | {"<extra_id_0>": 90}
    starts, lengths = np.arange(count) * length, np.full(count, length)
    tokens = InMemoryTokens(ids)
    return Examples(tokens, starts, lengths, (2,), (3, 3), columns, vocab_size=100, special_ids=specials, end=3)


@pytest.mark.parametrize(("name", "size", "source", "wanted"), PUBLISHED, ids=[case[2] for case in PUBLISHED])
def test_a_size_has_the_published_dimensions(name, size, source, wanted):
    config = config_of(name, size=size)

    inner = getattr(config, {"gpt": "n_inner", "bart": "encoder_ffn_dim"}.get(name, "intermediate_size"))
    shared = getattr(config, "num_key_value_heads", None)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads, inner, shared) == wanted


def test_modernbert_and_qwen3_are_the_published_ones_in_their_details_too():
    modernbert, qwen3, llama = (config_of(name, size="base") for name in ("modernbert", "qwen3", "llama"))

    assert modernbert.local_attention == 128
    assert [kind == "full_attention" for kind in modernbert.layer_types[:7]] == [True, False, False] * 2 + [True]
    assert modernbert.rope_parameters["full_attention"]["rope_theta"] == 160_000
    assert modernbert.rope_parameters["sliding_attention"]["rope_theta"] == 10_000
    assert (qwen3.head_dim, qwen3.rope_parameters["rope_theta"]) == (128, 1_000_000)
    assert (llama.rope_parameters["rope_theta"], llama.rms_norm_eps) == (100_000, 1e-5)
    assert qwen3.tie_word_embeddings
    assert llama.tie_word_embeddings


@pytest.mark.parametrize("name", ARCHITECTURES.names())
@pytest.mark.parametrize("max_seq_length", [64, 8192])
def test_it_is_packed_and_has_room_for_the_longest_text(name, max_seq_length):
    config = config_of(name, max_seq_length=max_seq_length, **SMALL)

    assert config.model_type in FAMILIES or config.is_encoder_decoder  # these are padded
    assert (longest_document(config) or max_seq_length) >= max_seq_length


@pytest.mark.parametrize(
    ("name", "objective"),
    [(name, objective) for name in ARCHITECTURES.names() for objective in ARCHITECTURES.load(name).objectives],
)
def test_it_learns_by_each_of_its_objectives(name, objective):
    goal = OBJECTIVES.load(objective)()
    model = new_model(config_of(name, **SMALL), goal.auto_class, seed=0)
    set_dropout(model, 0.0)
    batch = goal.collate(examples(), np.arange(6), generator(0, 0, 0))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        terms = goal.losses(model, batch)
        loss = sum(terms[term] / batch.counts[term] for term in terms)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert set(terms) == set(batch.counts)
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert losses[-1] < losses[0] - 0.5


@pytest.mark.parametrize("name", ["modernbert", "llama", "qwen3", "roberta", "bert", "gpt"])
def test_each_size_is_larger_than_the_one_before(name):
    sizes = [config_of(name, size=size) for size in ("tiny", "mini", "small", "base")]

    weights = [config.num_hidden_layers * config.hidden_size**2 for config in sizes]
    assert weights == sorted(weights)


def test_roberta_counts_from_behind_the_padding_and_needs_one():
    config = config_of("roberta", special_ids={"pad": 7, "cls": 2, "sep": 3})

    assert config.max_position_embeddings == 512 + 8
    assert (config.bos_token_id, config.eos_token_id) == (2, 3)
    with pytest.raises(ConfigError) as error:
        config_of("roberta", special_ids={"cls": 2})
    assert str(error.value) == (
        "architecture roberta counts positions from the id of the padding token, and the tokenizer has none. "
        "Add one as pad_token, or use bert"
    )


def test_heads_that_share_keys_divide_the_heads():
    with pytest.raises(
        ValidationError, match=r"num_attention_heads \(6\) must be a multiple of num_key_value_heads \(4\)"
    ):
        config_of("llama", size="mini", num_key_value_heads=4)

    assert config_of("llama", size="base", num_attention_heads=8, hidden_size=512).num_key_value_heads == 8
    assert config_of("qwen3", size="mini", num_key_value_heads=1).num_key_value_heads == 1


def test_t5_begins_with_logits_of_variance_1_and_small_embeddings_whose_scale_is_kept(tmp_path):
    model = new_model(config_of("t5", **SMALL), "AutoModelForSeq2SeqLM", seed=0).eval()

    with torch.inference_mode(), quiet_transformers():
        ids = torch.arange(5, 100)[None]
        logits = model(input_ids=ids, decoder_input_ids=ids).logits
        model.save_pretrained(tmp_path)
        again = T5ForConditionalGeneration.from_pretrained(tmp_path).eval()
        assert torch.equal(again(input_ids=ids, decoder_input_ids=ids).logits, logits)

    # Each token tells itself from the others at first, by 32 ** 0.5: the variance is that of the rest.
    assert logits[:, :, :5].std().item() == pytest.approx(1, abs=0.3)
    assert model.shared.weight.std().item() == pytest.approx(32**-0.5, rel=0.1)
    assert model.lm_head.weight is model.shared.weight

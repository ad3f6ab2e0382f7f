"""Tiny models of every family, packed batches for them, and what a packed batch must equal."""

import numpy as np
import torch
import transformers
from bmtool.contracts import Batch, Examples
from bmtool.data.tokens import InMemoryTokens
from bmtool.models.building.build import new_model
from bmtool.models.families.batches import pack

LENGTHS = [5, 5, 9, 13, 1, 20]
LABELS = ("a", "b", "c")
VOCABULARY = 100
BERT_LIKE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
DISTILBERT = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128, "dropout": 0.0, "attention_dropout": 0.0}
GPT2 = {
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 4,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "classifier_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
LLAMA = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "head_dim": 16,
    "pad_token_id": 0,
}
#: Its local layers see 4 tokens to each side, so that most of the test's documents are longer than that.
MODERNBERT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "local_attention": 8,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "cls_token_id": 2,
    "sep_token_id": 3,
}
PACKED = {
    "bert": lambda: transformers.BertConfig(**BERT_LIKE),
    "roberta": lambda: transformers.RobertaConfig(**BERT_LIKE),
    "xlm-roberta": lambda: transformers.XLMRobertaConfig(**BERT_LIKE),
    "modernbert": lambda: transformers.ModernBertConfig(**MODERNBERT),
    "electra": lambda: transformers.ElectraConfig(**BERT_LIKE, embedding_size=64),
    "distilbert": lambda: transformers.DistilBertConfig(vocab_size=VOCABULARY, seq_classif_dropout=0.0, **DISTILBERT),
    "gpt2": lambda: transformers.GPT2Config(vocab_size=VOCABULARY, pad_token_id=0, **GPT2),
    "llama": lambda: transformers.LlamaConfig(**LLAMA),
    "qwen3": lambda: transformers.Qwen3Config(**LLAMA),
}
#: DeBERTa-v3 has no class of its own: these are its settings of DebertaV2Config.
DEBERTA_V3 = {
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "max_relative_positions": -1,
    "legacy": True,
}
PADDED = {
    "deberta-v2": lambda: transformers.DebertaV2Config(**BERT_LIKE, **DEBERTA_V3),
    "albert": lambda: transformers.AlbertConfig(**BERT_LIKE, embedding_size=32, classifier_dropout_prob=0.0),
    "rembert": lambda: transformers.RemBertConfig(
        **BERT_LIKE, input_embedding_size=32, output_embedding_size=32, classifier_dropout_prob=0.0
    ),
}
CONFIGS = PACKED | PADDED


def make_batch(lengths=LENGTHS, seed=0) -> Batch:
    lengths = np.array(lengths)
    ids = np.random.default_rng(seed).integers(5, VOCABULARY, lengths.sum())
    examples = Examples(InMemoryTokens(ids), np.cumsum(lengths) - lengths, lengths, (2,), (3,), {})
    return pack(examples, np.arange(len(lengths)))


def documents(batch: Batch) -> list[torch.Tensor]:
    return [ids[None] for ids in batch.input_ids[0].tensor_split(batch.cu_seq_lens[1:-1].long())]


def make_pair(family: str, auto_class: str, labels=None, **changes):
    """The same weights as bmtool runs them and as transformers does, without dropout."""
    config = CONFIGS[family]()
    for name, value in changes.items():
        setattr(config, name, value)
    ours = new_model(config, auto_class, labels, seed=1)
    alone = new_model(config, auto_class, labels, seed=2, attention="any")
    alone.load_state_dict(ours.state_dict())
    for model in (ours, alone):
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    return ours, alone


def assert_equal(packed, alone, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Forward within 1e-5; gradients of every weight within 1e-4, and within 1e-5 of the largest.

    They are those of a mean over rows, as in training. Of the sum over 53 tokens of 64 numbers the largest gradients
    are 300 to 700, and float32's rounding alone makes differences of up to 1.5e-4 there (3e-7 of the largest, at most).
    """
    direction = torch.randn(ours.shape, generator=torch.Generator().manual_seed(0)) / len(ours)
    ours.backward(direction)
    theirs.backward(direction)

    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1e-5
    largest = max(p.grad.abs().max() for p in alone.parameters() if p.grad is not None)
    compared = 0
    for (name, ours_p), theirs_p in zip(packed.named_parameters(), alone.parameters(), strict=True):
        if theirs_p.grad is not None:
            assert (ours_p.grad - theirs_p.grad).abs().max() < min(1e-4, 1e-5 * largest), name
            compared += 1
    assert compared > 5

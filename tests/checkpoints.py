"""Tiny real checkpoints for tests: a few words, two layers, weights that depend on a seed."""

import json
from pathlib import Path

from bmtool.data.tokenizing.tokenizers import train_wordpiece
from bmtool.models.building.build import new_model, quiet_transformers

TEXTS = [
    "good movie and a fine plot",
    "bad movie, the plot was very boring",
    "the film was good, very good",
    "好 坏 很好",
]
LABELS = {
    "bert": ("neg", "pos", "mid"),
    "gpt": ("neg", "pos", "mid"),
    "tags": ("B-X", "I-X", "O"),
    "questions": ("start", "end"),
    "number": ("score",),
    "mlm": (),
    "vectors": (),
    "t5": (),
    "bart": (),
    "writing_gpt": (),
}
CLASSES = {
    "bert": "AutoModelForSequenceClassification",
    "gpt": "AutoModelForSequenceClassification",
    "tags": "AutoModelForTokenClassification",
    "questions": "AutoModelForQuestionAnswering",
    "number": "AutoModelForSequenceClassification",
    "mlm": "AutoModelForMaskedLM",
    "vectors": "AutoModel",
    "t5": "AutoModelForSeq2SeqLM",
    "bart": "AutoModelForSeq2SeqLM",
    "writing_gpt": "AutoModelForCausalLM",
}


def write_checkpoint(folder: Path, kind: str, info: dict | None = None) -> Path:
    """A plain Hugging Face folder; with `info` it has a `bmtool.json` too. Its logits are far apart."""
    from transformers import BartConfig, BertConfig, GPT2Config, T5Config

    tokenizer = train_wordpiece(TEXTS * 4, 120, lowercase=True)
    size = tokenizer.get_vocab_size()
    if kind in ("gpt", "writing_gpt"):
        config = GPT2Config(
            vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=48, pad_token_id=0, bos_token_id=2,
            eos_token_id=3, initializer_range=0.5,
        )  # fmt: skip
    elif kind == "t5":
        config = T5Config(
            vocab_size=size, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, pad_token_id=0, eos_token_id=3,
            decoder_start_token_id=0, initializer_factor=2.0,
        )  # fmt: skip
    elif kind == "bart":
        config = BartConfig(
            vocab_size=size, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=48, init_std=0.5,
            pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2, forced_eos_token_id=None,
        )  # fmt: skip
    else:
        config = BertConfig(
            vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=48, initializer_range=0.5, pad_token_id=0,
        )  # fmt: skip
    model = new_model(config, CLASSES[kind], LABELS[kind] or None, seed=1)
    with quiet_transformers():
        model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if info is not None:
        (folder / "bmtool.json").write_text(json.dumps(info))
    return folder

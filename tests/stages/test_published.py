"""Checkpoints as encoder-decoders are published: they open, learn, and write what transformers writes with them."""

import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
import transformers
from bmtool.config.model import validate
from bmtool.data.dataset import open_dataset
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.models.building.build import quiet_transformers
from bmtool.models.files.checkpoint import open_model
from bmtool.stages import finetune
from bmtool.stages.prepare import Config as Prepare
from bmtool.stages.prepare import run as prepare
from bmtool.tasks.translation import Translation
from bmtool.tokenizers.unigram import Unigram
from bmtool.train.inference.predict import run_goal
from tokenizers import processors
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedTokenizerFast

SOURCES = ["we saw a lovely film", "an awful week", "it was dull", "a great evening by the sea", "the plot was thin"]
TARGETS = ["wir sahen einen film", "eine woche", "es war fad", "ein abend am meer", "die handlung war duenn"]
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "pad_token_id": 1, "eos_token_id": 2}
BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "scale_embedding": True,
}
#: What a checkpoint's config.json says of it, and what its tokenizer puts around a text.
PUBLISHED = {
    "t5-small": (transformers.T5Config, T5 | {"decoder_start_token_id": 1}, "$A </s>"),
    "t5-v1_1-small": (
        transformers.T5Config,
        T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "decoder_start_token_id": 1},
        "$A </s>",
    ),
    "mt5-small": (transformers.MT5Config, T5 | {"tie_word_embeddings": False, "decoder_start_token_id": 1}, "$A </s>"),
    "bart-base": (
        transformers.BartConfig,
        BART | {"decoder_start_token_id": 2, "forced_eos_token_id": 2, "add_final_layer_norm": False},
        "<s> $A </s>",
    ),
    "mbart-large": (transformers.MBartConfig, BART | {"decoder_start_token_id": 5}, "$A </s> en_XX"),
}
#: Those whose output has a matrix of its own, though transformers' configuration says that it is the embeddings.
UNTIED = ("t5-v1_1-small", "mt5-small")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, job_at):
    folder = tmp_path_factory.mktemp("pairs")
    pa.parquet.write_table(pa.table({"source": SOURCES * 8, "target": TARGETS * 8}), folder / "rows.parquet")
    settings = {"task": {"type": "translation", "max_new_tokens": 40}, "sources": str(folder / "rows.parquet")}
    work = job_at(folder / "made", {})
    return work.as_artifact("dataset", prepare(validate(Prepare, settings), work.job))


def publish(name, folder):
    """A folder as transformers writes it, and its model."""
    config_class, settings, around = PUBLISHED[name]
    tokenizer = Unigram(vocab_size=300, sentinels=10).train(SOURCES + TARGETS)
    tokenizer.add_special_tokens(["en_XX"])
    named = {token: tokenizer.token_to_id(token) for token in ("<s>", "</s>", "en_XX")}
    tokenizer.post_processor = processors.TemplateProcessing(single=around, special_tokens=list(named.items()))
    specials = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="<mask>", **specials).save_pretrained(folder)
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(config_class(vocab_size=tokenizer.get_vocab_size(), **settings))
    if name in UNTIED:
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 32**-0.5)
    with quiet_transformers():
        model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_opens_as_it_is(name, tmp_path):
    theirs = publish(name, tmp_path)

    ours = open_model(tmp_path, "AutoModelForSeq2SeqLM")

    weights = dict(theirs.named_parameters())
    assert weights.keys() == dict(ours.named_parameters()).keys()
    assert all(torch.equal(value, weights[key]) for key, value in ours.named_parameters())
    assert (ours.get_output_embeddings().weight is ours.get_input_embeddings().weight) == (name not in UNTIED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_learns_and_writes_what_transformers_writes_with_it(name, pairs, make_job, tmp_path):
    publish(name, tmp_path / "published")
    job = make_job(inputs={"data": pairs, "from": (tmp_path / "published", "checkpoint")})
    settings = {"data": "pairs", "max_seq_length": 32, "per_device_batch_tokens": 512, "max_steps": 60}
    settings |= {"learning_rate": 1e-2, "precision": "fp32", "from": "published/"}

    finetune.run(validate(finetune.Config, settings), job)

    task = Translation(max_new_tokens=40, num_beams=1)
    tokenizer = load_tokenizer(job.folder)
    examples = task.examples(open_dataset(pairs.folder)["train"], tokenizer, 32)
    outputs = run_goal(open_model(job.folder, task.auto_class), task, examples, 512)
    assert outputs["nll"].sum() / outputs["targets"].sum() < 2.0
    with quiet_transformers():
        theirs, tokens = AutoModelForSeq2SeqLM.from_pretrained(job.folder), AutoTokenizer.from_pretrained(job.folder)
    sources = open_dataset(pairs.folder)["train"].column("source").to_pylist()
    for source, ours in list(zip(sources, outputs["predictions"], strict=True))[:5]:
        ids = theirs.generate(**tokens(source, return_tensors="pt"), max_new_tokens=40, num_beams=1, do_sample=False)
        assert tokens.decode(ids[0], skip_special_tokens=True) == ours

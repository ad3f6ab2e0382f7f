"""Checkpoints are transformers' own folders; nothing in them is run, and no weight is lost silently."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
import transformers
from bmtool.data.dataset import open_dataset
from bmtool.errors import ConfigError, DataError, MissingInputError, RefusedError
from bmtool.models.building.build import new_model
from bmtool.models.families.family import family_for
from bmtool.models.families.packed import lm_logits_at
from bmtool.models.files.checkpoint import open_model, read_info, save_checkpoint
from bmtool.models.files.opening import load
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parents[2]))
from packing import CONFIGS, make_batch

LABELS = ("bad", "good")


def bert(**settings):
    return transformers.BertConfig(
        vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, **settings
    )


@pytest.fixture
def tokenizer_folder(corpus):
    return open_dataset(corpus.folder).tokenizer_folder


@pytest.fixture
def classifier(tmp_path, tokenizer_folder):
    folder = tmp_path / "classifier"
    model = new_model(bert(), "AutoModelForSequenceClassification", LABELS, seed=3)
    save_checkpoint(folder, model, tokenizer_folder, {"labels": list(LABELS)})
    return folder


@pytest.fixture
def masked(tmp_path, tokenizer_folder):
    folder = tmp_path / "masked"
    save_checkpoint(folder, new_model(bert(), "AutoModelForMaskedLM", seed=3), tokenizer_folder, {"labels": []})
    return folder


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_transformers_cuts_texts_where_predict_does(tmp_path, tokenizer_folder):
    model = new_model(bert(), "AutoModelForSequenceClassification", LABELS, seed=3)
    save_checkpoint(tmp_path / "saved", model, tokenizer_folder, {"labels": list(LABELS), "max_seq_length": 24})

    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")

    assert tokenizer.model_max_length == 24
    assert len(tokenizer("a word " * 500, truncation=True)["input_ids"]) == 24


def test_transformers_opens_what_was_saved(classifier):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(classifier)
    tokenizer = transformers.AutoTokenizer.from_pretrained(classifier)

    assert model.config.id2label == {0: "bad", 1: "good"}
    assert model.dtype == torch.float32
    assert "attn_implementation" not in (classifier / "config.json").read_text()
    logits = model(**tokenizer("we saw the film", return_tensors="pt")).logits
    assert logits.shape == (1, 2)


def test_weights_are_readable_by_whoever_may_read_the_config(classifier):
    assert (classifier / "model.safetensors").stat().st_mode == (classifier / "config.json").stat().st_mode


def test_the_same_seed_gives_the_same_new_weights_whatever_was_drawn_before():
    first = new_model(bert(), "AutoModelForMaskedLM", seed=5)
    torch.rand(100)
    state = torch.get_rng_state()
    second = new_model(bert(), "AutoModelForMaskedLM", seed=5)
    third = new_model(bert(), "AutoModelForMaskedLM", seed=6)

    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.bert.embeddings.word_embeddings.weight, third.bert.embeddings.word_embeddings.weight)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("family", CONFIGS)
def test_each_family_is_saved_without_a_trace_of_how_it_ran_and_opens_the_same(family, tokenizer_folder, tmp_path):
    auto_class = "AutoModelForCausalLM" if family_for(CONFIGS[family]()).is_decoder else "AutoModelForMaskedLM"
    model = new_model(CONFIGS[family](), auto_class, seed=3).eval()
    batch, positions = make_batch(), torch.tensor([1, 30])

    save_checkpoint(tmp_path / "saved", model, tokenizer_folder, {"labels": []})
    opened = open_model(tmp_path / "saved", auto_class)
    theirs = getattr(transformers, auto_class).from_pretrained(tmp_path / "saved")

    assert "bmtool" not in (tmp_path / "saved" / "config.json").read_text()
    assert "bmtool" not in str(theirs.config._attn_implementation)
    saved, found = model.state_dict(), opened.state_dict()
    assert all(torch.equal(found[name], saved[name]) for name in saved)
    # Not to the bit: kernels may round by where the weights lie in memory, and those of torch's CUDA build do.
    assert torch.allclose(lm_logits_at(opened, batch, positions), lm_logits_at(model, batch, positions), atol=1e-6)
    assert type(theirs) is type(model)


def test_a_language_model_may_get_a_new_head_where_the_backbone_alone_was_published(tokenizer_folder, tmp_path):
    save_checkpoint(tmp_path / "backbone", new_model(bert(), "AutoModel", seed=3), tokenizer_folder, {"labels": []})

    with pytest.raises(ConfigError, match="this checkpoint has no head for AutoModelForMaskedLM"):
        open_model(tmp_path / "backbone", "AutoModelForMaskedLM")
    first, second = (open_model(tmp_path / "backbone", "AutoModelForMaskedLM", seed=4, new_head=True) for _ in range(2))

    assert torch.equal(first.cls.predictions.transform.dense.weight, second.cls.predictions.transform.dense.weight)
    assert first.cls.predictions.decoder.weight is first.bert.embeddings.word_embeddings.weight


def test_a_checkpoint_opens_with_the_weights_it_has(classifier):
    model = open_model(classifier, "AutoModelForSequenceClassification")

    saved = load_file(classifier / "model.safetensors")
    assert not model.training
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


def test_a_new_head_depends_on_its_seed_alone_and_the_backbone_stays(masked):
    one, same, other = (
        open_model(masked, "AutoModelForSequenceClassification", ("x", "y", "z"), seed=seed) for seed in (1, 1, 2)
    )

    assert torch.equal(one.classifier.weight, same.classifier.weight)
    assert torch.equal(one.bert.pooler.dense.weight, same.bert.pooler.dense.weight)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    saved = load_file(masked / "model.safetensors")
    name = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(one.get_parameter(name), saved[name])


@pytest.mark.parametrize("labels", [("good", "bad"), ("x", "y"), ("bad", "good", "fair")])
def test_other_labels_get_a_new_head_and_the_same_labels_keep_it(classifier, labels):
    old = load_file(classifier / "model.safetensors")["classifier.weight"]

    kept = open_model(classifier, "AutoModelForSequenceClassification", LABELS, seed=9)
    renewed = open_model(classifier, "AutoModelForSequenceClassification", labels, seed=9)

    assert torch.equal(kept.classifier.weight, old)
    assert renewed.classifier.weight.shape[0] == len(labels)
    assert not torch.equal(renewed.classifier.weight[:2], old)
    assert tuple(renewed.config.id2label.values()) == labels


def test_a_missing_head_is_an_error_where_none_is_expected(masked):
    with pytest.raises(
        ConfigError, match="this checkpoint has no head for AutoModelForSequenceClassification"
    ) as error:
        open_model(masked, "AutoModelForSequenceClassification")

    assert str(error.value).endswith(
        "It is a BertForMaskedLM. For pre-training to begin with a new one, set pretrain.new_head: true"
    )


def test_missing_and_strange_backbone_weights_are_errors(masked):
    weights = load_file(masked / "model.safetensors")
    lost = weights.pop("bert.encoder.layer.0.output.dense.weight")
    save_file(weights, masked / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"weights of the model are missing: bert\.encoder\.layer\.0\.output"):
        open_model(masked, "AutoModelForSequenceClassification", LABELS)

    weights |= {"bert.encoder.layer.0.output.dense.weight": lost, "bert.encoder.layer.7.extra": lost.clone()}
    save_file(weights, masked / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"weights that the model has no place for: bert\.encoder\.layer\.7\.extra"):
        open_model(masked, "AutoModelForSequenceClassification", LABELS)


def test_a_backbone_alone_is_opened_with_its_own_weights_whatever_head_stands_above_it(masked):
    model = open_model(masked, "AutoModel")

    weights = load_file(masked / "model.safetensors")
    for name, value in model.state_dict().items():
        assert name.startswith("pooler.") or torch.equal(value, weights[f"bert.{name}"])


def test_missing_and_strange_weights_of_a_backbone_alone_are_errors(masked):
    weights = load_file(masked / "model.safetensors")
    lost = weights.pop("bert.encoder.layer.0.output.dense.weight")
    save_file(weights, masked / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"weights of the model are missing: encoder\.layer\.0\.output"):
        open_model(masked, "AutoModel")

    weights["bert.encoder.layer.0.output.dense.weight"] = lost
    weights["bert.encoder.layer.9.output.dense.weight"] = lost.clone()
    save_file(weights, masked / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"weights that the model has no place for: .*encoder\.layer\.9"):
        open_model(masked, "AutoModel")


def test_an_architecture_without_such_a_class_is_named(tmp_path, tokenizer_folder):
    config = transformers.GPT2Config(vocab_size=200, n_embd=32, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1)
    save_checkpoint(tmp_path / "gpt", new_model(config, "AutoModelForCausalLM"), tokenizer_folder, {})

    with pytest.raises(ConfigError) as error:
        open_model(tmp_path / "gpt", "AutoModelForMaskedLM")

    assert str(error.value) == f"{tmp_path / 'gpt'}: a 'gpt2' model has no class for AutoModelForMaskedLM"


def test_pickled_weights_are_refused(masked):
    (masked / "model.safetensors").rename(masked / "pytorch_model.bin")

    with pytest.raises(RefusedError, match=r"pytorch_model\.bin: weights in this format can run code"):
        open_model(masked, "AutoModelForMaskedLM")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_remote_code_is_refused(masked, name):
    edit(masked / name, auto_map={"AutoModel": "evil.Model"})

    with pytest.raises(RefusedError, match="'auto_map' asks to run code that comes with the checkpoint"):
        open_model(masked, "AutoModelForMaskedLM")


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("config.json", "no checkpoint is here"),
        ("model.safetensors", "no weights are here"),
        ("tokenizer.json", "reads fast tokenizers only"),
    ],
)
def test_a_missing_file_is_named(masked, lost, message):
    (masked / lost).unlink()

    with pytest.raises(MissingInputError, match=message):
        open_model(masked, "AutoModelForMaskedLM")


def test_a_damaged_file_is_bad_data(masked):
    (masked / "model.safetensors").write_bytes(b"x" * 100)

    with pytest.raises(DataError, match="the checkpoint can't be opened"):
        open_model(masked, "AutoModelForMaskedLM")


def test_a_plain_hugging_face_folder_works_and_says_what_it_is(tmp_path, tokenizer_folder):
    folder = tmp_path / "plain"
    model = transformers.BertForTokenClassification(bert(id2label={0: "O", 1: "B-PER"}, label2id={"O": 0, "B-PER": 1}))
    model.save_pretrained(folder)
    shutil.copyfile(tokenizer_folder / "tokenizer.json", folder / "tokenizer.json")

    info = read_info(folder)

    assert (info["goal_kind"], info["goal"], info["labels"]) == (
        "task",
        {"type": "token_classification"},
        ["O", "B-PER"],
    )
    assert info["max_seq_length"] == 512
    opened = open_model(folder, "AutoModelForTokenClassification")
    assert torch.equal(opened.classifier.weight, model.classifier.weight)


@pytest.mark.parametrize(
    ("settings", "goal", "columns"),
    [
        ({}, {"type": "text_classification"}, ["label", "score"]),
        ({"num_labels": 1}, {"type": "text_regression"}, ["score"]),
        ({"num_labels": 1, "problem_type": "regression"}, {"type": "text_regression"}, ["score"]),
        (
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            {"type": "text_classification", "multi_label": True},
            ["labels", "scores"],
        ),
    ],
)
def test_what_the_logits_of_a_foreign_classifier_mean_is_read_from_its_configuration(
    tmp_path, tokenizer_folder, settings, goal, columns
):
    folder = tmp_path / "plain"
    transformers.BertForSequenceClassification(bert(**settings)).save_pretrained(folder)
    shutil.copyfile(tokenizer_folder / "tokenizer.json", folder / "tokenizer.json")
    written = json.loads((folder / "config.json").read_text())
    if not settings:  # as transformers before 5 writes two labels without names
        written = {name: value for name, value in written.items() if name not in ("id2label", "label2id")}
    (folder / "config.json").write_text(json.dumps(written))

    info = read_info(folder)

    assert info["goal"] == goal
    [answer] = load(folder)(["we saw the film"])
    assert list(answer) == columns


def test_several_numbers_of_a_foreign_model_are_no_task_of_ours(tmp_path, tokenizer_folder):
    folder = tmp_path / "plain"
    model = transformers.BertForSequenceClassification(bert(num_labels=2, problem_type="regression"))
    model.save_pretrained(folder)
    shutil.copyfile(tokenizer_folder / "tokenizer.json", folder / "tokenizer.json")

    assert (read_info(folder)["goal"], read_info(folder)["goal_kind"]) == (None, None)


def test_bmtool_json_comes_back(classifier):
    assert read_info(classifier) == {"labels": ["bad", "good"]}

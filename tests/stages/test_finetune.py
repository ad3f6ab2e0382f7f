"""Fine-tuning learns, keeps the best on validation, writes a plain transformers folder, never opens the test split."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from bmtool.config.model import ValidationError, validate, what
from bmtool.data.settings import Split
from bmtool.errors import ConfigError, DataError, TryAgainError
from bmtool.models.files.opening import load
from bmtool.runner.pipeline import Pipeline
from bmtool.stages import finetune

sys.path.insert(0, str(Path(__file__).parent.parent))
from checkpoints import write_checkpoint
from conftest import prepare
from stopping import StopsAfter

BASE = {
    "data": "stars",
    "num_train_epochs": 8,
    "learning_rate": 5e-3,
    "per_device_batch_tokens": 128,
    "max_seq_length": 32,
}
SMALL_BERT = {"architecture": "bert", "hidden_size": 32, "num_attention_heads": 2}


def config(**settings):
    given = {**BASE, "precision": "fp32", **settings}
    return validate(finetune.Config, {key: value for key, value in given.items() if value is not None})


def pipeline(config, *, validation=0.1, pretrain=None):
    from bmtool.registry import TASKS

    stars = SimpleNamespace(task=TASKS.load("text_classification")(), split=Split(validation=validation))
    return Pipeline(Path("x.yaml"), "x", prepare={"stars": stars}, finetune=config, pretrain=pretrain)


def test_it_learns_and_reports_the_best_step_on_validation(make_job, reviews, pretrained):
    job = make_job(inputs={"data": reviews, "from": pretrained})

    summary = finetune.run(config(), job)

    assert summary["validation"]["accuracy"] > 0.9
    assert summary["best"]["metric"] == "accuracy"
    assert summary["best"]["value"] == summary["validation"]["accuracy"]
    assert summary["labels"] == ["bad", "good"]
    assert summary["rows"].keys() == {"train", "validation"}
    assert json.dumps(summary)
    [line] = finetune.describe(summary)
    assert line.startswith(f"kept step {summary['best']['step']} of {summary['steps']}, the best by accuracy")


def test_the_checkpoint_opens_in_transformers_and_says_what_it_is(make_job, reviews, pretrained):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    job = make_job(inputs={"data": reviews, "from": pretrained})
    finetune.run(config(num_train_epochs=1), job)

    model = AutoModelForSequenceClassification.from_pretrained(job.folder)
    AutoTokenizer.from_pretrained(job.folder)
    info = json.loads((job.folder / "bmtool.json").read_text(encoding="utf-8"))

    assert model.config.id2label == {0: "bad", 1: "good"}
    assert info["goal"] == {"type": "text_classification", "pair": False, "multi_label": False}
    assert (info["goal_kind"], info["labels"], info["max_seq_length"]) == ("task", ["bad", "good"], 32)
    assert info["data_fingerprint"] == reviews.fingerprint
    assert (job.folder / "metrics.jsonl").exists()


def test_pipelines_of_transformers_answer_sets_of_labels_as_predict_does(make_job, pretrained, tmp_path):
    from transformers import pipeline as of_transformers

    rows = [{"text": f"we saw it {n}", "labels": ["x", "y"][: n % 3]} for n in range(30)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"type": "text_classification", "multi_label": True}
    data = prepare(tmp_path / "sets", {"task": task, "sources": str(tmp_path / "rows.jsonl")})
    job = make_job(inputs={"data": data, "from": pretrained})
    finetune.run(config(num_train_epochs=1), job)

    [theirs] = of_transformers("text-classification", str(job.folder), top_k=None)(["we saw it"])

    [ours] = load(job.folder)(["we saw it"])
    found = {one["label"]: one["score"] for one in theirs}
    assert [found["x"], found["y"]] == pytest.approx(ours["scores"], abs=1e-5)


def test_a_decoder_without_a_padding_token_gets_that_of_its_tokenizer(make_job, reviews, tmp_path):
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    start = write_checkpoint(tmp_path / "gpt", "gpt")
    settings = json.loads((start / "config.json").read_text())
    (start / "config.json").write_text(json.dumps(settings | {"pad_token_id": None}))
    job = make_job(inputs={"data": reviews, "from": (start, "checkpoint")})
    finetune.run(config(num_train_epochs=1), job)
    texts = ["good movie", "the plot was very boring"]

    model = AutoModelForSequenceClassification.from_pretrained(job.folder)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(job.folder / "tokenizer.json"), pad_token="[PAD]")
    scores = model(**tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)).logits.softmax(
        -1
    )

    assert scores.max(dim=-1).values.tolist() == pytest.approx(
        [row["score"] for row in load(job.folder)(texts)], abs=1e-5
    )


def test_what_divides_words_in_csv_is_kept_with_the_checkpoint(make_job, pretrained, tmp_path):
    rows = ["words,tags", *(f"we saw;anna;{n},O;B-PER;O" for n in range(12))]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    source = {"type": "csv", "path": str(tmp_path / "rows.csv"), "list_separator": ";"}
    data = prepare(tmp_path / "names", {"task": "token_classification", "sources": source})
    job = make_job(inputs={"data": data, "from": pretrained})

    finetune.run(config(num_train_epochs=1), job)

    assert load(job.folder).list_separator == ";"


def test_the_test_split_is_not_opened(make_job, reviews, pretrained, tmp_path):
    folder = tmp_path / "without_test_rows"
    shutil.copytree(reviews.folder, folder)
    for shard in (folder / "test").glob("*.arrow"):
        shard.write_bytes(b"not Arrow at all")
    job = make_job(inputs={"data": (folder, "dataset"), "from": pretrained})

    summary = finetune.run(config(num_train_epochs=1), job)

    assert summary["steps"] > 0


def test_words_are_tagged_from_scratch_with_the_tokenizer_of_a_corpus(make_job, tagged, corpus):
    job = make_job(inputs={"data": tagged, "tokenizer": corpus})

    summary = finetune.run(
        config(model=SMALL_BERT, num_train_epochs=15, per_device_batch_tokens=64, metric_for_best_model="f1_span"), job
    )

    assert summary["task"] == "token_classification"
    assert summary["validation"]["f1_span"] > 0.9


def test_the_best_epoch_of_tags_that_make_no_spans_is_chosen_by_accuracy(make_job, tagged, tagged_plainly, pretrained):
    def learned(data, folder):
        job = make_job(folder, inputs={"data": data, "from": pretrained})
        return job, finetune.run(config(num_train_epochs=2), job)

    job, summary = learned(tagged_plainly, None)
    _, of_spans = learned(tagged, job.folder.parent / "spans")
    info = json.loads((job.folder / "bmtool.json").read_text(encoding="utf-8"))

    assert (summary["best"]["metric"], of_spans["best"]["metric"]) == ("accuracy", "f1_span")
    assert (info["metric"], info["goal"]["spans"]) == ("accuracy", False)
    assert summary["environment"]["choices"]["best weights"] == "by accuracy (tags make no spans)"
    assert any("best weights by accuracy (tags make no spans)" in line for line in job.console.lines)


def test_cut_texts_are_counted_and_said(make_job, reviews, pretrained):
    job = make_job(inputs={"data": reviews, "from": pretrained})

    summary = finetune.run(config(num_train_epochs=1, max_seq_length=8), job)

    cut = summary["cut"]["train"]
    assert cut["texts_cut"] > 0
    assert cut["tokens_cut"] >= cut["texts_cut"]
    assert (
        f"train: {cut['texts_cut']:,} texts cut, {cut['tokens_cut']:,} tokens cut at max_seq_length 8"
        in job.console.lines
    )


@pytest.mark.parametrize("method", ["supervised", "lora"])
def test_a_run_that_diverges_before_its_first_saved_state_goes_back_to_its_start(
    make_job, reviews, pretrained, monkeypatch, tmp_path, method
):
    from safetensors.torch import load_file

    monkeypatch.setenv("BMTOOL_FAULT", "nan@step:4,nan@step:5,nan@step:6")
    job = make_job(inputs={"data": without_validation(reviews, tmp_path / "data"), "from": pretrained})

    summary = finetune.run(config(num_train_epochs=None, max_steps=6, method=method), job)

    start, end = (load_file(folder / "model.safetensors") for folder in (pretrained.folder, job.folder))
    shared = [name for name in end if name.startswith("bert.") and name in start]
    assert summary["rollbacks"] == [{"step": 6, "to": 0}]
    assert all(start[name].equal(end[name]) for name in shared)
    assert len([line for line in job.console.lines if "weights are trained" in line]) == (method == "lora")


def test_it_stops_early_and_says_so(make_job, reviews, pretrained):
    job = make_job(inputs={"data": reviews, "from": pretrained})

    summary = finetune.run(config(num_train_epochs=50, early_stopping_patience=2), job)

    assert summary["stopped_early"]
    assert summary["epochs"] < 50
    assert "stopped early" in finetune.describe(summary)[0]


def test_an_interrupted_run_goes_on_to_the_same_weights(make_job, reviews, pretrained, tmp_path):
    whole = make_job(tmp_path / "whole", {"data": reviews, "from": pretrained})
    finetune.run(config(num_train_epochs=2), whole)
    cut_off = replace(make_job(tmp_path / "cut", {"data": reviews, "from": pretrained}), stop=StopsAfter(4))

    with pytest.raises(TryAgainError):
        finetune.run(config(num_train_epochs=2), cut_off)
    again = make_job(tmp_path / "cut", {"data": reviews, "from": pretrained})
    finetune.run(config(num_train_epochs=2), again)

    assert any("resumed" in line for line in again.console.lines)
    assert (again.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()
    assert (again.folder / "bmtool.json").read_bytes() == (whole.folder / "bmtool.json").read_bytes()


# ---------------------------------------------------------------- settings


def without_validation(reviews, folder):
    shutil.copytree(reviews.folder, folder)
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}', encoding="utf-8")
    return (folder, "dataset")


@pytest.mark.parametrize("setting", [{"early_stopping_patience": 2}, {"metric_for_best_model": "accuracy"}])
def test_choosing_on_validation_without_that_split_is_a_configuration_error(
    make_job, reviews, pretrained, tmp_path, setting
):
    message = (
        f"finetune.{next(iter(setting))} needs a validation split, and 'stars' has none. Set "
        "prepare.stars.split.validation, such as 0.1 (the test split is opened by evaluate only)"
    )
    job = make_job(inputs={"data": without_validation(reviews, tmp_path / "data"), "from": pretrained})

    with pytest.raises(ConfigError) as before:
        finetune.needs(config(**setting), pipeline(config(**setting), validation=0.0))
    with pytest.raises(ConfigError) as later:
        finetune.run(config(**setting), job)

    assert str(before.value) == f"x.yaml: {message}"
    assert str(later.value) == message


def test_without_validation_and_without_a_wish_the_last_weights_are_kept(make_job, reviews, pretrained, tmp_path):
    job = make_job(inputs={"data": without_validation(reviews, tmp_path / "data"), "from": pretrained})

    summary = finetune.run(config(num_train_epochs=1), job)

    assert summary["best"] is None
    assert "there is no validation split to choose by" in finetune.describe(summary)[0]


def test_an_empty_validation_split_is_a_data_error(make_job, reviews, pretrained, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(reviews.folder, folder)
    info = json.loads((folder / "validation" / "dataset_info.json").read_text(encoding="utf-8"))
    info["splits"]["validation"]["num_examples"] = 0
    (folder / "validation" / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    job = make_job(inputs={"data": (folder, "dataset"), "from": pretrained})

    with pytest.raises(DataError, match="the validation split has no rows"):
        finetune.run(config(), job)


def test_the_default_start_is_this_files_pretrain_section():
    needs = finetune.needs(config(), pipeline(config()))

    assert {role: (need.kind, str(need.reference)) for role, need in needs.items()} == {
        "data": ("dataset", "stars"),
        "from": ("checkpoint", "pretrain"),
    }


def test_from_scratch_takes_the_tokenizer_of_the_pretrain_section():
    from bmtool.config.references import Reference

    pretrain = SimpleNamespace(data=Reference(form="name", value="corpus"))

    needs = finetune.needs(config(model=SMALL_BERT), pipeline(config(), pretrain=pretrain))

    assert {role: (need.kind, str(need.reference)) for role, need in needs.items()} == {
        "data": ("dataset", "stars"),
        "tokenizer": ("dataset", "corpus"),
    }


def test_from_scratch_without_any_tokenizer_is_a_configuration_error():
    with pytest.raises(ConfigError, match="a model from scratch needs the tokenizer of a corpus"):
        finetune.needs(config(model=SMALL_BERT), pipeline(config()))


def test_a_strange_metric_is_refused_before_anything_is_made():
    with pytest.raises(ConfigError, match="text_classification isn't measured by f1_span; it is by accuracy"):
        finetune.needs(config(metric_for_best_model="f1_span"), pipeline(config()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"from": "pretrain", "model": "bert"}, "set one of from and model"),
        ({"tokenizer": "corpus"}, "has an effect only with model"),
        ({"metric_for_best_model": "acuracy"}, "unknown metric 'acuracy'. Did you mean 'accuracy'?"),
        ({"metric_for_best_model": "f1"}, "unknown metric 'f1'. Did you mean 'f1_macro'?"),
        ({"max_steps": 5}, "set exactly one of max_tokens, max_steps, num_train_epochs"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ValidationError) as error:
        config(**settings)

    assert message in str(error.value)


def test_references_do_not_decide_what_is_made():
    first, second = what(config(**{"from": "pretrain"})), what(config(**{"from": "./elsewhere/pretrain"}))

    assert first == second


# ---------------------------------------------------------------- what is trained how


def test_frozen_layers_stay_as_the_checkpoint_has_them(make_job, reviews, pretrained):
    from safetensors.torch import load_file

    job = make_job(inputs={"data": reviews, "from": pretrained})

    finetune.run(config(num_train_epochs=1, frozen_layers=0, layerwise_lr_decay=0.9, optim="muon"), job)

    before, after = (load_file(folder / "model.safetensors") for folder in (pretrained.folder, job.folder))
    same = {name for name in before.keys() & after.keys() if bool((before[name] == after[name]).all())}
    assert {name for name in same if "embeddings" in name} == {name for name in after if "embeddings" in name}
    assert not any(name.endswith("dense.weight") for name in same)
    assert any("weights are frozen: embeddings and 0 layers" in line for line in job.console.lines)
    assert any(line.startswith("optim: muon with 128 tokens a step") for line in job.console.lines)


def test_the_head_keeps_its_own_rate_whatever_the_layers_have(pretrained):
    from bmtool.models.files.checkpoint import open_model
    from bmtool.models.heads.parameters import head_parameters
    from bmtool.train.weights.layers import parameter_rates

    model = open_model(pretrained.folder, "AutoModelForSequenceClassification", ("a", "b"))

    rates = parameter_rates(model, 5e-3, decay=0.5, of_head=1.0)

    assert {rates[name] for name in head_parameters(model)} == {1.0}
    assert rates["bert.embeddings.word_embeddings.weight"] < 5e-3


def test_rare_labels_can_be_made_to_count_as_much(make_job, reviews, pretrained, tmp_path):
    ends = {}
    for weights in ({"good": 50.0}, {"bad": 50.0}):
        job = make_job(tmp_path / str(weights), {"data": reviews, "from": pretrained})
        settings = config(num_train_epochs=1, learning_rate=1e-3, class_weights=weights, label_smoothing="10%")
        ends[next(iter(weights))] = finetune.run(settings, job)["validation"]["recall_macro"]

    # One step of training in which one label is nearly all that counts: that label is what the model says.
    assert ends == {"good": 0.5, "bad": 0.5}


def test_a_weight_for_a_label_that_is_not_there_is_refused(make_job, reviews, pretrained):
    job = make_job(inputs={"data": reviews, "from": pretrained})

    with pytest.raises(ConfigError, match="there is no label 'goood'"):
        finetune.run(config(class_weights={"goood": 2.0}), job)


# ---------------------------------------------------------------- several seeds


def test_seeds_are_this_section_with_each_seed_and_need_nothing_else():
    several = config(seeds=3, seed=7)

    needs = finetune.needs(several, pipeline(several))

    assert list(needs) == ["seed:7", "seed:8", "seed:9"]
    assert [need.made[1] for need in needs.values()] == [config(seed=seed) for seed in (7, 8, 9)]


def test_the_first_of_several_seeds_is_kept_whole_and_all_are_reported(job_at, reviews, pretrained, tmp_path):
    made = {}
    for seed in (0, 1):
        job = job_at(tmp_path / f"finetune-{seed}", {"data": reviews, "from": pretrained}, seed=seed)
        made[f"seed:{seed}"] = job.as_artifact(
            "checkpoint", finetune.run(config(num_train_epochs=1, seed=seed), job.job)
        )
    both = job_at(tmp_path / "both", made)

    summary = finetune.run(config(num_train_epochs=1, seeds=2), both.job)

    first, kept = made["seed:0"].folder, both.job.folder
    assert {path.name for path in kept.iterdir()} == set(made["seed:0"].manifest.files)
    assert (kept / "model.safetensors").samefile(first / "model.safetensors")
    assert summary["seeds"] == {str(seed): made[f"seed:{seed}"].summary["validation"] for seed in (0, 1)}
    assert any("the first of 2 seeds; accuracy on validation" in line for line in finetune.describe(summary))


def test_what_is_left_out_follows_from_model_and_rows_and_does_the_same_as_when_it_is_set(
    make_job, reviews, pretrained, tmp_path
):
    chosen, given = (make_job(tmp_path / name, {"data": reviews, "from": pretrained}) for name in ("one", "other"))
    left_out = {"num_train_epochs": 1, "learning_rate": None, "per_device_batch_tokens": None}

    summary = finetune.run(config(**left_out), chosen)
    numbers = {name: summary[name] for name in ("learning_rate", "per_device_batch_tokens")}
    same = finetune.run(config(num_train_epochs=1, metric_for_best_model="accuracy", **numbers), given)

    assert numbers == {"learning_rate": 6e-4, "per_device_batch_tokens": 512}
    choices = summary["environment"]["choices"]
    assert choices["learning rate"].startswith("0.0006 (by the model's width of ")
    assert choices["batches"].startswith("512 tokens (about 45 train examples of ")
    assert choices["best weights"] == "by accuracy (the default of text_classification)"
    assert same["validation"] == summary["validation"]
    assert {"learning rate", "batches", "best weights"}.isdisjoint(same["environment"]["choices"])


@pytest.mark.parametrize(
    ("settings", "rate"),
    [({"model": SMALL_BERT}, 6e-4), ({"method": "frozen"}, 4.8e-3), ({"method": "lora"}, 6e-3)],
)
def test_methods_that_move_few_weights_take_higher_rates(make_job, reviews, corpus, pretrained, settings, rate):
    start = {"tokenizer": corpus} if "model" in settings else {"from": pretrained}
    job = make_job(inputs={"data": reviews, **start})

    outline = finetune.outline(config(learning_rate=None, metric_for_best_model="accuracy", **settings), job)

    assert outline.phases[0].training.rate == rate
    assert outline.choices == {"learning rate": f"{rate:g} (by the model's width of 32)"}

"""The stage pretrain: from a corpus to a folder that transformers opens."""

import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch
import transformers
from bmtool.config.model import ValidationError, validate
from bmtool.data.dataset import open_dataset
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import ConfigError, MissingInputError, TryAgainError
from bmtool.models.files.checkpoint import open_model, read_info
from bmtool.stages.prepare import Config as Prepare
from bmtool.stages.prepare import run as prepare
from bmtool.stages.pretrain import Config, describe, needs, outline, run
from bmtool.train import trainer
from bmtool.train.watching.monitor import read_log
from bmtool.train.weights.averaging import average_with
from safetensors.torch import load_file

BERT = {"architecture": "bert", "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
GPT = {**BERT, "architecture": "gpt"}


def settings(**changes):
    plain = {
        "data": "corpus",
        "model": BERT,
        "objective": "mlm",
        "max_seq_length": 32,
        "per_device_batch_tokens": 256,
        "max_steps": 6,
        "precision": "fp32",
    }
    return validate(Config, {key: value for key, value in {**plain, **changes}.items() if value is not None})


def problems(**changes):
    with pytest.raises(ValidationError) as error:
        settings(**changes)
    return [problem["msg"] for problem in error.value.errors()]


@pytest.mark.parametrize(
    ("model", "objective", "auto_class"),
    [(BERT, "mlm", "AutoModelForMaskedLM"), (GPT, "clm", "AutoModelForCausalLM")],
)
def test_transformers_opens_what_the_stage_wrote(make_job, corpus, model, objective, auto_class):
    job = make_job(inputs={"data": corpus})

    summary = run(settings(model=model, objective=objective), job)

    opened = getattr(transformers, auto_class).from_pretrained(job.folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job.folder)
    assert opened(**tokenizer("we saw the film", return_tensors="pt")).logits.shape[-1] == opened.config.vocab_size
    assert {p.dtype for p in opened.parameters()} == {torch.float32}
    assert (summary["steps"], summary["objective"]) == (6, objective)
    assert set(summary["validation"]) >= {"loss", "perplexity"}
    info = read_info(job.folder)
    assert (info["goal_kind"], info["goal"]["type"], info["max_seq_length"]) == ("objective", objective, 32)
    assert read_log(job.folder / "metrics.jsonl")[-1]["kind"] == "validation"
    assert "6 steps" in describe(summary)[0]


def test_the_configuration_keeps_the_dropout_of_fine_tuning(make_job, corpus):
    job = make_job(inputs={"data": corpus})

    run(settings(), job)

    config = json.loads((job.folder / "config.json").read_text())
    assert (config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]) == (0.1, 0.1)


def test_dropout_changes_training_and_not_the_configuration(make_job, corpus, tmp_path):
    without, with_some = (make_job(tmp_path / name, {"data": corpus}) for name in ("a", "b"))

    run(settings(), without)
    run(settings(dropout=0.3), with_some)

    assert (without.folder / "config.json").read_bytes() == (with_some.folder / "config.json").read_bytes()
    weights = [(job.folder / "model.safetensors").read_bytes() for job in (without, with_some)]
    assert weights[0] != weights[1]


def test_an_interrupted_stage_writes_the_same_bytes(make_job, corpus, tmp_path):
    whole, job = (make_job(tmp_path / name, {"data": corpus}) for name in ("whole", "cut"))
    run(settings(dropout=0.1), whole)
    log = job.folder / "metrics.jsonl"

    class Stop:
        @property
        def reason(self):
            return "--max-time" if log.exists() and read_log(log)[-1]["step"] >= 3 else ""

    with pytest.raises(TryAgainError):
        run(settings(dropout=0.1), dataclasses.replace(job, stop=Stop()))
    run(settings(dropout=0.1), job)

    assert "resumed from step 3 of 6" in job.console.lines
    for name in ("model.safetensors", "config.json", "tokenizer.json", "bmtool.json"):
        assert (job.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


def test_a_checkpoint_goes_on(make_job, corpus, pretrained, tmp_path):
    job = make_job(inputs={"data": corpus, "from": pretrained})

    summary = run(settings(model=None, **{"from": str(pretrained.folder)}), job)

    config = json.loads((job.folder / "config.json").read_text())
    assert config["hidden_size"] == 32
    assert summary["steps"] == 6
    before, after = ((folder / "model.safetensors").read_bytes() for folder in (pretrained.folder, job.folder))
    assert before != after


@pytest.fixture
def backbone(pretrained, tmp_path):
    """A checkpoint without a head."""
    folder = tmp_path / "backbone"
    transformers.AutoModel.from_pretrained(pretrained.folder).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((pretrained.folder / name).read_bytes())
    return folder


def test_a_checkpoint_without_a_head_gets_one_where_asked(make_job, corpus, backbone):
    job = make_job(inputs={"data": corpus, "from": (backbone, "checkpoint")})

    with pytest.raises(ConfigError, match=r"set pretrain\.new_head: true"):
        run(settings(model=None, **{"from": str(backbone)}), job)
    run(settings(model=None, new_head=True, **{"from": str(backbone)}), job)

    said = [line for line in job.console.lines if "no head for this objective" in line]
    assert len(said) == 1
    assert "cls.predictions.bias" in said[0]


def test_another_tokenizer_than_the_checkpoints_is_refused_with_the_line_that_mends_it(
    make_job, corpus, pretrained, tmp_path
):
    import shutil

    other = tmp_path / "other"
    shutil.copytree(pretrained.folder, other)
    plain = json.loads((other / "tokenizer.json").read_text())
    vocabulary = plain["model"]["vocab"]
    words = sorted(vocabulary, key=vocabulary.get)[-2:]
    vocabulary[words[0]], vocabulary[words[1]] = vocabulary[words[1]], vocabulary[words[0]]
    (other / "tokenizer.json").write_text(json.dumps(plain))
    assert load_tokenizer(other).get_vocab_size() == load_tokenizer(pretrained.folder).get_vocab_size()
    job = make_job(inputs={"data": corpus, "from": (other, "checkpoint")})

    with pytest.raises(MissingInputError) as error:
        run(settings(model=None, **{"from": str(other)}), job)

    assert str(error.value) == (
        f"the corpus 'corpus' was encoded with another tokenizer than the checkpoint's. "
        f"Prepare it with prepare.corpus.tokenizer: {{from: {other}}}"
    )


def test_a_labelled_dataset_is_no_corpus(make_job, reviews, tmp_path):
    job = make_job(inputs={"data": reviews})
    assert open_dataset(reviews.folder).tokenizer_folder is None

    with pytest.raises(MissingInputError, match="no tokenizer is here, so this is no corpus"):
        run(settings(), job)


def test_inputs_are_the_corpus_and_the_checkpoint():
    pipeline = SimpleNamespace(file="x.yaml", prepare={})

    assert set(needs(settings(), pipeline)) == {"data"}
    assert set(needs(settings(model=None, **{"from": "./x"}), pipeline)) == {"data", "from"}


@pytest.mark.parametrize(
    ("objective", "tokenizer", "said"),
    [
        (
            "mlm",
            {"type": "bpe"},
            "bpe has no token that hides text, which objective mlm needs. Set tokenizer: {type: bpe, ",
        ),
        (
            "denoising",
            {"type": "bpe"},
            "bpe has no token that hides text, which objective denoising needs. Set tokenizer: ",
        ),
        ("span_corruption", {"type": "unigram"}, "unigram has no tokens that stand for text that is left out, which "),
        ("mlm", {"type": "bpe", "mask": True}, ""),
        ("denoising", {"type": "unigram"}, ""),
        ("span_corruption", {"type": "bpe", "sentinels": 8}, ""),
        ("clm", {"type": "bpe"}, ""),
    ],
)
def test_a_tokenizer_that_lacks_what_the_objective_needs_is_found_before_anything_is_made(objective, tokenizer, said):
    model = {"mlm": BERT, "clm": GPT}.get(objective, {**BERT, "architecture": "bart"})
    prepared = validate(Prepare, {"sources": "x.txt", "tokenizer": tokenizer})
    pipeline = SimpleNamespace(file="x.yaml", prepare={"corpus": prepared})

    if not said:
        assert needs(settings(model=model, objective=objective), pipeline)
        return
    with pytest.raises(ConfigError) as error:
        needs(settings(model=model, objective=objective), pipeline)

    assert str(error.value).startswith(f"x.yaml: prepare.corpus.tokenizer: {said}")


def test_exactly_one_of_model_and_from_is_needed():
    expected = ["set one of model and from: build a model, or go on from a checkpoint"]

    assert problems(model=None) == expected
    assert problems(**{"from": "./x"}) == expected


def test_an_architecture_that_cannot_learn_the_objective_is_refused():
    assert problems(model=GPT) == ["architecture 'gpt' can't learn 'mlm'; it learns clm"]
    assert problems(objective="clm") == ["architecture 'bert' can't learn 'clm'; it learns mlm or mlm_nsp"]


def test_heads_must_divide_the_width():
    assert problems(model={**BERT, "num_attention_heads": 5}) == [
        "hidden_size (32) must be a multiple of num_attention_heads (5)"
    ]


def test_validation_by_the_clock_is_refused():
    assert problems(eval_every="10m") == ["expected a number of steps such as '500 steps', got '10m'"]


@pytest.mark.parametrize(
    ("size", "dimensions"),
    [("tiny", (128, 2, 2)), ("mini", (256, 4, 4)), ("small", (512, 6, 8)), ("base", (768, 12, 12))],
)
@pytest.mark.parametrize("architecture", ["bert", "gpt"])
def test_a_size_is_a_shorthand_for_dimensions(architecture, size, dimensions):
    objective = {"bert": "mlm", "gpt": "clm"}[architecture]
    model = settings(model={"architecture": architecture, "size": size}, objective=objective).model

    config = model.config(vocab_size=1000, max_seq_length=128, special_ids={})

    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == dimensions
    assert model.model_copy(update={"hidden_size": 96}).dimensions[0] == 96


# ---------------------------------------------------------------- phases, several corpora


def test_a_phase_has_the_settings_of_the_section_but_for_its_own():
    config = settings(
        max_steps=None,
        learning_rate=2e-3,
        warmup_ratio=0.2,
        phases=[
            {"max_steps": 3, "max_seq_length": 16},
            {"max_tokens": "1k", "objective": {"type": "mlm", "mlm_probability": 0.3}, "learning_rate": 1e-3},
        ],
    )

    first, second = config.stretches()

    assert (first.max_steps, first.max_tokens, second.max_steps, second.max_tokens) == (3, None, None, 1000)
    assert (first.max_seq_length, second.max_seq_length, config.longest) == (16, 32, 32)
    assert (first.learning_rate, second.learning_rate) == (2e-3, 1e-3)
    assert (first.lr_scheduler_type, second.lr_scheduler_type) == ("constant", "wsd")
    assert (first.warmup_ratio, second.warmup_ratio) == (0.2, 0)
    assert second.objective.mlm_probability == 0.3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"phases": [{"max_steps": 3}]}, "with phases, each phase has a budget of its own. Remove this line"),
        ({"max_steps": None, "phases": [{"max_seq_length": 16}]}, "set exactly one of max_tokens, max_steps"),
        ({"max_steps": None, "phases": [{"max_steps": 3, "max_seq_length": 512}]}, "must hold at least one text"),
        (
            {"max_steps": None, "phases": [{"max_steps": 3, "objective": "clm"}]},
            "architecture 'bert' can't learn 'clm'; it learns mlm or mlm_nsp at the end",
        ),
        (
            {"max_steps": None, "model": GPT, "objective": "clm", "phases": [{"max_steps": 3, "objective": "mlm"}] * 2},
            "architecture 'gpt' can't learn 'mlm'; it learns clm in a phase that isn't the last",
        ),
        ({"mix": [{"data": "a", "weight": 0.6}, {"data": "b", "weight": "50%"}]}, "leave no tokens for 'data'"),
        ({"mix": [{"data": "corpus"}]}, "names the same corpus twice"),
    ],
)
def test_phases_and_mixtures_that_cannot_be_are_explained(changes, said):
    assert any(said in problem for problem in problems(**changes))


def test_phases_make_one_checkpoint(make_job, corpus):
    job = make_job(inputs={"data": corpus})
    phases = [{"max_steps": 3, "max_seq_length": 16}, {"max_steps": 2}]

    summary = run(settings(max_steps=None, phases=phases), job)

    assert summary["steps"] == 5
    assert read_info(job.folder)["max_seq_length"] == 32
    assert summary["domains"] == {}


def test_continued_pretraining_tells_the_loss_on_new_and_old_texts(make_job, corpus, reviews, pretrained):
    job = make_job(inputs={"data": corpus, "mix:0": corpus, "from": pretrained})
    mix = [{"data": "general", "weight": "20%"}]

    summary = run(settings(model=None, mix=mix, **{"from": str(pretrained.folder)}), job)

    assert set(summary["domains"]) == {"corpus", "general"}
    measured = summary["domains"]["general"]
    assert measured["before"]["loss"] > 0
    assert measured["after"]["loss"] > 0
    assert any(line.startswith("general: loss ") and line.endswith("%)") for line in describe(summary))


def test_averaged_weights_lie_between_the_start_and_what_was_trained(make_job, corpus, pretrained, tmp_path):
    plain, averaged = (make_job(tmp_path / name, {"data": corpus, "from": pretrained}) for name in ("a", "b"))
    goes_on = {"model": None, "from": str(pretrained.folder)}

    whole = run(settings(**goes_on), plain)
    part = run(settings(**goes_on, average_with_start="25%"), averaged)

    start, trained, kept = (load_file(one.folder / "model.safetensors") for one in (pretrained, plain, averaged))
    for name in start:
        torch.testing.assert_close(kept[name], trained[name].lerp(start[name], 0.25))
    assert part["domains"]["corpus"]["before"] == whole["domains"]["corpus"]["before"]
    assert part["domains"]["corpus"]["after"]["loss"] != whole["domains"]["corpus"]["after"]["loss"]
    assert part["validation"] == part["domains"]["corpus"]["after"]


def test_an_average_takes_what_the_checkpoint_has_and_leaves_a_new_head_as_it_was_trained(
    make_job, corpus, backbone, tmp_path
):
    inputs = {"data": corpus, "from": (backbone, "checkpoint")}
    plain, averaged = (make_job(tmp_path / name, inputs) for name in ("a", "b"))
    goes_on = {"model": None, "new_head": True, "from": str(backbone)}

    run(settings(**goes_on), plain)
    summary = run(settings(**goes_on, average_with_start="25%"), averaged)

    start, trained, kept = (load_file(one / "model.safetensors") for one in (backbone, plain.folder, averaged.folder))
    head = {name for name in trained if name.startswith("cls.")}
    assert {"cls.predictions.bias", "cls.predictions.transform.dense.weight"} <= head == set(summary["not_averaged"])
    for name, value in kept.items():
        begun = None if name in head else start[name.removeprefix("bert.")]
        torch.testing.assert_close(value, trained[name] if begun is None else trained[name].lerp(begun, 0.25))
    said = "average_with_start leaves that head as it is trained, and averages all other weights"
    assert averaged.console.lines.count(said) == 1
    assert f"| not averaged | {', '.join(sorted(head))} |" in (averaged.folder / "README.md").read_text()


def test_an_average_takes_rows_of_new_tokens_back_to_the_mean_of_what_they_were(make_job, job_at, backbone, tmp_path):
    source = tmp_path / "new.jsonl"
    source.write_text("".join(json.dumps({"text": f"we saw the zyzzyva in film {n}"}) + "\n" for n in range(50)))
    words = job_at(tmp_path / "words", {})
    prepare(
        validate(Prepare, {"sources": str(source), "tokenizer": {"from": f"{backbone}/", "add_tokens": ["zyzzyva"]}}),
        words.job,
    )
    inputs = {"data": words.as_artifact("dataset", {}), "from": (backbone, "checkpoint")}
    plain, averaged = (make_job(tmp_path / name, inputs) for name in ("a", "b"))
    goes_on = {"model": None, "new_head": True, "from": str(backbone)}

    run(settings(**goes_on), plain)
    run(settings(**goes_on, average_with_start="25%"), averaged)

    name = "bert.embeddings.word_embeddings.weight"
    start, trained, kept = (load_file(one / "model.safetensors") for one in (backbone, plain.folder, averaged.folder))
    old = start[name.removeprefix("bert.")]
    pieces = load_tokenizer(backbone).encode("zyzzyva", add_special_tokens=False).ids
    assert len(kept[name]) == len(old) + 1
    torch.testing.assert_close(kept[name][-1], trained[name][-1].lerp(old[pieces].mean(0), 0.25))
    torch.testing.assert_close(kept[name][:-1], trained[name][:-1].lerp(old, 0.25))
    assert torch.equal(kept["cls.predictions.bias"], trained["cls.predictions.bias"])


def test_an_end_that_is_interrupted_averages_once(make_job, corpus, pretrained, tmp_path, monkeypatch):
    whole, job = (make_job(tmp_path / name, {"data": corpus, "from": pretrained}) for name in ("whole", "cut"))
    config = settings(model=None, average_with_start=0.5, **{"from": str(pretrained.folder)})
    run(config, whole)

    class Stop:
        @property
        def reason(self):
            return "--max-time" if averages else ""

    averages = []
    monkeypatch.setattr(trainer, "average_with", lambda *given: averages.append(average_with(*given)))
    with pytest.raises(TryAgainError):
        run(config, dataclasses.replace(job, stop=Stop()))
    run(config, job)

    assert "resumed from step 6 of 6" in job.console.lines
    assert (job.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "only with from"),
        ({"model": None, "from": "a/", "keep_state": True}, "the optimizer's state"),
    ],
)
def test_an_average_that_makes_no_sense_is_explained(changes, said):
    assert any(said in problem for problem in problems(average_with_start=0.2, **changes))


def test_the_corpora_that_go_along_are_inputs_by_number():
    config = settings(mix=[{"data": "general"}, {"data": "runs/x/prepare/other/", "weight": 0}])

    found = needs(config, SimpleNamespace(file="x.yaml", prepare={}))

    assert {role: str(need.reference) for role, need in found.items()} == {
        "data": "corpus",
        "mix:0": "general",
        "mix:1": "runs/x/prepare/other/",
    }


def test_a_corpus_with_another_tokenizer_does_not_go_along(make_job, corpus, tmp_path, job_at):
    source = tmp_path / "other.jsonl"
    source.write_text("".join(json.dumps({"text": f"other words entirely {n}"}) + "\n" for n in range(50)))
    other = job_at(tmp_path / "other", {})
    wordpiece = {"type": "wordpiece", "vocab_size": 60}
    prepare(validate(Prepare, {"sources": str(source), "tokenizer": wordpiece}), other.job)
    job = make_job(inputs={"data": corpus, "mix:0": other.as_artifact("dataset", {})})

    with pytest.raises(MissingInputError, match="'general' was encoded with another tokenizer than 'corpus'"):
        run(settings(mix=[{"data": "general"}]), job)


@pytest.mark.parametrize(("from_state", "steps"), [(True, 7), (False, 3)])
def test_a_kept_optimizer_goes_on_counting_where_the_earlier_run_ended(make_job, corpus, tmp_path, from_state, steps):
    first = make_job(tmp_path / "first", {"data": corpus})
    run(settings(max_steps=4, keep_state=True), first)
    job = make_job(tmp_path / "second", {"data": corpus, "from": (first.folder, "checkpoint")})

    goes_on = {"model": None, "from": f"{first.folder}/", "from_state": from_state}
    run(settings(max_steps=3, keep_state=True, **goes_on), job)

    state = load_file(job.folder / "optimizer.state")
    assert {int(value) for name, value in state.items() if name.startswith("step.")} == {steps}
    assert transformers.AutoModelForMaskedLM.from_pretrained(job.folder).config.hidden_size == 32


def test_a_state_that_was_not_kept_is_missed_by_name(make_job, corpus, pretrained):
    job = make_job(inputs={"data": corpus, "from": pretrained})

    with pytest.raises(MissingInputError, match="keep_state: true"):
        run(settings(model=None, from_state=True, **{"from": str(pretrained.folder)}), job)

    assert any("only with from" in problem for problem in problems(from_state=True))


def test_an_encoder_takes_a_causal_detour_and_ends_masked(make_job, corpus):
    job = make_job(inputs={"data": corpus})
    phases = [{"max_steps": 30, "objective": "clm"}, {"max_steps": 2}]

    summary = run(settings(max_steps=None, phases=phases, learning_rate=5e-3), job)

    log = read_log(job.folder / "metrics.jsonl")
    validations = {line["phase"]: line["metrics"] for line in log if line["kind"] == "validation"}
    losses = [line["loss"] for line in log if line["kind"] == "train" and line["phase"] == 1]
    assert losses[-1] < 0.9 * losses[0]
    assert "bits_per_byte" in validations[1]
    assert "masked_accuracy" in validations[2]
    assert summary["objective"] == "mlm"
    assert transformers.AutoModelForMaskedLM.from_pretrained(job.folder).config.is_decoder is False


def test_pairs_of_texts_may_come_before_texts_alone(make_job, corpus):
    job = make_job(inputs={"data": corpus})
    phases = [{"max_steps": 2, "objective": "mlm_nsp"}, {"max_steps": 2}]

    summary = run(settings(max_steps=None, phases=phases), job)

    assert (summary["steps"], summary["objective"]) == (4, "mlm")
    assert json.loads((job.folder / "config.json").read_text())["architectures"] == ["BertForPreTraining"]
    assert open_model(job.folder, "AutoModelForMaskedLM").config.hidden_size == 32


@pytest.mark.parametrize(
    ("start", "rate"),
    [({}, 1.98e-3), ({"from": "a/"}, 3e-4), ({"from": "a/", "from_state": True}, 1.98e-3)],
)
def test_a_rate_that_is_left_out_is_lower_where_a_checkpoint_goes_on(make_job, corpus, pretrained, start, rate):
    job = make_job(inputs={"data": corpus} | ({"from": pretrained} if start else {}))
    phases = [{"max_steps": 3}, {"max_steps": 2, "learning_rate": 1e-5}]

    model = {"model": None} if start else {}
    outlined = outline(settings(max_steps=None, phases=phases, **start, **model), job)

    assert [phase.training.rate for phase in outlined.phases] == [rate, 1e-5]
    assert outlined.choices == {"learning rate": f"{rate:g} (by the model's width of 32)"}


def test_a_chosen_rate_is_recorded_and_a_set_one_is_no_choice(make_job, corpus, tmp_path):
    chosen = run(settings(), make_job(tmp_path / "one", {"data": corpus}))
    given = run(settings(learning_rate=2e-3), make_job(tmp_path / "other", {"data": corpus}))

    assert (chosen["learning_rate"], given["learning_rate"]) == (1.98e-3, 2e-3)
    assert chosen["environment"]["choices"]["learning rate"] == "0.00198 (by the model's width of 32)"
    assert "learning rate" not in given["environment"]["choices"]

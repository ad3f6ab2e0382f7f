"""Whole files: about forty faulty ones, each with every message it must give, and what a good one becomes."""

# ruff: noqa: E501  # whole messages stand beside what causes them

import json
from pathlib import Path

import pytest
from bmtool.artifacts.store import Store
from bmtool.config.shared import Runtime
from bmtool.errors import ConfigError
from bmtool.registry import BASELINES, METRICS
from bmtool.runner.pipeline import load_pipeline
from bmtool.runner.plan import Planner

GOOD = """\
version: 1
name: reviews
seed: 3

prepare:
  corpus:
    sources: data/*.jsonl.gz
    columns: {text: body}
    clean: [unicode, whitespace]
    filters: [{type: length, min_chars: 100}]
    deduplicate: [exact]
    split: {validation: 2%, group: author}
    tokenizer: {type: wordpiece, vocab_size: 8192}
  stars:
    task: text_classification
    sources: data/reviews.csv
    columns: {text: body, label: stars}
    split: {validation: 0.1, test: 0.1}

pretrain:
  data: corpus
  model: {architecture: bert, size: tiny}
  objective: {type: mlm, mlm_probability: 0.3}
  max_seq_length: 128
  per_device_batch_tokens: 4096
  max_tokens: 4M
  learning_rate: 3e-3
  lr_scheduler_type: wsd
  save_every: 10m
  eval_every: 500 steps

finetune:
  data: stars
  num_train_epochs: 20
  learning_rate: 5e-4
  metric_for_best_model: f1_macro
  early_stopping_patience: 5

evaluate:
  baselines: [majority, tfidf]
  gates: [{metric: accuracy, min: 0.5}]

export: {formats: [onnx]}
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(text, *overrides):
        Path("c.yaml").write_text(text)
        return load_pipeline(Path("c.yaml"), overrides)

    return load


def messages(load, text, *overrides):
    with pytest.raises(ConfigError) as error:
        load(text, *overrides)
    assert error.value.exit_code == 2
    return str(error.value).splitlines()


def test_a_file_becomes_settings_of_every_stage(load):
    pipeline = load(GOOD)

    assert (pipeline.name, pipeline.output_dir, pipeline.runtime) == ("reviews", Path("runs"), Runtime())
    assert list(pipeline.prepare) == ["corpus", "stars"]
    assert pipeline.prepare["corpus"].split.validation == 0.02
    assert pipeline.pretrain.max_tokens == 4_000_000
    assert pipeline.pretrain.model.name() == "bert"
    assert pipeline.pretrain.save_every.seconds == 600
    assert pipeline.finetune.data.value == "stars"
    assert pipeline.evaluate.gates[0].min == 0.5
    assert [exporter.name() for exporter in pipeline.export.formats] == ["onnx"]


def test_the_heads_seed_is_the_default_of_the_sections_and_not_of_prepare(load):
    pipeline = load(GOOD, "finetune.seed=8")

    seeds = [pipeline.pretrain.seed, pipeline.finetune.seed, pipeline.evaluate.seed]
    assert seeds == [3, 8, 3]
    assert pipeline.prepare["corpus"].seed == 0


def test_a_file_may_hold_one_section_only(load):
    pipeline = load("version: 1\nname: x\nprepare:\n  a: {sources: a.csv}\n")

    assert list(pipeline.prepare) == ["a"]
    assert pipeline.pretrain is None


def test_an_empty_section_sets_nothing(load):
    text = GOOD[: GOOD.index("evaluate:")] + "evaluate:\n"

    assert load(text).evaluate.baselines == ()


@pytest.mark.parametrize("start", ["hf:org/model@main", "runs/other/pretrain/"])
@pytest.mark.parametrize("data", ["corpus", "stars"])
def test_what_another_file_trained_may_be_judged_on_any_dataset(load, start, data):
    text = GOOD.partition("evaluate:")[0] + f"evaluate: {{from: '{start}', data: {data}}}\n"

    assert str(load(text).evaluate.from_) == start


def test_variables_are_read_in_paths_only(load, monkeypatch):
    monkeypatch.setenv("SCRATCH", "/scratch")

    pipeline = load(
        GOOD.replace("seed: 3", "output_dir: ${SCRATCH}/runs").replace("{text: body}", "{text: '${SCRATCH}'}")
    )

    assert pipeline.output_dir == Path("/scratch/runs")
    assert pipeline.prepare["corpus"].columns == {"text": "${SCRATCH}"}


FAULTY = [
    # (what is replaced, by what, messages)
    # the head
    ("version: 1\n", "", ["c.yaml:1:1: version: required setting is missing"]),
    ("version: 1", "version: 2", ["c.yaml:1:1: version: expected 1, got 2"]),
    ("name: reviews", "name: My Reviews", ["c.yaml:2:1: name: expected small letters, digits, '_' and '-', got 'My Reviews'"]),
    ("name: reviews", "name: 2024", ["c.yaml:2:1: name: expected text, got 2024. Put it in quotes: '2024'"]),
    ("seed: 3", "seed: -1", ["c.yaml:3:1: seed: must be at least 0, got -1"]),
    ("seed: 3", "runtime: {treads: 4}", ["c.yaml:3:11: runtime.treads: unknown setting. Did you mean 'threads'?"]),
    ("seed: 3", "threads: 4", ["c.yaml:3:1: threads: unknown setting. Did you mean 'runtime.threads', at the top of the file?"]),
    ("seed: 3", "output_dir: ${NO_SUCH_VAR}/x", ["c.yaml:3:1: output_dir: the environment variable 'NO_SUCH_VAR' isn't set; '${NO_SUCH_VAR}/x' needs it."]),
    ("export:", "exprot:", ["c.yaml:43:1: exprot: unknown setting. Did you mean 'export'?"]),
    # prepare
    ("sources: data/*.jsonl.gz", "source: data/*.jsonl.gz", ["c.yaml:7:5: prepare.corpus.source: unknown setting. Did you mean 'sources'?"]),
    ("data/reviews.csv", "data/reviews.xls", [
        "c.yaml:16:5: prepare.stars.sources: 'data/reviews.xls' has no known ending (.csv, .tsv, .html, .htm, .xhtml, .jsonl, .ndjson, .md, .markdown, .parquet, .pq, .txt, .warc, .wet) and is no source (csv, docstrings, html, huggingface, jsonl, markdown, parquet, text, warc). Say what it is: {type: jsonl, path: data/reviews.xls}"
    ]),
    ("data/reviews.csv", "{type: csv, pth: a}", ["c.yaml:16:26: prepare.stars.sources.pth: unknown setting. Did you mean 'path'?"]),
    ("[unicode, whitespace]", "[unicod, whitespace]", ["c.yaml:9:13: prepare.corpus.clean[0]: unknown cleaner 'unicod'. Did you mean 'unicode'? Known: boilerplate, replace, unicode, whitespace"]),
    ("min_chars: 100", "min_char: 100", ["c.yaml:10:30: prepare.corpus.filters[0].min_char: unknown setting. Did you mean 'min_chars'?"]),
    ("min_chars: 100", "min_chars: 100, max_chars: 5", ["c.yaml:10:15: prepare.corpus.filters[0]: min_chars (100) is more than max_chars (5)"]),
    ("[exact]", "[nearly]", ["c.yaml:11:19: prepare.corpus.deduplicate[0]: unknown deduplicator 'nearly'. Did you mean 'near'? Known: exact, near"]),
    ("validation: 2%", "validation: 200%", ["c.yaml:12:13: prepare.corpus.split.validation: must be at most 1, got '200%'"]),
    ("validation: 0.1, test", "val: 0.1, test", ["c.yaml:18:13: prepare.stars.split.val: unknown setting. Did you mean 'validation'?"]),
    ("vocab_size: 8192", "vocab_size: 8k5", ["c.yaml:13:34: prepare.corpus.tokenizer.vocab_size: expected a whole number, got '8k5'"]),
    ("task: text_classification", "task: sentiment", ["c.yaml:15:5: prepare.stars.task: unknown task 'sentiment'. Did you mean 'text_classification'?"]),
    ("  corpus:", "  ../corpus:", [
        "c.yaml:6:3: prepare.../corpus: '../corpus' can't be a name: it takes small letters, digits, '_' and '-'",
        "c.yaml:21:3: pretrain.data: there is no dataset 'corpus' under 'prepare'. Did you mean '../corpus'? A path needs a slash: './corpus'",
    ]),
    ("[exact]", "[exact]\n    limits: {max_dropped_by: {lenght: 1%}}", ["c.yaml:12:31: prepare.corpus.limits.max_dropped_by.lenght: no rule of 'corpus' is called so. Did you mean 'length'?"]),
    ("[exact]", "[exact]\n    limits: {max_dropped_by: {length.min_char: 1%, near duplicate: 1%}}", [
        "c.yaml:12:31: prepare.corpus.limits.max_dropped_by.length.min_char: no rule of 'corpus' is called so. Did you mean 'length.min_chars'?",
        "c.yaml:12:52: prepare.corpus.limits.max_dropped_by.near duplicate: no rule of 'corpus' is called so. Did you mean 'duplicate'?",
    ]),
    ("[exact]", "[exact]\n    limits: {max_dropped_by: {zh: 1%}}", ["c.yaml:12:31: prepare.corpus.limits.max_dropped_by.zh: no rule of 'corpus' is called so. There: empty text, length, duplicate, length.min_chars, length.max_chars"]),
    ("    split: {validation: 2%, group: author}", "    limits: {max_overlap: 1%}", ["c.yaml:12:14: prepare.corpus.limits.max_overlap: nothing is held out: set prepare.corpus.split, or leave this out"]),
    # training
    ("per_device_batch_tokens", "micro_batch_size", ["c.yaml:25:3: pretrain.micro_batch_size: unknown setting. Did you mean 'per_device_batch_tokens'? It counts tokens, not texts."]),
    ("max_seq_length", "cutoff_len", ["c.yaml:24:3: pretrain.cutoff_len: unknown setting. Did you mean 'max_seq_length'?"]),
    ("learning_rate: 3e-3", "lr: 3e-3", ["c.yaml:27:3: pretrain.lr: unknown setting. Did you mean 'learning_rate'?"]),
    ("lr_scheduler_type: wsd", "lr_scheduler_type: warmup_stable_decay", ["c.yaml:28:3: pretrain.lr_scheduler_type: expected wsd, cosine, linear or constant, got 'warmup_stable_decay'. Did you mean 'wsd'?"]),
    ("learning_rate: 3e-3", "learning_rate: no", ["c.yaml:27:3: pretrain.learning_rate: expected a number, got 'no'"]),
    ("max_tokens: 4M", "max_tokens: 4M\n  max_steps: 50", ["c.yaml:27:3: pretrain.max_steps: set exactly one of max_tokens, max_steps, num_train_epochs; got max_tokens and max_steps"]),
    ("  max_tokens: 4M\n", "", ["c.yaml:20:1: pretrain: set exactly one of max_tokens, max_steps, num_train_epochs"]),
    ("save_every: 10m", "save_every: 600", ["c.yaml:29:3: pretrain.save_every: expected a duration such as 10m, or a number of steps such as '500 steps', got 600"]),
    ("size: tiny", "size: tinny", ["c.yaml:22:31: pretrain.model.size: expected tiny, mini, small or base, got 'tinny'. Did you mean 'tiny'?"]),
    ("mlm_probability: 0.3", "mlm_prob: 0.3", ["c.yaml:23:26: pretrain.objective.mlm_prob: unknown setting. Did you mean 'mlm_probability'?"]),
    ("save_every: 10m", "device: cuda", ["c.yaml:29:3: pretrain.device: unknown setting. Did you mean 'runtime.device', at the top of the file?"]),
    ("save_every: 10m", "finetune: {data: stars}", ["c.yaml:29:3: pretrain.finetune: unknown setting. Did you mean 'finetune' at the top of the file, outside 'pretrain'?"]),
    # what sections say about each other
    ("data: corpus", "data: corpse", ["c.yaml:21:3: pretrain.data: there is no dataset 'corpse' under 'prepare'. Did you mean 'corpus'? A path needs a slash: './corpse'"]),
    ("data: corpus", "data: stars", ["c.yaml:21:3: pretrain.data: 'stars' has a task. A corpus is needed here: a dataset without 'task'"]),
    ("data: stars", "data: stars\n  from: pretran", ["c.yaml:34:3: finetune.from: expected pretrain, or a path with a slash, got 'pretran'. Did you mean 'pretrain'?"]),
    ("data: stars", "data: stars\n  from: hf:org/model/file", ["c.yaml:34:3: finetune.from: 'hf:org/model/file' is no name on the hub. Write hf:ORG/NAME, or hf:ORG/NAME@REVISION"]),
    ("data: stars", "data: hf:org/stars", ["c.yaml:33:3: finetune.data: 'hf:org/stars': what `prepare` made is read here. A dataset of the hub is one of its sources: {type: huggingface, path: 'hf:org/stars'}"]),
    ("{type: wordpiece, vocab_size: 8192}", "{from: stars}", ["c.yaml:13:17: prepare.corpus.tokenizer.from: 'stars' has a task. A corpus is needed here: its tokenizer is taken"]),
    ("{type: wordpiece, vocab_size: 8192}", "{from: corpus}", ["c.yaml:13:17: prepare.corpus.tokenizer.from: 'corpus' needs itself: a circle"]),
    ("{type: wordpiece, vocab_size: 8192}", "{from: models/x/, add_tokens: [two words]}", ["c.yaml:13:34: prepare.corpus.tokenizer.add_tokens: 'two words' is no single word"]),
    ("{type: wordpiece, vocab_size: 8192}", "{from: models/x/, add_tokens: 0}", ["c.yaml:13:34: prepare.corpus.tokenizer.add_tokens: expected a whole number, a list of text or a mapping of file, got 0"]),
    ("model: {architecture: bert, size: tiny}", "model: {architecture: bert, size: tiny}\n  new_head: true", ["c.yaml:23:3: pretrain.new_head: has an effect only with from: a model that is built here is all new"]),
    ("metric: accuracy", "metric: acuracy", [f"c.yaml:41:12: evaluate.gates[0].metric: unknown metric 'acuracy'. Did you mean 'accuracy'? Known: {', '.join(METRICS.names())}"]),
    ("metric: accuracy", "metric: f1_span", ["c.yaml:41:12: evaluate.gates[0].metric: 'f1_span' isn't measured here, only accuracy, f1_macro, f1_micro, precision_macro, recall_macro, loss"]),
    ("baselines: [majority, tfidf]", "metrics: [f1_macro, loss]", ["c.yaml:41:12: evaluate.gates[0].metric: 'accuracy' isn't measured here, only f1_macro, loss"]),
    ("metric_for_best_model: f1_macro", "metric_for_best_model: f1_span", ["c.yaml:36:3: finetune.metric_for_best_model: text_classification isn't measured by f1_span; it is by accuracy, f1_macro, f1_micro, precision_macro, recall_macro, loss"]),
    ("validation: 0.1, test: 0.1", "test: 0.1", ["c.yaml:37:3: finetune.early_stopping_patience: needs a validation split, and 'stars' has none. Set prepare.stars.split.validation, such as 0.1 (the test split is opened by evaluate only)"]),
    # evaluate and export
    ("baselines: [majority, tfidf]", "metrics: [accuracy, f1_span]", ["c.yaml:40:23: evaluate.metrics[1]: f1_span judges tags, and text_classification answers with label. Measured here: accuracy, auprc, auroc, brier, ece, f1_macro, f1_micro, kappa_quadratic, loss, mcc, perplexity, precision_macro, recall_macro"]),
    ("baselines: [majority, tfidf]", "metrics: [accuracy, masked_accuracy]", ["c.yaml:40:23: evaluate.metrics[1]: masked_accuracy reads hits, which text_classification doesn't give. Measured here: accuracy, auprc, auroc, brier, ece, f1_macro, f1_micro, kappa_quadratic, loss, mcc, perplexity, precision_macro, recall_macro"]),
    ("baselines: [majority, tfidf]", "split: tset", ["c.yaml:40:3: evaluate.split: expected train, validation or test, got 'tset'. Did you mean 'test'?"]),
    ("[onnx]", "[onnx], split: tset", ["c.yaml:43:27: export.split: expected train, validation or test, got 'tset'. Did you mean 'test'?"]),
    ("validation: 0.1, test: 0.1", "validation: 0.1", [
        "c.yaml:39:1: evaluate.split: 'stars' has no test split, only train and validation. Set prepare.stars.split.test, such as 0.1; `bmtool run --until finetune` does without",
        "c.yaml:43:1: export.split: 'stars' has no test split, only train and validation. Set prepare.stars.split.test, such as 0.1; `bmtool run --until finetune` does without",
    ]),
    ("min: 0.5", "mininum: 0.5", ["c.yaml:41:30: evaluate.gates[0].mininum: unknown setting. Did you mean 'min'?"]),
    ("[majority, tfidf]", "[majorty]", [f"c.yaml:40:15: evaluate.baselines[0]: unknown baseline 'majorty'. Did you mean 'majority'? Known: {', '.join(BASELINES.names())}"]),
    ("[onnx]", "onnx", ["c.yaml:43:10: export.formats: expected a list, got 'onnx'. Write [onnx]"]),
    ("accuracy, min: 0.5", "accuracy, against: tfdf, min: 0", ["c.yaml:41:30: evaluate.gates[0].against: 'tfdf' is none of evaluate.baselines or evaluate.against. Did you mean 'tfidf'?"]),
    ("accuracy, min: 0.5", "accuracy, min: 0, surely: 1", ["c.yaml:41:38: evaluate.gates[0].surely: expected true or false, got 1"]),
    ("accuracy, min: 0.5", "accuracy, min: 0, seeds: worst, surely: true", ["c.yaml:41:52: evaluate.gates[0].surely: the worst of several seeds has no interval: take seeds: mean, or leave this out"]),
    ("baselines: [majority, tfidf]", "against: {before: other}", ["c.yaml:40:13: evaluate.against.before: expected the folder of an evaluation, with a slash, such as runs/other/evaluate/"]),
    ("baselines: [majority, tfidf]", "against: {tfidf: runs/other/evaluate/}", ["c.yaml:40:13: evaluate.against.tfidf: a baseline is called so; results go by this name"]),
    ("baselines: [majority, tfidf]", "against: {before: runs/other/evaluate/}", ["c.yaml:40:3: evaluate.against: seeds are compared one by one, and 'finetune' is one. Set finetune.seeds and evaluate what this file fine-tunes, or leave out this"]),
    # form
    ("  data: corpus", "\tdata: corpus", ["c.yaml:21:1: a tab. Indent with spaces"]),
    ("seed: 3", "seed: 3\nseed: 4", ["c.yaml:4:1: 'seed' is already set on line 3"]),
    ("seed: 3", "seed: &s 3", ["c.yaml:3:7: '&s' is a YAML anchor, which isn't read. Text that starts with '&' must be quoted"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), FAULTY, ids=[f"{new.strip()[:40]}" for _, new, _ in FAULTY])
def test_a_fault_is_said_with_its_line_and_a_hint(load, old, new, expected):
    assert old in GOOD

    assert messages(load, GOOD.replace(old, new, 1)) == expected


def test_all_faults_of_a_file_are_shown_at_once_in_its_order(load):
    text = GOOD
    for old, new in [
        ("version: 1", "version: 3"),
        ("min_chars: 100", "min_char: 100"),
        ("vocab_size: 8192", "vocab_size: big"),
        ("learning_rate: 3e-3", "lr: fast"),
        ("save_every: 10m", "save_every: often"),
        ("num_train_epochs: 20", "epochs: 20"),
        ("data: stars", "data: stras"),
        ("metric: accuracy, min: 0.5", "metric: accuracy, max: 1, min: 0.5"),
        ("[onnx]", "[onx, onnx]"),
    ]:
        text = text.replace(old, new, 1)

    assert [line.partition(": ")[0] for line in messages(load, text)] == [
        "c.yaml:1:1", "c.yaml:10:30", "c.yaml:13:34", "c.yaml:27:3", "c.yaml:29:3", "c.yaml:33:3", "c.yaml:34:3",
        "c.yaml:41:11", "c.yaml:43:20",
    ]  # fmt: skip


def test_faults_of_a_base_are_shown_with_its_own_lines(load):
    Path("base.yaml").write_text(GOOD.replace("learning_rate: 3e-3", "lr: 3e-3"))

    assert messages(load, "extends: base.yaml\nname: mine\nexport: {formats: [onx]}\n") == [
        "c.yaml:3:10: export.formats[0]: unknown exporter 'onx'. Did you mean 'onnx'? Known: onnx".replace(
            "3:10", "3:20"
        ),
        "base.yaml:27:3: pretrain.lr: unknown setting. Did you mean 'learning_rate'?",
    ]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("pretrain.max_stps=5", "--set pretrain.max_stps=5: unknown setting. Did you mean 'max_steps'?"),
        ("pretrain.learning_rate=x", "--set pretrain.learning_rate=x: expected a number, got 'x'"),
        ("pretrain={lr: 3}", "--set pretrain={lr: 3}: pretrain.lr: unknown setting. Did you mean 'learning_rate'?"),
        ("pretrain.data=stars", "--set pretrain.data=stars: 'stars' has a task. A corpus is needed here: a dataset without 'task'"),
    ],
)  # fmt: skip
def test_a_fault_of_a_set_names_the_set(load, override, expected):
    assert messages(load, GOOD, override) == [expected]


def test_set_of_one_budget_replaces_the_other(load):
    pipeline = load(GOOD, "pretrain.max_steps=50")

    assert (pipeline.pretrain.max_steps, pipeline.pretrain.max_tokens) == (50, None)


def test_a_section_set_to_null_is_left_out(load):
    pipeline = load(GOOD, "export=null", "evaluate=null")

    assert pipeline.export is None
    assert pipeline.evaluate is None
    assert pipeline.finetune is not None


def test_null_takes_back_what_a_base_sets(load):
    Path("base.yaml").write_text(GOOD)

    pipeline = load("extends: base.yaml\nfinetune: {early_stopping_patience: null}\n")

    assert pipeline.finetune.early_stopping_patience is None


def test_one_faulty_section_hides_no_fault_of_another(load):
    text = GOOD.replace("size: tiny", "size: tinny").replace("data: stars", "data: corpus")

    assert messages(load, text) == [
        "c.yaml:22:31: pretrain.model.size: expected tiny, mini, small or base, got 'tinny'. Did you mean 'tiny'?",
        "c.yaml:33:3: finetune.data: 'corpus' is a corpus. A dataset with a task is needed here: set prepare.corpus.task",
    ]


def test_processes_must_be_able_to_share_out_a_step(load):
    text = GOOD.replace("save_every: 10m", "gradient_accumulation_steps: 6\n  save_every: 10m")
    phases = "phases: [{max_steps: 5}, {max_steps: 5, gradient_accumulation_steps: 4}]\n  save_every: 10m"
    in_phases = GOOD.replace("max_tokens: 4M", "warmup_ratio: 0").replace("save_every: 10m", phases)

    assert messages(load, text, "runtime.processes=4") == [
        "c.yaml:29:3: pretrain.gradient_accumulation_steps: runtime.processes is 4: this must be a multiple of it, and is 6",
        "c.yaml:33:1: finetune.gradient_accumulation_steps: runtime.processes is 4: this must be a multiple of it, and is 1",
    ]
    assert messages(load, in_phases, "runtime.processes=4", "finetune.gradient_accumulation_steps=8") == [
        "c.yaml:29:12: pretrain.phases[0].gradient_accumulation_steps: runtime.processes is 4: this must be a multiple of it, and is 1",
    ]
    assert load(text, "runtime.processes=3", "finetune.gradient_accumulation_steps=3").runtime.processes == 3


def test_a_weight_is_for_a_label_that_the_task_lists(load):
    text = GOOD.replace("task: text_classification", "task: {type: text_classification, labels: [neg, pos]}")

    assert messages(load, text, "finetune.class_weights={po: 5, bad: 2}") == [
        "--set finetune.class_weights={po: 5, bad: 2}: there is no label 'po'. Did you mean 'pos'?"
    ]
    assert messages(load, text.replace("data: stars", "data: stars\n  class_weights: {mid: 5}")) == [
        "c.yaml:34:3: finetune.class_weights: there is no label 'mid'. There: neg, pos"
    ]
    assert load(text, "finetune.class_weights={pos: 5}").finetune.class_weights == {"pos": 5}
    assert load(GOOD, "finetune.class_weights={pos: 5}").finetune.class_weights == {"pos": 5}


@pytest.mark.parametrize(("family", "longest"), [("bert", 512), ("roberta", 510), ("t5", None)])
def test_texts_must_be_no_longer_than_the_model_that_is_started_from(load, family, longest):
    Path("base").mkdir()
    plain = {"model_type": family, "max_position_embeddings": 512, "n_positions": 512, "pad_token_id": 1}
    Path("base/config.json").write_text(json.dumps(plain))
    text = (
        GOOD.partition("pretrain:")[0] + "finetune: {data: stars, from: ./base, max_steps: 1, max_seq_length: 4096}\n"
    )

    if longest is None:
        assert load(text).finetune.max_seq_length == 4096
        return
    assert messages(load, text) == [
        f"c.yaml:20:53: finetune.max_seq_length: is 4096, and the model of './base' has {longest} positions. Lower it"
    ]
    assert load(text, f"finetune.max_seq_length={longest}").finetune.max_seq_length == longest


def test_texts_must_be_no_longer_than_the_model_that_this_file_makes(load):
    assert messages(load, GOOD, "finetune.max_seq_length=1024") == [
        "--set finetune.max_seq_length=1024: is 1024, and the model of 'pretrain' has 512 positions. Lower it"
    ]
    assert load(GOOD, "finetune.max_seq_length=1024", "pretrain.max_seq_length=1024").pretrain.longest == 1024


def test_each_phase_fits_into_the_model_that_is_started_from(load):
    Path("base").mkdir()
    Path("base/config.json").write_text('{"model_type": "bert", "max_position_embeddings": 256}')
    phases = "phases: [{max_steps: 5}, {max_steps: 5, max_seq_length: 512}]"
    text = GOOD.replace("model: {architecture: bert, size: tiny}", "from: ./base").replace("max_tokens: 4M", phases)

    assert messages(load, text) == [
        (
            "c.yaml:26:43: pretrain.phases[1].max_seq_length: is 512, and the model of './base' has 256 positions. "
            "Lower it"
        )
    ]


def test_a_fault_further_down_hides_none_of_what_sections_above_it_contradict(load):
    text = GOOD.replace("metric_for_best_model: f1_macro", "metric_for_best_model: f1_span").replace("[onnx]", "[onx]")

    assert [line.partition(": ")[0] for line in messages(load, text)] == ["c.yaml:36:3", "c.yaml:43:20"]


def test_a_gate_on_another_study_says_which_of_its_seeds_it_is_about(load):
    text = GOOD.replace("baselines: [majority, tfidf]", "against: {before: runs/other/evaluate/}")
    text = text.replace("accuracy, min: 0.5", "accuracy, against: before, min: 0").replace(
        "data: stars", "data: stars\n  seeds: 3"
    )

    assert messages(load, text) == [
        "c.yaml:42:30: evaluate.gates[0].against: 'before' is compared seed by seed: set seeds to mean or worst"
    ]
    assert load(text.replace("min: 0", "min: 0, seeds: mean")).evaluate.gates[0].against == "before"
    assert load(text.replace("min: 0", "min: 0, seeds: mean")).in_little().evaluate.gates == ()


def test_what_is_not_made_reads_no_split(load):
    text = GOOD.replace("validation: 0.1, test: 0.1", "validation: 0.1")
    Path("c.yaml").write_text(text)

    assert load_pipeline(Path("c.yaml"), stages=("prepare", "pretrain", "finetune")).evaluate is not None


@pytest.mark.parametrize("seeds", [1, 3])
def test_what_is_learned_from_must_be_in_the_train_split(load, seeds):
    text = GOOD.replace("{validation: 0.1, test: 0.1}", "{validation: 0.4, test: 0.6}")

    assert messages(load, text, f"finetune.seeds={seeds}") == [
        (
            "c.yaml:33:3: finetune.data: 'stars' has no train split, only validation and test. "
            "Lower the shares in prepare.stars.split"
        )
    ]


def test_a_metric_must_be_known_to_each_of_several_tasks(load):
    names = "  names: {task: token_classification, sources: data/names.jsonl, split: {validation: 0.1, test: 0.1}}\n"
    text = GOOD.partition("export:")[0].replace("pretrain:\n", names + "pretrain:\n", 1)
    text = text.replace("data: stars", "data: [stars, names]").replace("metric_for_best_model: f1_macro", "seed: 1")
    both = text.replace("baselines: [majority, tfidf]", "metrics: [accuracy, f1_span]")

    assert [line.partition(". ")[0] for line in messages(load, both)] == [
        "c.yaml:41:23: evaluate.metrics[1]: f1_span judges tags, and text_classification answers with label"
    ]
    assert load(both.replace("f1_span", "mcc")).evaluate.metrics[1].name() == "mcc"


def test_several_tasks_that_write_share_a_model_that_writes(load):
    datasets = "".join(f"  {name}: {{task: summarization, sources: {name}.jsonl}}\n" for name in ("titles", "subjects"))
    text = GOOD.partition("  metric_for_best_model")[0].replace("\npretrain:\n", f"{datasets}\npretrain:\n")
    together = text.replace("data: stars", "data: [titles, subjects]\n  model: t5")

    assert load(together).finetune.together is not None
    assert load(together.replace("model: t5", "model: gpt")).finetune.together is not None
    assert messages(load, together.replace("subjects]", "stars]")) == [
        (
            "c.yaml:36:3: finetune.model: 't5' (encoder-decoder) can't learn text_classification from text, label. "
            "Those that can: bert, gpt, llama, modernbert, qwen3, roberta"
        )
    ]


def test_weights_that_cannot_be_shared_out_are_refused_before_anything_is_made(load):
    two = GOOD.replace("data: stars", "data: [stars, likes]").replace(
        "metric_for_best_model: f1_macro", "weight_decay: 0.1"
    )
    two = two.replace(
        "  stars:",
        "  likes: {task: text_classification, sources: data/likes.csv, split: {validation: 0.1, test: 0.1}}\n  stars:",
    )
    steps = ["pretrain.gradient_accumulation_steps=2", "finetune.gradient_accumulation_steps=2", "runtime.processes=2"]

    refused = messages(load, two, *steps, "runtime.fsdp=always")
    by_muon = messages(load, GOOD, *steps, "runtime.fsdp=always", "pretrain.optim=muon")

    assert [line.partition(": ")[2] for line in refused + by_muon] == [
        (
            "finetune: always adds up gradients that all processes have, and with several tasks each has those of "
            "the heads that it used. Set runtime.fsdp to never, or fine-tune the tasks apart"
        ),
        (
            "pretrain: always lets each process hold some rows of a weight, and optim muon needs whole matrices. "
            "Set optim to adamw, or runtime.fsdp to never"
        ),
    ]
    assert load(two, *steps).runtime.fsdp == "auto"
    assert load(two, "runtime.fsdp=always").runtime.processes == 1


DATASETS = """\
version: 1
name: x
prepare:
  corpus:
    sources: a.jsonl
    deduplicate: [exact, {type: near, against: BEFORE}]
    decontaminate: [TESTS]
  stars: {task: text_classification, sources: b.csv, split: {test: 0.5}, MORE}
  older: {sources: c.jsonl, deduplicate: [near]}
  plain: {sources: d.jsonl}
"""


def datasets(before="older", tests="stars", more="seed: 1"):
    return DATASETS.replace("BEFORE", before).replace("TESTS", tests).replace("MORE", more)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"before": "elder"}, "c.yaml:6:39: prepare.corpus.deduplicate[1].against[0]: there is no dataset 'elder' under 'prepare'. Did you mean 'older'? A path needs a slash: './elder'"),
        ({"before": "[older, zzz]"}, "c.yaml:6:56: prepare.corpus.deduplicate[1].against[1]: there is no dataset 'zzz' under 'prepare'. There: corpus, stars, older, plain. A path needs a slash: './zzz'"),
        ({"before": "plain"}, "c.yaml:6:39: prepare.corpus.deduplicate[1].against[0]: 'plain' keeps no sketches of its rows: set prepare.plain.deduplicate: [near]"),
        ({"before": "corpus"}, "c.yaml:6:39: prepare.corpus.deduplicate[1].against[0]: 'corpus' needs itself: a circle"),
        ({"tests": "star"}, "c.yaml:7:21: prepare.corpus.decontaminate[0]: there is no dataset 'star' under 'prepare'. Did you mean 'stars'? A path needs a slash: './star'"),
        ({"tests": "stars, new", "more": "seed: 1}\n  new: {task: text_classification, sources: e.csv"}, "c.yaml:7:28: prepare.corpus.decontaminate[1]: 'new' has no test split, only train. Set prepare.new.split.test, such as 0.1"),
        ({"tests": "older"}, "c.yaml:7:21: prepare.corpus.decontaminate[0]: 'older' is a corpus. A dataset with a task is needed here: its test rows are looked up"),
    ],
)  # fmt: skip
def test_a_dataset_that_another_names_must_be_there_and_fit(load, given, message):
    assert messages(load, datasets(**given)) == [message]


def test_a_circle_of_datasets_is_said_at_each_of_its_places(load):
    text = datasets(more="deduplicate: [{type: near, against: [corpus]}]")

    assert messages(load, text) == [
        "c.yaml:7:21: prepare.corpus.decontaminate[0]: 'stars' needs 'corpus' itself: a circle",
        "c.yaml:8:111: prepare.stars.deduplicate[0].against[0]: 'corpus' needs 'stars' itself: a circle",
    ]


def test_datasets_may_be_named_by_path_and_need_not_be_in_the_file(load):
    pipeline = load(datasets(before="./older", tests="../other/runs/x/prepare/stars"))

    assert pipeline.prepare["corpus"].near.against[0].form == "path"


def made_in_order(pipeline, tmp_path):
    planner = Planner(pipeline, Store(tmp_path / "runs"))
    return [node.dataset for node in planner.nodes("prepare")]


def test_datasets_are_made_behind_those_they_read_and_else_as_they_stand(load, tmp_path):
    for name in ("a.jsonl", "b.csv", "c.jsonl", "d.jsonl"):
        (tmp_path / name).write_text(name)

    assert made_in_order(load(datasets()), tmp_path) == ["stars", "older", "corpus", "plain"]
    assert made_in_order(load(datasets(before="[]", tests="")), tmp_path) == ["corpus", "stars", "older", "plain"]


def test_two_names_for_the_same_data_are_both_made(load, tmp_path):
    (tmp_path / "a.jsonl").write_text("a")
    pipeline = load("version: 1\nname: x\nprepare:\n  one: {sources: a.jsonl}\n  two: {sources: a.jsonl}\n")

    assert made_in_order(pipeline, tmp_path) == ["one", "two"]


@pytest.mark.parametrize("key", ["seed", "prepare.corpus.seed", "pretrain.seed", "finetune.seed", "evaluate.seed"])
def test_a_seed_is_one_that_every_library_takes(load, key):
    override = f"{key}={2**63}"

    assert messages(load, GOOD, override) == [f"--set {override}: must be below {2**63}, got {2**63}"]
    load(GOOD, f"{key}={2**63 - 1}")


def test_a_setting_of_a_phase_that_has_no_effect_there_is_an_error(load):
    phases = "phases=[{max_steps: 5, decay_ratio: 0.2}, {max_steps: 5, decay_ratio: 0.2}]"

    assert messages(load, GOOD, "pretrain.max_tokens=null", f"pretrain.{phases}") == [
        f"--set pretrain.{phases}: decay_ratio has an effect only in a phase with wsd, not with constant"
    ]


def test_a_path_that_a_shell_would_expand_is_answered_with_what_is_read_here(load):
    assert messages(load, GOOD, "output_dir=~/runs") == [
        "--set output_dir=~/runs: '~/runs': '~' isn't read in paths. Write ${HOME}/runs"
    ]


def test_a_name_that_no_file_can_have_is_no_configuration(tmp_path):
    name = "a" * 300

    with pytest.raises(ConfigError) as error:
        load_pipeline(Path(f"{name}.yaml"))
    (tmp_path / "c.yaml").write_text(f"extends: {name}.yaml\n")
    with pytest.raises(ConfigError) as extended:
        load_pipeline(tmp_path / "c.yaml")

    assert str(error.value) == f"{name}.yaml: can't be read: file name too long"
    assert str(extended.value) == f"{tmp_path}/c.yaml:1:1: extends: there is no file {tmp_path}/{name}.yaml"

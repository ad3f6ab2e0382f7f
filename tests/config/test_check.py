"""Places and words of faults, wherever they are nested; every one of them at once."""

# ruff: noqa: E501, ISC004  # whole messages stand beside what causes them
from typing import Annotated

import pytest
from bmtool.config.check import check
from bmtool.config.model import HOW, Settings, chosen, explained
from bmtool.config.references import Ref
from bmtool.config.shared import Head, Training
from bmtool.config.units import Count, Ratio, Seconds
from bmtool.config.yaml import read_file
from bmtool.errors import ConfigError
from bmtool.registry import ARCHITECTURES, FILTERS, METRICS
from pydantic import Field, model_validator


class Split(Settings):
    validation: Ratio = 0.0


class Data(Settings):
    sources: str | list[str] = "x"
    filters: tuple[chosen(FILTERS), ...] = ()
    by_name: dict[str, list[chosen(FILTERS)]] = {}
    split: Split = Split()
    columns: dict[str, str] = {}
    is_new: bool = False
    limit: Count | None = None
    wait: Seconds | None = None
    names: Annotated[list[str], Field(min_length=1, max_length=2)] = ["a"]
    low: int = 0
    high: int = 1

    @model_validator(mode="after")
    def _in_order(self):
        if self.low > self.high:
            raise explained(f"low ({self.low}) is more than high ({self.high})", at="low")
        return self


class Train(Training):
    data: Annotated[Ref, HOW]
    model: chosen(ARCHITECTURES, "architecture") | None = None
    metric: chosen(METRICS) | None = None


class File(Head):
    prepare: dict[str, Data] | None = None
    pretrain: Train | None = None
    finetune: Train | None = None


HEAD = "version: 1\nname: x\n"
TRAIN = "pretrain:\n  data: d\n  learning_rate: 1\n  max_steps: 1\n"


def problems(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    document = read_file(tmp_path / "c.yaml", source="c.yaml")
    check(File, document, stand_ins={"version": 1, "name": "x"})
    try:
        document.raise_problems()
    except ConfigError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        # where it stands
        ("splt: {}", "4:9: prepare.d.splt: unknown setting. Did you mean 'split'?"),
        ("split: {validaton: 1}", "4:17: prepare.d.split.validaton: unknown setting. Did you mean 'validation'?"),
        (
            "filters: [length, {type: length, min_char: 3}]",
            "4:42: prepare.d.filters[1].min_char: unknown setting. Did you mean 'min_chars'?",
        ),
        (
            "filters: [{type: length, min_chars: few}]",
            "4:34: prepare.d.filters[0].min_chars: expected a whole number, got 'few'",
        ),
        (
            "by_name: {k: [length, {type: length, max_chars: -1}]}",
            "4:46: prepare.d.by_name.k[1].max_chars: must be above 0, got -1",
        ),
        (
            "by_name: {k: [{type: lenght}]}",
            "4:24: prepare.d.by_name.k[0].type: unknown filter 'lenght'. Did you mean 'length'? Known: "
            + ", ".join(FILTERS.names()),
        ),
        ("columns: {text: 5}", "4:19: prepare.d.columns.text: expected text, got 5. Put it in quotes: '5'"),
        ("low: 3", "4:9: prepare.d.low: low (3) is more than high (1)"),
        # what was expected and what was found
        ("low: 1.5", "4:9: prepare.d.low: expected a whole number, got 1.5"),
        ("low: 1e3", "4:9: prepare.d.low: expected a whole number, got 1000.0. Write 1000"),
        ("low: '5'", "4:9: prepare.d.low: expected a whole number, got '5'. Remove the quotes"),
        ("low: 1_000", "4:9: prepare.d.low: expected a whole number, got '1_000'. Write 1000"),
        ("low: true", "4:9: prepare.d.low: expected a whole number, got true"),
        ("low: [1]", "4:9: prepare.d.low: expected a whole number, got a list"),
        ("is_new: no", "4:9: prepare.d.is_new: expected true or false, got 'no'. Write false"),
        ("is_new: 1", "4:9: prepare.d.is_new: expected true or false, got 1"),
        ("limit: many", "4:9: prepare.d.limit: expected a whole number such as 500, 20k or 4M, got 'many'"),
        ("limit: 0", "4:9: prepare.d.limit: must be above 0, got 0"),
        ("wait: 5", "4:9: prepare.d.wait: expected a duration such as 90s, 10m or 2h, got 5"),
        ("split: {validation: 5 %%}", "4:17: prepare.d.split.validation: expected a share such as 0.05 or 5%, got '5 %%'"),
        ("split: {validation: .nan}", "4:17: prepare.d.split.validation: must be a finite number, got nan"),
        ("split: half", "4:9: prepare.d.split: expected 'key: value' lines, got 'half'"),
        ("sources: 5", "4:9: prepare.d.sources: expected text or a list of text, got 5"),
        ("sources: [a, 5]", "4:22: prepare.d.sources[1]: expected text, got 5. Put it in quotes: '5'"),
        ("filters: length", "4:9: prepare.d.filters: expected a list, got 'length'. Write [length]"),
        ("filters: [3]", "4:19: prepare.d.filters[0]: expected the name of a filter, or a mapping with 'type: NAME'"),
        (
            "filters: [{length: {min_chars: 3}}]",
            "4:19: prepare.d.filters[0]: write {type: length, ...}: the name of a filter is the value of 'type'",
        ),
        ("names: []", "4:9: prepare.d.names: must hold at least 1, got 0"),
        ("names: [a, b, c]", "4:9: prepare.d.names: must hold at most 2, got 3"),
        # other places and other tools
        ("validation: 0.1", "4:9: prepare.d.validation: unknown setting. Did you mean 'split.validation'? It is one level "
         "further in."),
        ("output_dir: x", "4:9: prepare.d.output_dir: unknown setting. Did you mean 'output_dir' at the top of the file, "
         "outside 'prepare'?"),
        ("threads: 2", "4:9: prepare.d.threads: unknown setting. Did you mean 'runtime.threads', at the top of the file?"),
        ("learning_rate: 2", "4:9: prepare.d.learning_rate: unknown setting. 'learning_rate' is a setting of 'pretrain' and "
         "of 'finetune'."),
        ("max_chars: 2", "4:9: prepare.d.max_chars: unknown setting. 'max_chars' is a setting of the filter 'length': "
         "filters: [{type: length, max_chars: ...}]."),
        ("qqq: 2", "4:9: prepare.d.qqq: unknown setting. Known here: sources, filters, by_name, split, columns, is_new, "
         "limit, wait, names, low, high."),
    ],
)  # fmt: skip
def test_a_fault_in_a_dataset_is_said_where_it_is(tmp_path, inside, message):
    assert problems(tmp_path, f"{HEAD}prepare:\n  d: {{  {inside}}}\n") == [f"c.yaml:{message}"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("micro_batch_size", "per_device_batch_tokens'? It counts tokens, not texts."),
        ("per_device_train_batch_size", "per_device_batch_tokens'? It counts tokens, not texts."),
        ("cutoff_len", "max_seq_length'?"),
        ("sequence_len", "max_seq_length'?"),
        ("block_size", "max_seq_length'?"),
        ("max-seq-length", "max_seq_length'?"),
        ("warmup_steps", "warmup_ratio'? It is a share of all steps, such as 5%."),
        ("optimizer", "optim'?"),
        ("scheduler", "lr_scheduler_type'?"),
        ("fp16", "precision'?"),
        ("bf16", "precision'?"),
        ("save_steps", "save_every'?"),
        ("eval_interval", "eval_every'?"),
        ("gradient_accumulation", "gradient_accumulation_steps'?"),
        ("clip_grad_norm", "max_grad_norm'?"),
        ("random_state", "seed'?"),
        ("base_model", "model'?"),
        ("output", "output_dir' at the top of the file, outside 'pretrain'?"),
    ],
)
def test_another_tools_key_is_answered_with_ours(tmp_path, theirs, ours):
    text = f"{HEAD}{TRAIN}  model: {{architecture: bert}}\n  {theirs}: 1\n"

    assert problems(tmp_path, text) == [f"c.yaml:8:3: pretrain.{theirs}: unknown setting. Did you mean '{ours}"]


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        ("sample_packing", "Batches are always packed with whole texts, without padding. Remove it"),
        ("train_on_inputs", "Only answers are learned; `bmtool inspect FOLDER --mask` shows which tokens. Remove it"),
        ("resume_from_checkpoint", "The same command goes on where it was stopped; `--force` begins anew. Remove it"),
        ("load-in-4bit", "Weights are trained in bfloat16 or float32 only. Remove it"),
    ],
)
@pytest.mark.parametrize("place", ["pretrain", ""])
def test_another_tools_key_for_what_is_no_setting_is_answered_with_why(tmp_path, place, theirs, why):
    inside = f"  {theirs}: 1\n" if place else f"{theirs}: 1\n"
    text = f"{HEAD}{TRAIN}  model: {{architecture: bert}}\n{inside}"

    said = problems(tmp_path, text)

    assert said == [f"c.yaml:8:{3 if place else 1}: {place}{'.' if place else ''}{theirs}: unknown setting. {why}"]


def test_a_required_setting_under_another_name_is_one_problem(tmp_path):
    text = HEAD + "pretrain:\n  dataset: d\n  lr: 1\n  epochs: 2\n"

    assert problems(tmp_path, text) == [
        "c.yaml:4:3: pretrain.dataset: unknown setting. Did you mean 'data'?",
        "c.yaml:5:3: pretrain.lr: unknown setting. Did you mean 'learning_rate'?",
        "c.yaml:6:3: pretrain.epochs: unknown setting. Did you mean 'num_train_epochs'?",
    ]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "lr_scheduler_type: warmup_stable_decay",
            "lr_scheduler_type: expected wsd, cosine, linear or constant, got 'warmup_stable_decay'. Did you mean 'wsd'?",
        ),
        ("optim: adamw_torch", "optim: expected adamw or muon, got 'adamw_torch'. Did you mean 'adamw'?"),
        ("precision: float16", "precision: expected auto, bf16 or fp32, got 'float16'. Did you mean 'bf16'?"),
        ("metric: f1", "metric: unknown metric 'f1'. Did you mean 'f1_macro'?"),
        ("save_every: 500", "save_every: expected a duration such as 10m, or a number of steps such as '500 steps', got 500"),
        ("eval_every: 10m", "eval_every: expected a number of steps such as '500 steps', got '10m'"),
        ("max_tokens: 4M", "max_steps: set exactly one of max_tokens, max_steps, num_train_epochs; got max_tokens and "
         "max_steps"),
        ("per_device_batch_tokens: 100", "per_device_batch_tokens: must hold at least one text of max_seq_length (128) "
         "tokens, got 100"),
        ("max_seq_length: 4", "max_seq_length: must be at least 8, got 4"),
    ],
)  # fmt: skip
def test_a_wrong_value_of_training_is_explained(tmp_path, setting, message):
    line = 6 if message.startswith("max_steps") else 7

    assert problems(tmp_path, f"{HEAD}{TRAIN}  {setting}\n") == [f"c.yaml:{line}:3: pretrain.{message}"]


def test_a_setting_without_effect_is_an_error(tmp_path):
    text = f"{HEAD}{TRAIN}  lr_scheduler_type: cosine\n  decay_ratio: 0.1\n"

    assert problems(tmp_path, text) == [
        "c.yaml:8:3: pretrain.decay_ratio: has an effect only with lr_scheduler_type wsd, not with cosine. Remove it, or "
        "set it to null"
    ]


def test_null_means_not_given(tmp_path):
    text = f"{HEAD}{TRAIN}  max_tokens: null\n  decay_ratio: ~\n  lr_scheduler_type: cosine\n"

    assert problems(tmp_path, text) == []


def test_a_required_setting_without_a_value_is_named_at_its_line(tmp_path):
    text = HEAD + TRAIN.replace("data: d", "data:")

    assert problems(tmp_path, text) == ["c.yaml:4:3: pretrain.data: required setting has no value"]


def test_a_missing_setting_names_the_line_of_its_section(tmp_path):
    assert problems(tmp_path, "name: x\npretrain:\n  max_steps: 1\n") == [
        "c.yaml:1:1: version: required setting is missing",
        "c.yaml:2:1: pretrain.data: required setting is missing",
    ]


def test_faults_that_hide_behind_others_are_shown_too(tmp_path):
    text = HEAD + "pretrian:\n  data: d\n  learning_rate: x\n  max_stps: 1\nprepare:\n  d:\n    low: 5\n    lowe: 3\n"

    assert problems(tmp_path, text) == [
        "c.yaml:3:1: pretrian: unknown setting. Did you mean 'pretrain'?",
        "c.yaml:5:3: pretrian.learning_rate: expected a number, got 'x'",
        "c.yaml:6:3: pretrian.max_stps: unknown setting. Did you mean 'max_steps'?",
        "c.yaml:9:5: prepare.d.low: low (5) is more than high (1)",
        "c.yaml:10:5: prepare.d.lowe: unknown setting. Did you mean 'low'?",
    ]


def test_a_dataset_without_a_name_is_one_problem(tmp_path):
    text = HEAD + "prepare:\n  sources: a.csv\n  columns: {text: body}\n"

    assert problems(tmp_path, text) == [
        "c.yaml:4:3: prepare.sources: 'sources' is a setting of a dataset: put the dataset's name above it, such as "
        "'corpus:'",
        "c.yaml:5:3: prepare.columns: 'columns' is a setting of a dataset: put the dataset's name above it, such as "
        "'corpus:'",
    ]


def test_a_place_that_was_refused_is_not_blamed_twice(tmp_path):
    text = f"{HEAD}{TRAIN}  seed: !!str 5\n  max_grad_norm: *x\n"

    assert [line.partition(" ")[0] for line in problems(tmp_path, text)] == ["c.yaml:7:9:", "c.yaml:8:18:"]


def test_no_message_speaks_pydantic(tmp_path):
    lines = problems(
        tmp_path, f"{HEAD}prepare: [1]\npretrain: {{data: {{}}, max_steps: [], optim: 3, save_every: {{}}}}\n"
    )

    assert len(lines) >= 5
    assert not [line for line in lines if "Input" in line or "instance" in line or "valid " in line]

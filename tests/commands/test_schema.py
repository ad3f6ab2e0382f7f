"""`bmtool schema`: what it accepts is what `check` accepts by structure, and what it refuses `check` refuses."""

import json
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
from bmtool.commands.list_ import example_of
from bmtool.commands.schema import schema
from bmtool.config.model import ValidationError, validate
from bmtool.config.shape import members
from bmtool.config.yaml import read_file
from bmtool.errors import ConfigError
from bmtool.registry import KINDS
from bmtool.runner.pipeline import load_pipeline
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parent.parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    pytest.param(text, id=f"{path.name} {number}")
    for path in DOCS
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL))
]
COMPONENTS = [pytest.param(kind, name, id=f"{kind.name} {name}") for kind in KINDS for name in kind.names()]

WHOLE = """\
version: 1
name: reviews
prepare:
  corpus: {sources: a.jsonl, filters: [{type: length, min_chars: 5}], tokenizer: {type: bpe, mask: true}}
  stars: {task: text_classification, sources: [a.csv, {type: csv, path: b.txt}], split: {validation: 10%, test: 0.1}}
pretrain: {data: corpus, model: {architecture: bert, size: tiny}, objective: mlm, max_tokens: 4M, save_every: 10m}
finetune: {data: stars, num_train_epochs: 2, report_to: tensorboard, method: {type: frozen}}
evaluate: {baselines: [majority], gates: [{metric: accuracy, min: 0.5}]}
export: {formats: [onnx]}
"""


@pytest.fixture(scope="module")
def document():
    """What the command prints."""
    program = "from bmtool.commands.schema import schema; schema()"
    return json.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)


@pytest.fixture(scope="module")
def validator(document):
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def plain(folder, text):
    """The values of a file, read as bmtool reads them."""
    (folder / "file.yaml").write_text(text, encoding="utf-8")
    return read_file(folder / "file.yaml").root.plain()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configs_are_valid(validator, path):
    assert not list(validator.iter_errors(read_file(path).root.plain()))


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_of_the_documentation_are_valid(validator, tmp_path, text):
    head = "" if "version:" in text else "version: 1\nname: x\n"

    assert not list(validator.iter_errors(plain(tmp_path, head + text)))


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_the_example_of_each_component_is_valid_and_a_setting_that_it_lacks_is_not(validator, tmp_path, kind, name):
    example = example_of(kind, name)

    value = plain(tmp_path, f"version: 1\nname: x\n{example}\n")
    wrong = plain(tmp_path, f"version: 1\nname: x\n{example.replace(name, 'no_such_thing')}\n")

    assert not [error for error in validator.iter_errors(value) if error.validator != "required"]
    assert [error for error in validator.iter_errors(wrong) if error.validator != "required"]


def test_every_default_may_stand_in_the_file(document, validator):
    def properties(node):
        if isinstance(node, dict):
            yield from (member for member in node.get("properties", {}).values() if "default" in member)
            for member in node.values():
                yield from properties(member)
        elif isinstance(node, list):
            for member in node:
                yield from properties(member)

    found = list(properties(document))

    assert len(found) > 200
    for member in found:
        assert not list(validator.evolve(schema=member).iter_errors(member["default"])), member


def test_every_setting_and_component_is_described(document):
    for name, definition in document["$defs"].items():
        assert definition.get("description") or "anyOf" in definition, name
        for key, member in definition.get("properties", {}).items():
            assert member["description"], (name, key)
        for member in definition.get("anyOf", ()):
            assert "const" not in member or member["description"], (name, member)


def test_a_whole_file_is_valid_for_both(validator, tmp_path):
    value = plain(tmp_path, WHOLE)

    load_pipeline(tmp_path / "file.yaml")
    assert not list(validator.iter_errors(value))


WRONG = {
    "an unknown key at the top": ("name: reviews", "name: reviews\nnaem: x"),
    "an unknown key of a section": ("max_tokens: 4M", "max_tokens: 4M, lr: 1"),
    "an unknown key further in": ("test: 0.1", "test: 0.1, tset: 0.1"),
    "a missing setting": ("data: corpus, ", ""),
    "a missing section's content": ("export: {formats: [onnx]}", "export:"),
    "a number in quotes": ("num_train_epochs: 2", "num_train_epochs: '2'"),
    "text for a number": ("min: 0.5", "min: half"),
    "a number beyond its limit": ("test: 0.1", "test: 1.1"),
    "another unit": ("max_tokens: 4M", "max_tokens: 4T"),
    "a duration without a unit": ("save_every: 10m", "save_every: 10"),
    "a list for a text": ("data: stars", "data: stars, metric_for_best_model: [accuracy]"),
    "a word that is none of the choices": ("size: tiny", "size: giant"),
    "an unknown component": ("type: length", "type: lenght"),
    "an unknown component by its name alone": ("baselines: [majority]", "baselines: [majorty]"),
    "an unknown setting of a component": ("min_chars: 5", "min_char: 5"),
    "a wrong type in a component": ("min_chars: 5", "min_chars: five"),
    "a component without its name": ("{type: length, min_chars: 5}", "{min_chars: 5}"),
    "a component that lacks a setting": ("{type: length, min_chars: 5}", "language"),
    "an unknown metric": ("metric: accuracy", "metric: acuracy"),
    "an unknown metric that chooses": ("data: stars", "data: stars, metric_for_best_model: acuracy"),
    "a source without a known ending": ("sources: a.jsonl", "sources: a.json"),
    "a dataset's name in capitals": ("  stars:", "  Stars:"),
    "a reference that is neither a name nor a path": ("data: corpus", "data: 'corpus of mine'"),
    "another version": ("version: 1", "version: 2"),
}


@pytest.mark.parametrize(("right", "wrong"), WRONG.values(), ids=WRONG)
def test_what_check_refuses_by_structure_is_refused(validator, tmp_path, right, wrong):
    assert right in WHOLE
    value = plain(tmp_path, WHOLE.replace(right, wrong, 1))

    with pytest.raises(ConfigError):
        load_pipeline(tmp_path / "file.yaml")
    assert list(validator.iter_errors(value))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("max_tokens: 4M", "max_tokens: 4000000"),
        ("save_every: 10m", "save_every: 500 steps"),
        ("validation: 10%", "validation: 0.1"),
        ("sources: a.jsonl", "sources: {path: [a.CSV.gz, b.csv], delimiter: ';'}"),
        ("sources: a.jsonl", "sources: docstrings"),
        ("tokenizer: {type: bpe, mask: true}", "tokenizer: {from: models/x/, add_tokens: 500}"),
        ("baselines: [majority]", "baselines: []\n  seed: null"),
        ("data: stars", "data: stars, per_device_batch_tokens: auto, global_batch_tokens: 64k, from: hf:org/name@main"),
        ("data: stars", "data: stars, metric_for_best_model: accuracy"),
    ],
)
def test_other_ways_to_write_a_setting_are_valid(validator, tmp_path, one, other):
    text = WHOLE.replace("evaluate: {baselines: [majority], gates: [{metric: accuracy, min: 0.5}]}",
                         "evaluate:\n  baselines: [majority]")  # fmt: skip
    assert one in text

    value = plain(tmp_path, text.replace(one, other, 1))

    load_pipeline(tmp_path / "file.yaml")
    assert not list(validator.iter_errors(value))


VALUES = [
    0,
    1,
    -1,
    0.5,
    "4M",
    "10%",
    "10m",
    "5 steps",
    "auto",
    "x",
    "a/b",
    True,
    [],
    ["a"],
    ["a", "b"],
    {},
    {"a": "b"},
    None,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_setting_of_a_component_is_refused_that_the_component_takes(document, kind):
    for name in kind.names():
        definition = document["$defs"].get(f"{kind.name}.{name}", {"properties": {}})
        for key, member in definition["properties"].items():
            judge = Draft202012Validator({"$defs": document["$defs"], **member})
            for value in VALUES if key in members(kind.load(name)) else ():
                if not judge.is_valid(value):
                    assert is_refused(kind.load(name), key, value), (name, key, value)


def is_refused(component, key, value):
    """Whether this value is wrong by itself, whatever the other settings are."""
    try:
        validate(component, {} if value is None else {key: value})
    except ValidationError as error:
        return any(problem["loc"][:1] == (key,) for problem in error.errors())
    return False


def test_a_file_that_extends_another_needs_nothing_of_its_own(validator, tmp_path):
    short = {"extends": "base.yaml", "pretrain": {"max_steps": 5}}

    alone = deepcopy(short)
    del alone["extends"]

    assert not list(validator.iter_errors(short))
    assert {error.message for error in validator.iter_errors(alone)} >= {"'version' is a required property"}


def test_the_schema_imports_nothing_heavy(capsys):
    program = (
        "import sys, io; sys.stdout, out = io.StringIO(), sys.stdout\n"
        "from bmtool.cli import app\n"
        "try: app(['schema'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'pyarrow', 'numpy') if m in sys.modules], file=out)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout.splitlines() == ["[]"], done.stderr
    assert schema() == 0
    assert json.loads(capsys.readouterr().out)["$schema"].endswith("2020-12/schema")

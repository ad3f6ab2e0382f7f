"""Extras are those of pyproject.toml, and a configuration tells which of them it needs."""

import tomllib
from pathlib import Path

from bmtool.commands.check import extras_of
from bmtool.config.extras import EXTRAS
from bmtool.registry import KINDS
from bmtool.runner.pipeline import load_pipeline

ROOT = Path(__file__).parent.parent.parent

FILE = """\
version: 1
name: x
prepare:
  corpus: {sources: a.html, filters: [{type: language, keep: [en]}, {type: language, keep: [de]}]}
pretrain: {data: corpus, model: bert, objective: mlm, max_steps: 5, report_to: [tensorboard]}
export: {formats: [onnx], data: ./d/}
"""


def test_the_extras_are_those_of_the_package():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]

    assert EXTRAS.keys() == declared.keys() - {"dev"}
    for extra in EXTRAS.values():
        assert len(extra.modules) == len(declared[extra.name])


def test_a_file_needs_the_extras_of_its_components(tmp_path):
    (tmp_path / "file.yaml").write_text(FILE)

    found = extras_of(load_pipeline(tmp_path / "file.yaml"))

    assert found == {
        "html": ["html"], "language": ["language"], "tensorboard": ["tensorboard"], "onnx": ["onnx"]
    }  # fmt: skip


def test_what_a_component_needs_is_an_extra_that_there_is():
    for kind in KINDS:
        for name in kind.names():
            component = kind.load(name)
            needed = component.extras(component.model_construct())
            assert set(needed) <= EXTRAS.keys()


def test_a_missing_module_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnx" else object())

    assert EXTRAS["onnx"].missing() == ["onnx"]
    assert EXTRAS["lora"].missing() == []

"""Files that extend each other, and `--set` on top."""

# ruff: noqa: ISC004  # whole messages stand beside what causes them
from typing import Annotated

import pytest
from bmtool.config.compose import compose
from bmtool.config.model import HOW, Settings, chosen
from bmtool.config.references import Ref
from bmtool.config.shared import Head, Training
from bmtool.config.yaml import read_file
from bmtool.errors import ConfigError
from bmtool.registry import FILTERS, OBJECTIVES, TASKS


class Corpus(Settings):
    sources: str | list[str] = "x"
    task: chosen(TASKS) | None = None
    filters: tuple[chosen(FILTERS), ...] = ()
    columns: dict[str, str] = {}


class Train(Training):
    data: Annotated[Ref, HOW]
    objective: chosen(OBJECTIVES) | None = None


class File(Head):
    prepare: dict[str, Corpus] = {}
    pretrain: Train | None = None


BASE = """\
version: 1
name: base
prepare:
  corpus:
    sources: [a.csv, b.csv]
    filters: [{type: length, min_chars: 5}, length]
pretrain:
  data: corpus
  objective: {type: mlm, mlm_probability: 0.3}
  learning_rate: 1e-3
  max_tokens: 4M
"""


@pytest.fixture
def composed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text(BASE)

    def build(text, *overrides):
        (tmp_path / "c.yaml").write_text(text)
        return compose(tmp_path.joinpath("c.yaml").relative_to(tmp_path), overrides, File)

    return build


def test_mappings_merge_and_lists_replace(composed):
    document = composed(
        "extends: base.yaml\nname: mine\nprepare:\n  corpus: {sources: [c.csv]}\n  other: {sources: d.csv}\n"
    )

    value = document.root.plain()
    assert value["name"] == "mine"
    assert value["prepare"]["corpus"]["sources"] == ["c.csv"]
    assert value["prepare"]["corpus"]["filters"] == [{"type": "length", "min_chars": 5}, "length"]
    assert list(value["prepare"]) == ["corpus", "other"]
    assert value["pretrain"]["learning_rate"] == 0.001


def test_a_value_keeps_the_place_in_the_file_that_it_comes_from(composed):
    document = composed("extends: base.yaml\npretrain:\n  learning_rate: 5\n")

    assert str(document.root.place_of(("pretrain", "learning_rate"))) == "c.yaml:3:3"
    assert str(document.root.place_of(("pretrain", "max_tokens"))) == "base.yaml:11:3"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("mlm", {"type": "mlm", "mlm_probability": 0.3}),
        ("{mlm_probability: 0.4}", {"type": "mlm", "mlm_probability": 0.4}),
        ("{type: mlm}", {"type": "mlm", "mlm_probability": 0.3}),
        ("clm", "clm"),
        ("{type: clm}", {"type": "clm"}),
    ],
)
def test_a_component_is_merged_into_the_same_one_and_replaces_another(composed, written, expected):
    document = composed(f"extends: base.yaml\npretrain:\n  objective: {written}\n")

    assert document.root.plain()["pretrain"]["objective"] == expected


def test_an_extending_file_replaces_the_key_that_its_own_excludes(composed):
    document = composed("extends: base.yaml\npretrain: {max_steps: 5}\n")

    assert "max_tokens" not in document.root.plain()["pretrain"]
    assert document.root.plain()["pretrain"]["max_steps"] == 5


def test_extends_is_relative_to_the_file_and_reads_variables(tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "base.yaml").write_text("name: deep\n")
    (tmp_path / "shared" / "middle.yaml").write_text("extends: base.yaml\nseed: 1\n")
    (tmp_path / "c.yaml").write_text("extends: ${WHERE}/middle.yaml\nversion: 1\n")
    monkeypatch.setenv("WHERE", "shared")

    document = compose(tmp_path / "c.yaml", [], File)

    assert document.root.plain() | {"extends": ""} == {"name": "deep", "extends": "", "seed": 1, "version": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: c.yaml\n", "c.yaml:1:1: extends: a circle: c.yaml -> c.yaml"),
        ("version: 1\nextends: gone.yaml\n", "c.yaml:2:1: extends: there is no file gone.yaml"),
        ("extends: [a, b]\n", "c.yaml:1:1: extends: expected the path of one file"),
        (
            "extends: ${NOT_THERE}/b.yaml\n",
            "c.yaml:1:1: extends: the environment variable 'NOT_THERE' isn't set; '${NOT_THERE}/b.yaml' needs it.",
        ),
    ],
)
def test_a_wrong_extends_is_an_error_at_its_line(composed, text, message):
    with pytest.raises(ConfigError) as error:
        composed(text)

    assert str(error.value).startswith(message)


def test_a_circle_names_the_whole_chain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, base in (("a", "b"), ("b", "d"), ("d", "b")):
        (tmp_path / f"{name}.yaml").write_text(f"extends: {base}.yaml\n")

    with pytest.raises(ConfigError) as error:
        compose(tmp_path.joinpath("a.yaml").relative_to(tmp_path), [], File)

    assert str(error.value) == "d.yaml:1:1: extends: a circle: b.yaml -> d.yaml -> b.yaml"


@pytest.mark.parametrize(
    ("override", "path", "expected"),
    [
        ("pretrain.learning_rate=1e-4", ("pretrain", "learning_rate"), 0.0001),
        ("pretrain.max_steps=50", ("pretrain", "max_steps"), 50),
        ("prepare.corpus.filters[0].min_chars=7", ("prepare", "corpus", "filters", 0, "min_chars"), 7),
        (
            "prepare.corpus.filters.1.min_chars=7",
            ("prepare", "corpus", "filters", 1),
            {"type": "length", "min_chars": 7},
        ),
        ("prepare.corpus.sources=[x.csv, y.csv]", ("prepare", "corpus", "sources"), ["x.csv", "y.csv"]),
        ("pretrain.objective={mlm_probability: 0.2}", ("pretrain", "objective", "mlm_probability"), 0.2),
        ("pretrain.objective.mlm_probability=0.2", ("pretrain", "objective"), {"type": "mlm", "mlm_probability": 0.2}),
        ("pretrain.objective.type=clm", ("pretrain", "objective"), {"type": "clm"}),
        ("prepare.corpus.task=text_classification", ("prepare", "corpus", "task"), "text_classification"),
        ("runtime.threads=2", ("runtime", "threads"), 2),
        ("name=no", ("name",), "no"),
    ],
)
def test_set_lays_one_value_over_the_file(composed, override, path, expected):
    document = composed("extends: base.yaml\n", override)

    value = document.root.plain()
    for key in path:
        value = value[key]
    assert value == expected
    assert document.problems == []


def test_set_of_one_budget_replaces_the_other(composed):
    document = composed("extends: base.yaml\n", "pretrain.max_steps=50")

    assert "max_tokens" not in document.root.plain()["pretrain"]


def test_a_later_set_replaces_an_earlier_one(composed):
    document = composed(
        "extends: base.yaml\n", "pretrain.max_steps=50", "pretrain.num_train_epochs=1", "seed=1", "seed=2"
    )

    assert document.root.plain()["pretrain"].keys() & {"max_steps", "max_tokens"} == set()
    assert document.root.plain()["seed"] == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set seed: expected KEY=VALUE, such as --set pretrain.max_steps=50"),
        ("=3", "--set =3: expected KEY=VALUE, such as --set pretrain.max_steps=50"),
        ("a..b=3", "--set a..b=3: expected KEY=VALUE, such as --set pretrain.max_steps=50"),
        ("extends=x.yaml", "--set extends=x.yaml: 'extends' belongs into the file"),
        ("seed=[1", "--set seed=[1: '[' is opened here and not closed, or a comma is missing"),
        ("pretrain.data.x=1", "--set pretrain.data.x=1: 'pretrain.data' is no mapping: nothing can be set inside it"),
        (
            "prepare.corpsu.sources=x",
            "--set prepare.corpsu.sources=x: there is no 'corpsu' under 'prepare'. Did you mean 'corpus'?",
        ),
        (
            "prepare.corpus.filters[2].min_chars=1",
            "--set prepare.corpus.filters[2].min_chars=1: 'prepare.corpus.filters' is a list (0 to 1): give a place in "
            "it, such as prepare.corpus.filters[0]",
        ),
    ],
)
def test_a_wrong_set_names_itself(composed, override, message):
    document = composed("extends: base.yaml\n", override)

    with pytest.raises(ConfigError) as error:
        document.raise_problems()

    assert str(error.value) == message


def test_a_plain_file_is_what_it_says(composed, tmp_path):
    document = composed(BASE)

    assert document.root.plain() == read_file(tmp_path / "c.yaml").root.plain()

"""`bmtool list`: every registered component can be shown, and its example is read back."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from bmtool.commands.list_ import NAMING_KEYS, PLACES, example_of, list_
from bmtool.config.describe import describe, flow
from bmtool.config.model import Choose, Settings, validate
from bmtool.config.references import STAGES
from bmtool.config.shape import settings_at
from bmtool.config.shared import Training
from bmtool.data.passes.presets import PRESETS
from bmtool.errors import ConfigError
from bmtool.registry import DEDUPLICATORS, KINDS
from bmtool.runner.pipeline import file_model, stage_modules

ALL = [(kind, name) for kind in KINDS for name in kind.names()]


def component_in(kind, text):
    """The component in an example: the innermost value behind the last key of its kind's place."""
    value = yaml.safe_load(text)
    while True:
        if isinstance(value, list):
            value = value[0]
        elif isinstance(value, dict) and not {NAMING_KEYS.get(kind.name, "type"), "metric"} & value.keys():
            value = next(iter(value.values()))
        else:
            return value["metric"] if kind.name == "metric" else value


@pytest.mark.parametrize(("kind", "name"), ALL, ids=[f"{kind.name}-{name}" for kind, name in ALL])
def test_the_example_of_a_component_is_read_back_as_that_component(kind, name):
    written = component_in(kind, example_of(kind, name))

    component = Choose(kind, NAMING_KEYS.get(kind.name, "type"))(written)

    assert component.name() == name


@pytest.mark.parametrize(("kind", "name"), ALL, ids=[f"{kind.name}-{name}" for kind, name in ALL])
def test_a_component_shows_its_summary_and_all_its_settings(capsys, kind, name):
    list_(kind.plural, name, as_json=False)

    text = capsys.readouterr().out
    assert text.startswith(f"{name} ({kind.name}): ")
    assert kind.summary(name)
    hidden = {"labels"} if kind.name == "task" and not kind.load(name)().has_labels else set()
    for described in describe(kind.load(name)):  # settings that have settings are shown one by one
        is_shown = re.search(rf"^  {described.name}[ .]", text, re.MULTILINE) is not None
        assert is_shown == (described.name not in hidden)


@pytest.mark.parametrize("kind", PLACES)
def test_the_place_of_an_example_is_one_that_the_file_knows(kind):
    model = file_model({stage: module.Config for stage, module in stage_modules().items()})
    value = yaml.safe_load(PLACES[kind].format("x"))
    (section, inside), *_ = value.items()
    if section == "prepare":
        inside = next(iter(inside.values()))
        settings = stage_modules()["prepare"].Config
    else:
        settings = settings_at(model.model_fields[section].annotation, inside)

    assert next(iter(inside)) in settings.model_fields


@pytest.mark.parametrize(("task", "has_labels"), [("translation", False), ("token_classification", True)])
def test_only_a_task_with_labels_shows_their_order(capsys, task, has_labels):
    list_("tasks", task, as_json=True)

    settings = json.loads(capsys.readouterr().out)["results"][0]["settings"]
    assert ("labels" in {setting["name"] for setting in settings}) == has_labels


def test_without_a_kind_every_component_is_named_with_its_summary(capsys):
    list_(as_json=False)

    text = capsys.readouterr().out
    for kind, name in ALL:
        assert f"  {name}" in text
        assert kind.summary(name) in text


@pytest.mark.parametrize("word", ["deduplicator", "deduplicators"])
def test_a_kind_may_be_singular_or_plural(capsys, word):
    list_(word, as_json=False)

    shown = [f"  {name:5}  {DEDUPLICATORS.summary(name)}" for name in ("exact", "near")]
    assert capsys.readouterr().out == "\n".join(["deduplicators", *shown, ""])


def test_a_filter_is_shown_with_types_defaults_and_an_example(capsys):
    list_("filters", "length", as_json=False)

    assert capsys.readouterr().out == (
        "length (filter): Keep documents of `min_chars` to `max_chars` characters (not bytes), both included.\n\n"
        "Lines can be limited too: long ones are data or minified programs "
        "(StarCoder drops files with a line of more than\n"
        "1,000 characters, or 100 in the mean: Li et al. 2023, https://arxiv.org/abs/2305.06161).\n\n"
        "  min_chars            a whole number above 0; default 200\n"
        "  max_chars            a whole number above 0; default 100000\n"
        "  max_line_chars       a whole number above 0. Of the longest line.\n"
        "  max_mean_line_chars  a whole number above 0. Characters by lines, line breaks included.\n\n"
        "example\n"
        "  prepare:\n"
        "    corpus:\n"
        "      filters: [{type: length, min_chars: 200, max_chars: 100000}]\n"
    )


def test_a_task_shows_the_columns_it_reads(capsys):
    list_("tasks", "token_classification", as_json=False)

    assert "reads columns: words, tags\n" in capsys.readouterr().out


@pytest.mark.parametrize("section", [*STAGES, "head"])
def test_a_section_shows_its_settings(capsys, section):
    list_(section, as_json=False)

    text = capsys.readouterr().out
    assert text.startswith(f"{section}: ")
    if section in ("pretrain", "finetune"):
        for name in Training.model_fields:
            assert f"  {name} " in text


def test_json_holds_settings_as_data(capsys):
    list_("filters", "length", as_json=True)

    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["kind"], result["name"]) == ("filter", "length")
    assert result["settings"][0] == {
        "name": "min_chars", "expects": "a whole number above 0", "default": "200", "text": ""
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("filtres",), "there is no kind 'filtres'. Did you mean 'filters'? Known: "),
        (("filters", "lenght"), "unknown filter 'lenght'. Did you mean 'length'? Known: blocklist, c4"),
    ],
)
def test_an_unknown_word_is_answered_with_the_known_ones(words, message):
    with pytest.raises(ConfigError) as error:
        list_(*words, as_json=False)

    assert str(error.value).startswith(message)


def test_listing_loads_no_component_and_nothing_heavy():
    program = (
        "import sys; from bmtool.commands.list_ import list_; list_(as_json=True); list_('filters', as_json=True);"
        "print([m for m in sys.modules if m in ('torch', 'transformers', 'datasets', 'pyarrow', 'numpy')"
        " or m.startswith('bmtool.filters.')])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_setting_is_described_by_its_type_and_its_docstring():
    class Example(Settings):
        """One of each."""

        a: int = 3
        """What it is,
        on two lines."""
        b: tuple[str, ...] | None = None
        c: dict[str, str] = {}
        d: bool

    assert [(d.name, d.expects, d.default, d.text) for d in describe(Example)] == [
        ("a", "a whole number", "3", "What it is, on two lines."),
        ("b", "a list of text", "null", ""),
        ("c", "a mapping", "{}", ""),
        ("d", "true or false", "", ""),
    ]


def test_a_default_is_written_as_yaml():
    assert [flow(v) for v in (0.0001, None, True, "a: b", ("x", 1))] == ["0.0001", "null", "true", "'a: b'", "[x, 1]"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_printed_as_a_file_that_means_the_same(capsys, name):
    list_("presets", name, as_json=False)

    text = capsys.readouterr().out
    written = yaml.safe_load(text[text.index("prepare:") : text.index("A list of your own")])["prepare"]["corpus"]
    config = stage_modules()["prepare"].Config
    assert validate(config, {"sources": "x.jsonl", **written}) == validate(
        config, {"sources": "x.jsonl", "preset": name}
    ).model_copy(update={"preset": None})
    assert "# one form for one character" in text or name == "code"


def test_presets_are_named_where_someone_looks_for_them(capsys):
    list_(as_json=False)
    everything = capsys.readouterr().out
    list_("presets", as_json=True)
    document = json.loads(capsys.readouterr().out)
    with pytest.raises(ConfigError) as error:
        list_("presets", "wep", as_json=False)

    assert "bmtool list presets" in everything
    assert [one["name"] for one in document["results"]] == ["web", "docs", "code"]
    assert document["results"][0]["clean"] == ["unicode", "boilerplate", "whitespace"]
    assert str(error.value) == "unknown preset 'wep'. Did you mean 'web'? Known: web, docs, code"

"""Every registered component keeps the house rules; a new one is tested because it exists."""

import ast
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from bmtool.config.model import Component, Settings
from bmtool.contracts import (
    Architecture,
    Baseline,
    Cleaner,
    Deduplicator,
    Exporter,
    Filter,
    HeadTask,
    Method,
    Metric,
    Objective,
    Reporter,
    Scrubber,
    Source,
    Task,
    TokenizerTrainer,
)
from bmtool.contracts.kinds import INPUTS
from bmtool.contracts.kinds import KINDS as COLUMN_KINDS
from bmtool.registry import ARCHITECTURES, KINDS, METRICS, OBJECTIVES, TASKS

BASES = {
    "source": Source,
    "cleaner": Cleaner,
    "filter": Filter,
    "scrubber": Scrubber,
    "deduplicator": Deduplicator,
    "tokenizer": TokenizerTrainer,
    "architecture": Architecture,
    "objective": Objective,
    "task": Task,
    "metric": Metric,
    "baseline": Baseline,
    "exporter": Exporter,
    "reporter": Reporter,
    "method": Method,
}

COMPONENTS = [pytest.param(kind, name, id=f"{kind.name} {name}") for kind in KINDS for name in kind.names()]

#: Packages that take long to import; a component's file loads them inside its verbs.
HEAVY = ("torch", "transformers", "datasets", "pyarrow", "numpy", "sklearn", "tokenizers", "onnx", "onnxruntime")


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_its_class_is_named_after_its_file_and_belongs_to_its_kind(kind, name):
    component = kind.load(name)

    assert issubclass(component, BASES[kind.name])
    assert component.name() == name
    assert component.__name__.lower() == name.replace("_", "")
    assert not getattr(component, "__abstractmethods__", None)


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_its_summary_is_one_sentence_of_one_line(kind, name):
    summary = kind.summary(name)

    assert summary.endswith((".", ")."))
    assert 20 <= len(summary) <= 120
    assert summary[0].isupper()


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_its_class_and_its_verbs_are_documented(kind, name):
    component = kind.load(name)
    own = [value for key, value in vars(component).items() if callable(value) and not key.startswith("_")]

    assert component.__doc__
    assert component.__doc__.strip().split("\n")[0].rstrip().endswith((".", ":"))
    assert all(verb.__doc__ for verb in own if verb.__module__ == component.__module__)


def body_of(component):
    """The statements of a class, from its source."""
    tree = ast.parse(Path(sys.modules[component.__module__].__file__).read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == component.__name__).body


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_its_settings_have_a_default_or_are_documented(kind, name):
    component = kind.load(name)
    documented = {
        before.target.id
        for owner in component.__mro__
        if owner.__module__.startswith("bmtool.")
        for before, after in pairwise(body_of(owner))
        if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    }

    bare = [key for key, field in component.model_fields.items() if field.is_required() and key not in documented]

    assert not bare, f"{bare} must be given and nothing says what they are"


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_unknown_settings_are_refused(kind, name):
    assert issubclass(kind.load(name), Component)
    assert kind.load(name).model_config["extra"] == "forbid"
    assert kind.load(name).model_config["frozen"]
    assert issubclass(Component, Settings)


def test_all_components_load_without_any_heavy_package():
    program = (
        "import sys\n"
        "from bmtool.registry import KINDS\n"
        "for kind in KINDS:\n"
        "    for name in kind.names():\n"
        "        kind.load(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", TASKS.names())
def test_a_task_names_its_head_its_class_and_metrics_that_exist(name):
    task = TASKS.load(name)()

    assert not isinstance(task, HeadTask) or task.head in ("document", "token")
    assert task.auto_class == "AutoModel" or task.auto_class.startswith("AutoModelFor")
    assert set(task.metrics) <= set(METRICS.names())
    assert set(task.columns.values()) <= COLUMN_KINDS
    assert task.of_kind(*INPUTS)
    assert set(task.asked) < set(task.columns)  # what isn't asked is the answer


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_an_objective_names_its_class_and_metrics_that_exist(name):
    objective = OBJECTIVES.load(name)()

    assert objective.auto_class.startswith("AutoModelFor")
    assert set(objective.metrics) <= set(METRICS.names())


@pytest.mark.parametrize("name", TASKS.names())
def test_a_task_is_one_short_file(name):
    lines = (TASKS.folder / f"{name}.py").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 110


@pytest.mark.parametrize("name", ARCHITECTURES.names())
def test_an_architecture_has_the_layout_of_what_it_builds(name):
    from bmtool.models.families.family import family_for

    architecture = ARCHITECTURES.load(name)()
    config = architecture.config(vocab_size=64, max_seq_length=32, special_ids={"pad": 0, "bos": 1, "eos": 2})

    if getattr(config, "is_encoder_decoder", False):
        assert architecture.layout == "encoder-decoder"
    else:
        assert architecture.layout == ("decoder" if family_for(config).is_decoder else "encoder")

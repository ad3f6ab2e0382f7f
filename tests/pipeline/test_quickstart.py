"""The quickstart's promise: what it is tested on was never pre-trained on."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from project import bmtool

CONFIG = Path(__file__).parent.parent.parent / "configs/quickstart.yaml"
FEWER = "{type: docstrings, packages: [networkx, huggingface_hub]}"


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Both datasets of the quickstart, from two packages."""
    from bmtool.data.dataset import open_dataset

    folder = tmp_path_factory.mktemp("quickstart")
    sources = [f"prepare.corpus.sources={FEWER}", f"prepare.libraries.sources={FEWER}"]
    done = bmtool(folder, "prepare", str(CONFIG), "--set", sources[0], "--set", sources[1])
    assert done.returncode == 0, done.stderr
    return [open_dataset(folder / "runs/quickstart/prepare" / name) for name in ("corpus", "libraries")]


def files(split) -> set[str]:
    return set(split.column("file").to_pylist())


def test_no_test_file_is_in_the_train_split_of_the_corpus(datasets):
    corpus, libraries = datasets

    assert len(files(libraries["test"])) > 5
    assert files(libraries["test"]) <= files(corpus["test"])
    assert not files(libraries["test"]) & files(corpus["train"])
    assert not files(libraries["validation"]) & files(corpus["train"])


def test_a_library_has_sixteen_train_rows_and_at_most_150_test_rows(datasets):
    labels = datasets[1]["train"].column("label").to_pylist()
    tested = datasets[1]["test"].column("label").to_pylist()

    assert {labels.count(label) for label in set(labels)} == {16}
    assert max(tested.count(label) for label in set(tested)) <= 150


@pytest.mark.parametrize("name", ["networkx", "huggingface_hub", "hugging face"])
def test_no_text_names_its_library(datasets, name):
    texts = " ".join(datasets[1]["test"].column("text").to_pylist()).lower()

    assert len(texts) > 10_000
    assert f" {name} " not in texts

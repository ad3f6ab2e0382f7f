import sys
from pathlib import Path

import pytest
from bmtool.contracts import Rejected
from bmtool.data.readers.docstrings import _python_files, identities, installed, words_of
from bmtool.errors import DataError, MissingInputError
from bmtool.sources.docstrings import Docstrings

sys.path.insert(0, str(Path(__file__).parents[2]))
from reading import read_source

MODULE = '''"""About the module."""


class Zoo:
    """About a class."""

    if True:
        async def feed(self, animal, *food, often=2, **rest):
            """Feed the `animal` with food; often is how often.

            Raises:
                ValueError: rest.
            """

    def silent(self): ...


def first():
    """Comes after Zoo."""
    def inner(x):
        """Inside: x."""
'''


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """An environment of two distributions: `tidy` holds tidy/ and lone.py, `Other_Thing` holds thing/."""
    files = {
        "tidy/__init__.py": MODULE,
        "tidy/broken.py": "def f(:\n",
        "tidy/sub/latin.py": b'"""caf\xe9"""',
        "lone.py": '"""Alone in its file."""',
        "thing/__init__.py": '"""About the thing."""',
        "tidy/data.txt": "no code",
        "unlisted/__init__.py": '"""Nobody installed this."""',
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    install(tmp_path, "tidy-1.0", [name for name in files if name.startswith(("tidy", "lone"))] + ["../../bin/tidy.py"])
    install(tmp_path, "Other_Thing-2.1", ["thing/__init__.py", "thing/removed.py"])
    install(tmp_path, "bmtool_pipeline-0.1.0", ["bmtool/__init__.py"])
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def install(root, name, files):
    folder = root / f"{name}.dist-info"
    folder.mkdir()
    (folder / "RECORD").write_text("".join(f"{file},sha256=x,1\n" for file in files))


def read(names=None, kinds=None, mapping=None, tags=None):
    kinds = kinds or {"text": "text", "package": "extra", "kind": "extra", "file": "extra"}
    return read_source(Docstrings(packages=names and tuple(names), tags=tags), kinds, mapping)


def test_every_docstring_comes_in_the_order_of_distributions_files_and_lines(packages):
    rows, rejected = read(["thing", "lone", "tidy"])

    assert [(row["package"], row["kind"], row["text"].partition("\n")[0]) for row in rows] == [
        ("thing", "module", "About the thing."),
        ("lone", "module", "Alone in its file."),
        ("tidy", "module", "About the module."),
        ("tidy", "class", "About a class."),
        ("tidy", "function", "Feed the `animal` with food; often is how often."),
        ("tidy", "function", "Comes after Zoo."),
        ("tidy", "function", "Inside: x."),
    ]
    assert {row["file"] for row in rows} == {"lone.py", "thing/__init__.py", "tidy/__init__.py"}
    assert rejected == [
        Rejected("tidy/broken.py", 1, "a file that is no valid Python"),
        Rejected("tidy/sub/latin.py", 1, "a file that is no valid Python"),
    ]


def test_parameters_are_tagged_in_docstrings_of_functions_that_have_some(packages):
    kinds = {"words": "words", "tags": "tags", "file": "extra"}

    rows, _ = read(["tidy"], kinds, tags="parameters")

    assert [row["words"][:3] for row in rows] == [["Feed", "the", "`"], ["Inside", ":", "x"]]
    tagged = {word for row in rows for word, tag in zip(row["words"], row["tags"], strict=True) if tag == "B-PARAM"}
    assert tagged == {"animal", "food", "often", "rest", "x"}
    assert {tag for row in rows for tag in row["tags"]} == {"O", "B-PARAM"}


def test_words_are_split_at_punctuation_in_every_script():
    assert words_of("`x_1`: the 数据, né") == ["`", "x_1", "`", ":", "the", "数据", ",", "né"]


def test_what_is_installed_is_known_by_name_and_version(packages):
    assert [one.label for one in installed(None)] == ["Other_Thing 2.1", "tidy 1.0"]
    assert identities(["tidy"])[1:] == [("tidy 1.0", packages / "tidy-1.0.dist-info" / "RECORD")]
    names = [name for name, _ in identities(None)]
    assert names == ["Other_Thing 2.1", f"python {sys.version.split()[0]}", "tidy 1.0"]


def test_a_package_that_is_not_installed_is_named(packages):
    with pytest.raises(MissingInputError) as error:
        identities(["tidy", "unlisted"])

    assert str(error.value) == f"docstrings: the package 'unlisted' isn't installed in {sys.prefix}"


def test_a_column_that_docstrings_lack_is_named(packages):
    with pytest.raises(DataError) as unknown:
        read(["tidy"], {"text": "text"}, {"text": "body"})
    with pytest.raises(DataError) as untagged:
        read(["tidy"], {"words": "words"})

    assert str(unknown.value) == "docstrings: there is no column 'body'. The columns are: text, package, kind, file"
    assert str(untagged.value).endswith("text, package, kind, file; words and tags need 'tags: parameters'")


def test_the_standard_library_comes_without_its_tests_and_without_what_is_installed():
    [(_, path)] = identities(["stdlib"])
    names = [name for name, _, _ in _python_files(path, ["stdlib"])]

    assert "stdlib/json/decoder.py" in names
    assert names == sorted(names)
    assert not [name for name in names if "/site-packages/" in name or "/test/" in name]


def test_the_bytes_to_read_are_those_of_the_python_files():
    source = Docstrings(packages=("xxhash", "stdlib"))

    records = sum(path.stat().st_size for _, path in source.files())

    assert source.num_bytes() > 10 * records

"""What documents and docstrings name is there: links, files, modules, settings. What moves leaves no name behind."""

import json
import re
from pathlib import Path

import pytest
from bmtool.commands.schema import schema
from bmtool.config.aliases import keys_for

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(ROOT.glob("docs/*.md"))
SOURCES = [*DOCUMENTS, *sorted(ROOT.glob("bmtool/**/*.py")), *sorted(ROOT.glob("configs/*.yaml"))]
COMING_FROM = ROOT / "docs/coming-from.md"


def text_of(path):
    return path.read_text(encoding="utf-8")


def anchors(path):
    """What GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def rows():
    """(there, here) of each row of the tables of what other tools call it."""
    lines = [line for line in text_of(COMING_FROM).splitlines() if line.startswith("| ")]
    cells = [line.strip("| ").split(" | ", 1) for line in lines if "|---" not in line]
    return [(there, here) for there, here in cells if there != "there"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        if "://" not in link:
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(link)

    assert broken == []


def test_files_of_the_repository_that_are_named_are_there():
    named = r"(?<![\w./-])(?:tests|scripts|docs|configs)/[\w./-]*\w"
    found = {(path, name) for path in SOURCES for name in re.findall(named, text_of(path))}

    assert len(found) > 100
    assert [(path.name, name) for path, name in found if not (ROOT / name).exists()] == []


def test_modules_that_are_named_are_there():
    found = {(path, name) for path in SOURCES for name in re.findall(r"`bmtool((?:\.[a-z_]\w*)+)`", text_of(path))}
    lost = [(path.name, name) for path, name in found if name != ".json" and not is_there(name[1:].split("."))]

    assert len(found) > 10
    assert lost == []


def is_there(parts):
    """Whether a module, or something that a module names, is called so."""
    place = ROOT / "bmtool" / "/".join(parts)
    module = place.parent / "__init__.py" if place.parent.is_dir() else place.parent.with_suffix(".py")
    is_module = place.is_dir() or place.with_suffix(".py").exists()
    return is_module or (module.exists() and re.search(rf"\b{parts[-1]}\b", text_of(module)) is not None)


def test_settings_that_other_tools_users_are_told_are_known(capsys):
    schema()
    known = set(property_names(json.loads(capsys.readouterr().out)))
    codes = [code for _, here in rows() for code in re.findall(r"`([^`]+)`", here)]
    plain = [re.sub(r"columns: \{[^}]*\}", "columns: ", code) for code in codes]  # names of a user's columns
    told = {key for code in plain for key in re.findall(r"\b([a-z_]+): ", code)}

    assert len(told) > 20
    assert told <= known


def property_names(value):
    """The names of all properties, however deep."""
    if isinstance(value, dict):
        yield from value.get("properties", {})
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from property_names(inner)


def test_what_other_tools_users_are_told_is_what_check_answers():
    differ = []
    for there, here in rows():
        for theirs in re.findall(r"`([a-z_]+)(?:: [^`]+)?`", there):
            ours = keys_for(theirs)
            if ours and theirs not in here and not any(re.search(rf"\b{key}\b", here) for key in ours):
                differ.append((theirs, ours))

    assert differ == []

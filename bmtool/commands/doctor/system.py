"""What `doctor` says of Python, the packages, and traps in the environment. Nothing heavy is imported."""

from __future__ import annotations

import locale
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import bmtool
from bmtool.artifacts.faults import VARIABLE
from bmtool.commands.doctor.finding import note, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bmtool.commands.doctor.finding import Finding

DISTRIBUTION = "bmtool-pipeline"

#: bmtool is younger than this: a clock that says less is wrong.
_FIRST_YEAR = 2026

#: Variables that people set for other tools, and what there is here instead.
_IDLE = {
    "OMP_NUM_THREADS": "bmtool sets torch's threads itself: runtime.threads",
    "MKL_NUM_THREADS": "bmtool sets torch's threads itself: runtime.threads",
}


def system() -> Iterator[Finding]:
    """bmtool, Python, packages, locale, clock and variables."""
    yield ok("bmtool", f"{bmtool.__version__}, in {Path(bmtool.__file__).parent}")
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        yield ok("python", f"{platform.python_version()}, {sys.executable}")
        yield note("packages", f"{DISTRIBUTION} isn't installed, so that what it needs isn't known", "pip install -e .")
    else:
        yield python_is(platform.python_version(), distribution.metadata["Requires-Python"])
        yield from packages(distribution.requires or [], pinned_versions())
    yield encoding(locale.getpreferredencoding(False), sys.getfilesystemencoding())
    yield clock(time.localtime().tm_year)
    yield from variables(os.environ)


def python_is(version: str, wanted: str) -> Finding:
    """Whether it is one that bmtool runs with."""
    if Version(version) in SpecifierSet(wanted):
        return ok("python", f"{version}, {sys.executable}")
    return problem("python", f"{version}, and bmtool needs {wanted}", "Make an environment with another Python")


def pinned_versions() -> dict[str, str]:
    """What bmtool's tests ran with, by package: constraints.txt, in a wheel, or in a checkout beside bmtool."""
    home = Path(bmtool.__file__).parent
    found = [path for path in (home / "constraints.txt", home.parent / "constraints.txt") if path.is_file()]
    lines = found[0].read_text(encoding="utf-8").splitlines() if found else []
    pins = [line.partition("#")[0].strip().partition("==") for line in lines]
    return {canonicalize_name(name): version for name, _, version in pins if version}


def packages(requirements: Sequence[str], tested: Mapping[str, str]) -> Iterator[Finding]:
    """Those that bmtool can't do without: which are missing or too old, and which aren't of the tested version."""
    read = map(Requirement, requirements)
    wanted = [one for one in read if one.marker is None or one.marker.evaluate({"extra": ""})]
    others = []
    for one in wanted:
        there = _installed(one.name)
        if there is None or not one.specifier.contains(there, prereleases=True):
            how = "isn't installed" if there is None else f"{there} is here, and bmtool needs {one.specifier}"
            yield problem("packages", f"{one.name} {how}", f"pip install '{one.name}{one.specifier}'")
            continue
        known = tested.get(canonicalize_name(one.name))
        if known is not None and Version(known) != Version(there.public):
            others.append(f"{one.name} {there} ({known})")
    if others:
        text = f"{len(wanted)}; of other versions than were tested (in brackets): {', '.join(others)}"
        yield note("packages", text, "If something breaks, take those: pip install -c constraints.txt ...")
    else:
        yield ok(
            "packages", f"{len(wanted)}, {'in the versions that were tested' if tested else 'as bmtool needs them'}"
        )


def _installed(name: str) -> Version | None:
    try:
        return Version(metadata.version(name))
    except metadata.PackageNotFoundError:
        return None


def encoding(preferred: str, files: str) -> Finding:
    """Whether names and what is printed are UTF-8; what bmtool reads and writes is, whatever is set."""
    if all(one.lower().replace("_", "-") in ("utf-8", "utf8") for one in (preferred, files)):
        return ok("locale", "UTF-8")
    text = f"{preferred} (names of files: {files}), not UTF-8: names and texts with other characters may fail"
    return note("locale", text, "export PYTHONUTF8=1, or LC_ALL=C.UTF-8")


def clock(year: int) -> Finding:
    """Whether the year can be."""
    if year >= _FIRST_YEAR:
        return ok("clock", time.strftime("%Y-%m-%d %H:%M:%S %z"))
    return note("clock", f"it is {year} by the clock: ages and times in manifests will be wrong", "Set the clock")


def variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that do something other than they seem to."""
    if environment.get(VARIABLE):
        said = f"{VARIABLE}={environment[VARIABLE]} makes runs fail on purpose"
        yield note("variables", said, f"unset {VARIABLE}")
    for name, instead in _IDLE.items():
        if environment.get(name):
            yield note("variables", f"{name}={environment[name]} has no effect", instead)

"""Downloads pinned packages with the registries' own clients, so that mirrors and proxies set up for those apply."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

SUITE = "bookworm"
PUBLIC_MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LANGUAGES = ("en", "de", "ja", "zh_CN")


class FetchError(Exception):
    """A package can't be had, or isn't the one that was asked for."""


@dataclass(frozen=True)
class Package:
    """One version of a package in one registry ("pypi", "npm" or "debian"), the file it comes in, and its licence."""

    registry: str
    name: str
    version: str
    file: str
    sha256: str
    licence: str

    def __str__(self) -> str:
        return f"{self.registry} {self.name} {self.version}"


@dataclass(frozen=True)
class Lists:
    """Debian's own lists of packages and their translated descriptions: apt checks the archive's signature on them.

    A point release changes a few entries, and mirrors carry the latest alone, so `sha256` (of the file "Packages")
    tells whether rows are those that a published number was measured on. Another one is said, and isn't an error.
    """

    version: str
    sha256: str
    licence: str
    registry: str = "debian"

    def __str__(self) -> str:
        return f"debian {SUITE} {self.version} lists"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_package(package: Package, folder: Path) -> Path:
    """The package's file, checked; one that lies in the folder already isn't downloaded again."""
    path = folder / package.file
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        {"pypi": _pip, "npm": _npm, "debian": _apt}[package.registry](package, folder)
    if not path.exists():
        there = ", ".join(sorted(entry.name for entry in folder.iterdir()))
        raise FetchError(f"{package}: its client left no {path}. There is: {there or 'nothing'}.")
    found = sha256_of(path)
    if found != package.sha256:
        raise FetchError(
            f"{path}: its SHA-256 is {found}, expected was {package.sha256}. Remove the file and fetch it again; "
            f"if it stays so, the registry serves another file than the one that this script was written for."
        )
    return path


def fetch_lists(lists: Lists, folder: Path) -> Path:
    """The folder with "Packages" and one "Translation-LANGUAGE" a language; downloaded if "Packages" isn't there."""
    target = folder / SUITE
    packages = target / "Packages"
    if not packages.exists():
        _apt_lists(target)
    found = sha256_of(packages)
    if found != lists.sha256:
        print(
            f"{packages}: not the list of point release {lists.version} ({lists.sha256[:12]}...) but of another "
            f"({found[:12]}...). The rows differ a little from those that published numbers were measured on.",
            file=sys.stderr,
        )
    return target


def _run(words: Sequence[str], folder: Path, purpose: str) -> str:
    if shutil.which(words[0]) is None:
        raise FetchError(
            f"{purpose} needs the command '{words[0]}', which isn't installed. Install it, or fetch on another machine "
            f"and copy {folder} here."
        )
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise FetchError(f"{purpose}: '{' '.join(words)}' failed.\n{(done.stdout + done.stderr).strip()[-2000:]}")
    return done.stdout


def _pip(package: Package, folder: Path) -> None:
    # pip asks a source distribution's setup.py for its metadata; with --require-hashes it checks the file before.
    kind = "--only-binary" if package.file.endswith(".whl") else "--no-binary"
    wanted = folder / f"{package.name}.requirements.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", kind, package.name]
    _run([*words, "--require-hashes", "--requirement", wanted.name, "--dest", "."], folder, str(package))
    wanted.unlink()


def _npm(package: Package, folder: Path) -> None:
    _run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], folder, str(package))


def _apt(package: Package, folder: Path) -> None:
    with TemporaryDirectory() as name:
        options = _apt_root(Path(name))
        _run(["apt-get", *options, "update"], folder, str(package))
        _run(["apt-get", *options, "download", f"{package.name}={package.version}"], folder, str(package))


def _apt_lists(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    endings = {f"_i18n_Translation-{language}": f"Translation-{language}" for language in LANGUAGES}
    endings["_binary-amd64_Packages"] = "Packages"  # the last one: its presence says that all are there
    with TemporaryDirectory() as name:
        _run(["apt-get", *_apt_root(Path(name)), "update"], target, f"the lists of {SUITE}")
        lists = list((Path(name) / "lists").iterdir())
        for ending, copy in endings.items():
            found = [path for path in lists if path.name.replace("%5f", "_").endswith(ending)]
            if len(found) != 1:
                raise FetchError(f"{SUITE}: {len(found)} of apt's lists end in '{ending}', and one was expected.")
            shutil.copyfile(found[0], target / copy)


def _apt_root(root: Path) -> list[str]:
    """Options that give apt-get a state of its own in the folder: the machine's own lists and sources stay."""
    if not Path(KEYRING).exists():
        raise FetchError(f"{KEYRING} is missing: install the package debian-archive-keyring, apt checks with it.")
    for name in ("lists/partial", "cache/archives/partial"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "status").touch()
    (root / "sources.list").write_text(f"deb [arch=amd64 signed-by={KEYRING}] {_mirror(root)} {SUITE} main\n")
    options = {
        "Dir::Etc::SourceList": root / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": root / "lists",
        "Dir::State::status": root / "status",
        "Dir::Cache": root / "cache",
        "Acquire::Languages": ",".join(LANGUAGES),
        "Acquire::GzipIndexes": "false",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",  # apt's own user can't write here
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _mirror(folder: Path) -> str:
    """The mirror that the machine's apt takes Debian's packages from, else the public one."""
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    return next(iter(_run(words, folder, "apt's mirror").split()), PUBLIC_MIRROR)

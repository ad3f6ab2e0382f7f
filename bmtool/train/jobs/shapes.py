"""What models and vocabularies will be that are still to be made, as the sections say it that make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.manifest import Artifact
from bmtool.data.dataset import open_dataset
from bmtool.data.examples.labelled import task_of
from bmtool.data.tokenizing.tokenizer_settings import WordsFile
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import MissingInputError
from bmtool.models.building.build import special_ids
from bmtool.models.files.checkpoint import open_config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from transformers import PretrainedConfig

    from bmtool.contracts import Planned, Task

    Source = Planned | Artifact

#: Where a dataset's labels aren't known yet, its head has so many.
_FEWEST_LABELS = 2


@dataclass(frozen=True)
class Vocabulary:
    """Token ids of a corpus that may still have to be made."""

    size: int
    special_ids: Mapping[str, int]
    given: str = ""
    """What says so, where the tokenizer isn't there, as `8,192 tokens of prepare.corpus.tokenizer`"""


@dataclass(frozen=True)
class Labelled:
    """A task, and labels to build a head with."""

    task: Task
    labels: tuple[str, ...]
    has_validation: bool
    given: str = ""
    """What is reckoned with, where the labels aren't known yet"""


def vocabulary_of(corpus: Source) -> Vocabulary:
    """Of a corpus's tokenizer: as large as its section lets it become, if it isn't there.

    Raises:
        MissingInputError: the dataset has no tokenizer.
    """
    if isinstance(corpus, Artifact):
        folder = open_dataset(corpus.folder).tokenizer_folder
        if folder is None:
            raise MissingInputError(f"{corpus.folder}: no tokenizer is here, so this is no corpus")
        return _at(folder)
    trainer, taken = corpus.config.tokenizer_trainer(), corpus.config.taken_tokenizer
    where = f"{corpus.section}.tokenizer"
    if trainer is not None:
        # Every trainer puts its special tokens first, in this order.
        places = {token: place for place, token in enumerate(dict.fromkeys(trainer.special_tokens().values()))}
        ids = {role.removesuffix("_token"): places[token] for role, token in trainer.special_tokens().items()}
        return Vocabulary(trainer.vocab_size, ids, f"{trainer.vocab_size:,} tokens of {where}")
    if taken is None:
        raise MissingInputError(f"{corpus.section} has a task, and so no tokenizer: this is no corpus")
    own = vocabulary_of(corpus.inputs["tokenizer"]) if "tokenizer" in corpus.inputs else _at(taken.path())
    words = taken.add_tokens.read() if isinstance(taken.add_tokens, WordsFile) else taken.add_tokens or ()
    size = own.size + (words if isinstance(words, int) else len(words))
    return own if size == own.size else Vocabulary(size, own.special_ids, f"{size:,} tokens of {where}")


def shape_of(source: Source) -> PretrainedConfig:
    """The configuration of a checkpoint: its own, or the one that its section builds or goes on from."""
    if isinstance(source, Artifact):
        return open_config(source.folder)
    config, inputs = source.config, source.inputs
    if config.model is not None:
        corpus = inputs["data"] if source.stage == "pretrain" else inputs["tokenizer"]
        length = config.longest if source.stage == "pretrain" else config.max_seq_length
        return new_shape(config.model, vocabulary_of(corpus), length)
    shape = shape_of(inputs["from"])
    return shape if source.stage != "pretrain" else widened(shape, vocabulary_of(inputs["data"]))


def tokenizer_of(source: Source) -> Path | None:
    """Where the tokenizer of a corpus or a checkpoint is; None while it is still to be made."""
    if isinstance(source, Artifact):
        return source.folder if source.kind == "checkpoint" else open_dataset(source.folder).tokenizer_folder
    if source.stage == "pretrain":
        return tokenizer_of(source.inputs["data"])
    return None


def new_shape(model: Any, vocabulary: Vocabulary, max_seq_length: int) -> PretrainedConfig:
    """The configuration that an architecture builds."""
    shape: PretrainedConfig = model.config(
        vocab_size=vocabulary.size, max_seq_length=max_seq_length, special_ids=vocabulary.special_ids
    )
    return shape


def widened(shape: Any, vocabulary: Vocabulary) -> PretrainedConfig:
    """A checkpoint's configuration with a row of embeddings for each token that the corpus has."""
    shape.vocab_size = max(shape.vocab_size, vocabulary.size)
    return shape  # type: ignore[no-any-return]


def labelled(data: Source) -> Labelled:
    """The task of a dataset, and its labels as far as they are known: from its rows, or as its section lists them.

    Raises:
        MissingInputError: it has none.
    """
    if isinstance(data, Artifact):
        dataset = open_dataset(data.folder)
        return Labelled(task_of(dataset), dataset.labels, "validation" in dataset.splits)
    task: Task | None = data.config.task
    if task is None:
        raise MissingInputError(f"{data.section} has no task. finetune.data must name a dataset that has one")
    has_validation = "validation" in data.config.split.names()
    if task.labels is not None or not task.has_labels:
        return Labelled(task, task.labels or (), has_validation)
    labels = tuple(str(number) for number in range(_FEWEST_LABELS))
    return Labelled(task, labels, has_validation, f"{_FEWEST_LABELS} labels in {data.section}")


def _at(folder: Path) -> Vocabulary:
    tokenizer = load_tokenizer(folder)
    return Vocabulary(tokenizer.get_vocab_size(), special_ids(tokenizer, folder))

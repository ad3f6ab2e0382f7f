"""The corpora that a model is pre-trained on: cut into pieces, mixed by their shares, and watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bmtool.data.dataset import open_dataset
from bmtool.data.joined import join_examples
from bmtool.data.scoring.scores import evaluate_metrics
from bmtool.data.tokenizing.tokenizers import read_alike
from bmtool.errors import MissingInputError
from bmtool.train.order.mixture import Mixture
from bmtool.train.phases import Phase, require_room

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer

    from bmtool.artifacts.manifest import Artifact
    from bmtool.config.shared import Training
    from bmtool.console import Console
    from bmtool.contracts import Examples, Objective
    from bmtool.data.dataset import Dataset


@dataclass(frozen=True)
class Corpora:
    """Corpora by name, all encoded alike; the first one is what the model is trained for."""

    datasets: Mapping[str, Dataset]
    shares: tuple[float, ...]
    """Of each but the first, the share of the tokens"""
    tokenizer_folder: Path
    tokenizer: Tokenizer
    console: Console

    def phase(self, objective: Objective, training: Training) -> Phase:
        """What is learned from them for a while. Validation is on the first one; the test splits aren't touched."""
        mixed = [dataset for dataset, share in zip(self._others(), self.shares, strict=True) if share]
        parts = [
            self._examples(dataset, "train", objective, training.max_seq_length) for dataset in [self.first, *mixed]
        ]
        for part in parts:
            require_room("pretrain", training, part)
        validation = None
        if "validation" in self.first.splits:
            validation = self._examples(self.first, "validation", objective, training.max_seq_length)
        mixture = Mixture(tuple(map(len, parts)), tuple(filter(None, self.shares)))
        return Phase(
            objective,
            parts[0] if not mixed else join_examples(parts),
            validation,
            training,
            score=lambda outputs: evaluate_metrics(objective.metrics, outputs, ()),
            mixture=mixture if mixed else None,
        )

    def watched(self, objective: Objective, max_seq_length: int, earlier: Mapping[str, Dataset]) -> dict[str, Examples]:
        """The validation splits of all corpora, and of what a starting checkpoint has learned from `earlier`."""
        found = {}
        for name, dataset in {**earlier, **self.datasets}.items():
            if "validation" in dataset.splits and dataset["validation"].num_rows:
                found[name] = self._examples(dataset, "validation", objective, max_seq_length)
            else:
                self.console.say(f"{name} has no validation split: what training does to the loss on it isn't measured")
        return found

    @property
    def first(self) -> Dataset:
        """The one that the model is trained for."""
        return next(iter(self.datasets.values()))

    def _others(self) -> Sequence[Dataset]:
        return list(self.datasets.values())[1:]

    def _examples(self, dataset: Dataset, split: str, objective: Objective, max_seq_length: int) -> Examples:
        """The documents of a split in pieces; documents without tokens are said."""
        examples = objective.examples(dataset[split], self.tokenizer, max_seq_length)
        empty = examples.cut.get("texts_without_tokens", 0)
        if empty:
            self.console.say(f"{split}: {empty:,} documents without any token")
        return examples


def open_corpora(artifacts: Mapping[str, Artifact], shares: Sequence[float], console: Console) -> Corpora:
    """Open prepared corpora; `shares` are those of all but the first.

    Raises:
        MissingInputError: one is no corpus, or is encoded in another way than the first.
    """
    from bmtool.data.tokenizing.tokenizers import load_tokenizer

    datasets = {name: open_dataset(artifact.folder) for name, artifact in artifacts.items()}
    folders = {name: _tokenizer_folder(dataset) for name, dataset in datasets.items()}
    (first, folder), *others = folders.items()
    for name, other in others:
        if not read_alike(folder, other):
            raise MissingInputError(
                f"the corpus '{name}' was encoded with another tokenizer than '{first}'. Prepare it with "
                f"tokenizer: {{from: {folder.parent}/}}"
            )
    return Corpora(datasets, tuple(shares), folder, load_tokenizer(folder), console)


def learned_from(checkpoint: Artifact, corpora: Corpora) -> dict[str, Dataset]:
    """The corpus of ours that a checkpoint was pre-trained on, by the name of its folder, if it is still in the store.

    {} for a foreign checkpoint, for a corpus that is there already, and for one that is encoded in another way.
    """
    source = checkpoint.manifest.inputs.get("data") if checkpoint.manifest is not None else None
    if source is None:
        return {}
    folder = checkpoint.folder.resolve().parent / source["path"]
    known = {dataset.folder.resolve() for dataset in corpora.datasets.values()}
    if not folder.is_dir() or folder in known:
        return {}
    dataset = open_dataset(folder)
    if dataset.tokenizer_folder is None or not read_alike(corpora.tokenizer_folder, dataset.tokenizer_folder):
        return {}
    return {folder.name: dataset}


def _tokenizer_folder(dataset: Dataset) -> Path:
    if dataset.tokenizer_folder is None:
        raise MissingInputError(
            f"{dataset.folder}: no tokenizer is here, so this is no corpus. pretrain.data must name one"
        )
    return dataset.tokenizer_folder

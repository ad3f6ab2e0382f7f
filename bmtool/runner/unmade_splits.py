"""Splits that a section reads and that no dataset of the file is divided into."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bmtool.config.document import KeyPath
    from bmtool.contracts import Need, Stage
    from bmtool.runner.pipeline import Pipeline


def unmade_splits(
    section: KeyPath, needs: Iterable[Need], pipeline: Pipeline, modules: Mapping[str, Stage]
) -> Iterator[tuple[KeyPath, str]]:
    """(where, what is wrong) of each split among the needs of a section that `prepare` won't make."""
    for need in needs:
        if need.made is not None and need.made[0] == section[0]:  # one of several seeds reads in the section's place
            own = modules[need.made[0]].needs(need.made[1], pipeline)
            yield from unmade_splits(section, own.values(), pipeline, modules)
        reference = need.reference
        dataset = pipeline.prepare.get(reference.value) if reference and reference.form == "name" else None
        names = [] if dataset is None else dataset.split.names()
        for split in need.splits:
            if names and split not in names:
                text = f"'{reference}' has no {split} split, only {' and '.join(names)}. {_mend(str(reference), split)}"
                yield (*section, *need.asked_by), text + without(section[0])


def _mend(dataset: str, split: str) -> str:
    key = f"prepare.{dataset}.split"
    return f"Lower the shares in {key}" if split == "train" else f"Set {key}.{split}, such as 0.1"


def without(stage: str | int) -> str:
    """How to make the rest all the same."""
    return "; `bmtool run --until finetune` does without" if stage in ("evaluate", "export") else ""

"""Whether what is tested stays out of what is pre-trained on, where both are made of the same files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.contracts.kinds import TEXTS
from bmtool.sources._files import FileSource

if TYPE_CHECKING:
    from bmtool.runner.pipeline import Pipeline
    from bmtool.stages.prepare import Config


def not_apart(pipeline: Pipeline) -> list[str]:
    """A text for each corpus that pretrain reads whose files a tested dataset shares, with nothing that keeps its test
    rows out: no fault of the file, as a test without labels may be meant to be read."""
    if pipeline.pretrain is None or pipeline.finetune is None:
        return []
    corpora = [pipeline.pretrain.data, *(one.data for one in pipeline.pretrain.mix)]
    found = []
    for corpus in (one.value for one in corpora if one.form == "name" and one.value in pipeline.prepare):
        for rows in (one.value for one in pipeline.finetune.datasets.values() if one.form == "name"):
            read, tested = pipeline.prepare[corpus], pipeline.prepare.get(rows)
            if tested is None or any(one.value == rows for one in read.decontaminate):
                continue
            common = sorted(_files(read) & _files(tested))
            if common and tested.split.test and not _are_shared_out_alike(read, tested, common[0]):
                found.append(
                    f"prepare.{corpus} and prepare.{rows} read {common[0]} and share out its rows each in its own way, "
                    f"so that pretrain reads texts that '{rows}' is tested on. Give both the same split with a group, "
                    f"such as {{validation: 0.1, test: 0.1, group: text}}, and the same clean and scrub, or set "
                    f"prepare.{corpus}.decontaminate: [{rows}]"
                )
    return found


def _files(config: Config) -> set[str]:
    """The paths and patterns of a dataset's sources, as they are written."""
    return {path for source in config.sources if isinstance(source, FileSource) for path in _paths(source)}


def _are_shared_out_alike(one: Config, other: Config, path: str) -> bool:
    """By the same column of the file, in which the same stands when rows are shared out, in the same shares."""
    shares = [(config.split.validation, config.split.test, config.seed) for config in (one, other)]
    keys = [_theirs(config, config.split.group or config.split.time, path) for config in (one, other)]
    ways = [config.split.group is not None for config in (one, other)]
    is_same = shares[0] == shares[1] and ways[0] == ways[1] and _changes(one) == _changes(other)
    return is_same and keys[0] == keys[1] and keys[0] is not None


def _changes(config: Config) -> tuple[Any, ...]:
    """What is done to the values by which rows are shared out: texts are cleaned and scrubbed first."""
    key = config.split.group or config.split.time
    is_text = key is not None and config.kinds()[key] in TEXTS
    return (config.clean, config.scrub, config.scrub_key) if is_text else ((), (), None)


def _theirs(config: Config, ours: str | None, path: str) -> str | tuple[str, ...] | None:
    """What a column is called in a file."""
    if ours is None:
        return None
    sources = [source for source in config.sources if isinstance(source, FileSource) and path in _paths(source)]
    return (sources[0].columns or {}).get(ours) or config.columns.get(ours, ours)


def _paths(source: FileSource) -> tuple[str, ...]:
    return (source.path,) if isinstance(source.path, str) else source.path

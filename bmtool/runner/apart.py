"""Whether what is tested stays out of what is pre-trained on, where both are made of the same files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts.kinds import NESTED, TEXTS
from bmtool.sources._files import FileSource
from bmtool.stages.prepare import OWN_COLUMNS

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
                    f"so that pretrain reads texts that '{rows}' is tested on. "
                    f"{_advice({corpus: read, rows: tested}, common[0])}, or set prepare.{corpus}.decontaminate: "
                    f"[{rows}]"
                )
    return found


def _files(config: Config) -> set[str]:
    """The paths and patterns of a dataset's sources, as they are written."""
    return {path for source in config.sources if isinstance(source, FileSource) for path in _paths(source)}


def _are_shared_out_alike(one: Config, other: Config, path: str) -> bool:
    """By the same column of the file, rewritten in the same way, in the same shares."""
    shares = [(config.split.validation, config.split.test, config.seed) for config in (one, other)]
    keys = [_theirs(config, config.split.group or config.split.time, path) for config in (one, other)]
    ways = [config.split.group is not None for config in (one, other)]
    is_same = shares[0] == shares[1] and ways[0] == ways[1] and keys[0] == keys[1] and keys[0] is not None
    return is_same and _rewritten(one) == _rewritten(other)


def _rewritten(config: Config) -> tuple[object, ...]:
    """What is done to the values that rows are shared out by, before they are: a text is cleaned and scrubbed."""
    is_text = config.kinds().get(config.split.group or config.split.time or "") in TEXTS
    return (config.clean, config.scrub, config.scrub_key) if is_text else ((), (), None)


def _advice(configs: dict[str, Config], path: str) -> str:
    """How both could share out a file's rows alike: by the group of the tested rows, else by the corpus's text where
    the rows have it in one column, too."""
    read, tested = configs.values()
    shares = f"validation: {tested.split.validation:g}, test: {tested.split.test:g}"
    column = _theirs(tested, tested.split.group, path) or _theirs(read, "text", path)
    groups = {name: _ours(config, column, path) for name, config in configs.items()}
    named = list(groups.values())
    if None in named:
        return "Give both the same split with a group, a column of that file with one value a row"
    kinds = [config.kinds().get(group or "") for config, group in zip(configs.values(), named, strict=True)]
    is_rewritten = any(kind in TEXTS for kind in kinds) and (read.clean, read.scrub) != (tested.clean, tested.scrub)
    same = ", and the same clean and scrub (rows are shared out by the text that is left)" if is_rewritten else ""
    if named[0] == named[1]:
        return f"Give both the same split with a group, such as {{{shares}, group: {named[0]}}}{same}"
    splits = " and ".join(f"prepare.{name}.split: {{{shares}, group: {group}}}" for name, group in groups.items())
    return f"Set {splits}{same}"


def _theirs(config: Config, ours: str | None, path: str) -> str | tuple[str, ...] | None:
    """What a column is called in a file."""
    if ours is None:
        return None
    sources = [source for source in config.sources if isinstance(source, FileSource) and path in _paths(source)]
    return (sources[0].columns or {}).get(ours) or config.columns.get(ours, ours)


def _ours(config: Config, theirs: str | tuple[str, ...] | None, path: str) -> str | None:
    """What a dataset calls a column of a file, that rows may be grouped by; None if its rows can't be."""
    if not isinstance(theirs, str):
        return None
    kinds = config.kinds()
    ours = next((name for name in kinds if _theirs(config, name, path) == theirs), theirs)
    return None if ours in OWN_COLUMNS or kinds.get(ours) in NESTED else ours


def _paths(source: FileSource) -> tuple[str, ...]:
    return (source.path,) if isinstance(source.path, str) else source.path

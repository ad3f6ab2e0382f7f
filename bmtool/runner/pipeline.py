"""A whole configuration file: the head and the five sections, parsed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import create_model

from bmtool.config.check import check
from bmtool.config.compose import compose
from bmtool.config.document import Node
from bmtool.config.references import STAGES
from bmtool.config.shared import Head, Name, Runtime
from bmtool.config.smoke import SMOKE_SUFFIX
from bmtool.runner.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bmtool.config.document import Document
    from bmtool.config.model import Settings
    from bmtool.contracts import Stage


@dataclass(frozen=True)
class Pipeline:
    """What a file says, with the sections it has."""

    file: Path
    name: str
    prepare: dict[str, Any] = field(default_factory=dict)
    """dataset name -> prepare.Config"""
    pretrain: Any = None
    finetune: Any = None
    evaluate: Any = None
    export: Any = None
    output_dir: Path = Path("runs")
    seed: int = 0
    runtime: Runtime = field(default_factory=Runtime)
    is_smoke: bool = False
    """Whether it is a smoke run's"""

    def in_little(self) -> Pipeline:
        """The same for a smoke run: under another name, and each section as it is in little."""
        sections = {stage: getattr(self, stage) for stage in STAGES[1:]}
        return replace(
            self,
            name=self.name + SMOKE_SUFFIX,
            prepare={name: dataset.in_little() for name, dataset in self.prepare.items()},
            **{stage: config and config.in_little() for stage, config in sections.items()},
            is_smoke=True,
        )


def load_pipeline(
    file: Path,
    overrides: Sequence[str] = (),
    *,
    stages: Collection[str] = STAGES,
    sections: Mapping[str, type[Settings]] | None = None,
) -> Pipeline:
    """Read a configuration with everything it extends and every `--set`.

    `stages` are those that are to be made: the splits that others read needn't be there. `sections` are the settings
    classes of the stages; without it they are the stages' own.

    Raises:
        ConfigError: all that is wrong with it, one line a problem.
    """
    modules = {} if sections else stage_modules()
    model = file_model(sections or {stage: module.Config for stage, module in modules.items()})
    document = compose(file, overrides, model)
    _fill_empty_sections(document)
    checked = check(model, document, stand_ins={"version": 1, "name": "unnamed"})
    pipeline = _pipeline(file, checked.settings)
    Relations(pipeline, document, checked.left_out, stages).check(modules)
    document.raise_problems()
    return pipeline


def stage_module(stage: str) -> Stage:
    """The module of a stage, loaded by name."""
    return cast("Stage", importlib.import_module(f"bmtool.stages.{stage}"))


def stage_modules() -> dict[str, Stage]:
    """The module of every stage."""
    return {stage: stage_module(stage) for stage in STAGES}


def file_model(sections: Mapping[str, type[Settings]]) -> type[Head]:
    """The settings class of a whole file: the head, and a section a stage (for `prepare` one a dataset)."""
    fields: dict[str, Any] = {
        stage: (dict[Name, section] if stage == "prepare" else section | None, None)  # type: ignore[valid-type]
        for stage, section in sections.items()
    }
    return create_model("File", __base__=Head, **fields)


def _fill_empty_sections(document: Document) -> None:
    """Read `export:` with nothing behind it as a section that sets nothing."""
    for stage in STAGES:
        node = document.root.value.get(stage)
        if node is not None and node.value is None and not node.broken:
            document.root.value[stage] = Node({}, node.place)


def _pipeline(file: Path, read: Any) -> Pipeline:
    """The sections, with the head's seed where one takes a seed and has none (prepare has its own: data is re-used)."""
    sections: dict[str, Any] = {stage: getattr(read, stage, None) for stage in STAGES}
    for stage in ("pretrain", "finetune", "evaluate"):
        config = sections[stage]
        if config is not None and getattr(config, "seed", 0) is None:
            sections[stage] = config.model_copy(update={"seed": read.seed})
    return Pipeline(
        file=file,
        name=read.name,
        **{**sections, "prepare": sections["prepare"] or {}},
        output_dir=read.output_dir,
        seed=read.seed,
        runtime=read.runtime,
    )

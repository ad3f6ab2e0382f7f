"""What the sections of a file must not contradict in each other, as far as it can be seen without opening data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bmtool.config.references import STAGES, Reference, listed
from bmtool.config.sharing import unshareable
from bmtool.errors import ConfigError, did_you_mean
from bmtool.models.families.positions import longest_document, too_long
from bmtool.runner.between_datasets import between_datasets, no_dataset, unlimited
from bmtool.runner.measured import unmeasured
from bmtool.runner.unmade_splits import unmade_splits
from bmtool.train.jobs.task_settings import model_config

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from bmtool.config.document import Document, KeyPath
    from bmtool.contracts import Goal, Stage
    from bmtool.runner.pipeline import Pipeline

#: The stages that make checkpoints, in the order in which they can build on each other.
_TRAINING = ("pretrain", "finetune")


@dataclass
class Relations:
    """The checks of one file."""

    pipeline: Pipeline
    document: Document
    left_out: frozenset[KeyPath]
    """Sections and datasets with faults of their own: nothing is concluded from their absence."""
    stages: Collection[str] = STAGES
    """Those that are to be made: the splits that others read needn't be there."""

    def check(self, modules: Mapping[str, Stage]) -> None:
        """Note every contradiction in the document; `modules` are the stages by name, to be asked for more."""
        found = [*between_datasets(self.pipeline, self._datasets()), *unlimited(self.pipeline)]
        self._note(found)
        if not found and modules and self._is_whole("prepare"):
            for name, config in self.pipeline.prepare.items():
                self._ask(("prepare", name), config, modules)
        for stage in STAGES[1:]:
            config = getattr(self.pipeline, stage)
            if config is None:
                continue
            found = [*self._data(stage, config), *self._start(stage, config), *self._lengths(stage, config)]
            found += [*self._shares(stage, config), *self._sharing(stage, config)]
            if stage == "evaluate":
                found += unmeasured(config, {} if self.left_out else self._goals(config))
            self._note(found)
            if not found and stage in modules and self._is_whole(stage):
                self._ask((stage,), config, modules)

    def _is_whole(self, stage: str) -> bool:
        """Whether no fault has left out a section, or a dataset, that this one may build on."""
        return not any(part[0] in STAGES[: STAGES.index(stage) + 1] for part in self.left_out)

    def _note(self, found: Iterable[tuple[KeyPath, str]]) -> None:
        for path, text in found:
            self.document.problem(path, text)

    def _data(self, stage: str, config: Any) -> Iterator[tuple[KeyPath, str]]:
        for path, key, reference in self._references(stage, config):
            name = reference.value
            if reference.form != "name":
                continue
            if name not in self._datasets() and self._datasets():
                yield path, no_dataset(name, self._datasets())
            elif name in self.pipeline.prepare:
                task = self.pipeline.prepare[name].task
                if stage == "evaluate" and (self.left_out or self._judges_another_files(config)):
                    continue
                wants_corpus = stage == "pretrain" or key == "tokenizer" or self._judges_pretrain(stage, config)
                if wants_corpus and task is not None:
                    yield path, f"'{name}' has a task. A corpus is needed here: a dataset without 'task'"
                elif not wants_corpus and task is None:
                    yield path, f"'{name}' is a corpus. A dataset with a task is needed here: set prepare.{name}.task"

    @staticmethod
    def _references(stage: str, config: Any) -> Iterator[tuple[KeyPath, str, Reference]]:
        """(where, key, reference) of what a section reads."""
        for key in ("data", "tokenizer"):
            value = getattr(config, key, None)
            if isinstance(value, Reference):
                yield (stage, key), key, value
            elif isinstance(value, tuple):
                yield from (((stage, key, place), key, one) for place, one in enumerate(value))

    def _datasets(self) -> list[str]:
        node = self.document.root.value.get("prepare")
        return list(node.value) if node is not None and isinstance(node.value, dict) else []

    def _judges_pretrain(self, stage: str, config: Any) -> bool:
        """Whether what is evaluated is a pre-trained model, which is judged on a corpus."""
        start: Any = getattr(config, "from_", None)
        if stage == "evaluate" and start is None:
            return self.pipeline.finetune is None and self.pipeline.pretrain is not None
        return stage == "evaluate" and start.form == "name" and start.value == "pretrain"

    @staticmethod
    def _judges_another_files(config: Any) -> bool:
        """Whether what is evaluated is a folder or on the hub: it may be trained for anything."""
        start: Any = getattr(config, "from_", None)
        return start is not None and start.form != "name"

    def _start(self, stage: str, config: Any) -> Iterator[tuple[KeyPath, str]]:
        start = getattr(config, "from_", None)
        if not isinstance(start, Reference) or start.form != "name":
            return
        earlier = [name for name in _TRAINING if STAGES.index(name) < STAGES.index(stage)]
        if not earlier:
            yield (stage, "from"), f"expected the folder of a checkpoint, with a slash, such as './{start}'"
        elif start.value not in earlier:
            known = " or ".join(earlier)
            hint = did_you_mean(start.value, earlier)
            yield (stage, "from"), f"expected {known}, or a path with a slash, got '{start}'.{hint}".removesuffix(".")

    def _shares(self, stage: str, config: Any) -> Iterator[tuple[KeyPath, str]]:
        """Processes that train together each take as many of a step's batches."""
        processes = self.pipeline.runtime.processes
        if stage not in _TRAINING:
            return
        stretches: dict[KeyPath, Any] = {(stage,): config}
        if getattr(config, "phases", ()):
            stretches = {(stage, "phases", index): stretch for index, stretch in enumerate(config.stretches())}
        for place, settings in stretches.items():
            steps = settings.gradient_accumulation_steps
            if settings.global_batch_tokens is None and steps % processes:
                key = "gradient_accumulation_steps"
                yield (*place, key), f"runtime.processes is {processes}: this must be a multiple of it, and is {steps}"

    def _sharing(self, stage: str, config: Any) -> Iterator[tuple[KeyPath, str]]:
        """Processes can't share out every model's weights."""
        runtime = self.pipeline.runtime
        if stage in _TRAINING and runtime.fsdp == "always" and runtime.processes > 1:
            several = len(getattr(config, "datasets", ())) > 1
            advice = unshareable(config.optim, has_several_tasks=several)[1]
            if advice:
                yield ("runtime", "fsdp"), f"{stage}: {advice}"

    def _lengths(self, stage: str, config: Any) -> Iterator[tuple[KeyPath, str]]:
        """A checkpoint whose configuration is known reads texts of so many tokens."""
        start = {"pretrain": "from_", "finetune": "start"}.get(stage)
        start = None if start is None else getattr(config, start)
        longest = None if start is None else self._positions(start)
        stretches = config.stretches() if getattr(config, "phases", ()) else [config]
        for index, stretch in enumerate(stretches if longest is not None else ()):
            place: KeyPath = (stage, "phases", index) if len(stretches) > 1 else (stage,)
            fault = too_long(stretch.max_seq_length, longest, f"the model of '{start}'")
            if fault:
                yield (*place, "max_seq_length"), fault

    def _positions(self, start: Reference) -> int | None:
        """How many tokens the model of a checkpoint has positions for, as far as the file or a folder says it."""
        if start.form == "path":
            found = model_config(start)
            return None if isinstance(found, str) else longest_document(SimpleNamespace(**{"model_type": "", **found}))
        pretrain = self.pipeline.pretrain if start.value == "pretrain" else None
        if pretrain is None:
            return None
        if pretrain.model is None:
            return None if pretrain.from_ is None else self._positions(pretrain.from_)
        built = getattr(pretrain.model, "max_position_embeddings", None)
        return None if built is None else max(built, pretrain.longest)

    def _goals(self, config: Any) -> dict[str, Goal | None]:
        """What is evaluated is for, by the name of the dataset; None where the file doesn't say it."""
        if self._judges_pretrain("evaluate", config):
            pretrain = self.pipeline.pretrain
            return {"": None if pretrain is None else pretrain.stretches()[-1].objective}
        data = config.data or getattr(self.pipeline.finetune, "data", None)
        datasets = {one.name: self.pipeline.prepare.get(str(one)) for one in listed(data) if data} if data else {}
        return {name: None if dataset is None else dataset.task for name, dataset in datasets.items()}

    def _ask(self, section: KeyPath, config: Any, modules: Mapping[str, Stage]) -> None:
        """Let the stage say what it needs: it refuses what can't be."""
        stage = str(section[0])
        try:
            needs = modules[stage].needs(config, self.pipeline)
        except ConfigError as error:
            said = str(error).removeprefix(f"{self.pipeline.file}: ")
            match = re.match(r"['`]?((?:prepare|pretrain|finetune|evaluate|export)[a-z_.0-9\[\]]*)['`]?:? ", said)
            path = _path(match[1]) if match else section
            self.document.problem(path, said[match.end() :] if match else said)
        else:
            if stage in self.stages:
                self._note(unmade_splits(section, needs.values(), self.pipeline, modules))


def _path(text: str) -> KeyPath:
    parts = re.sub(r"\[([0-9]+)\]", r".\1", text).split(".")
    return tuple(int(part) if part.isdecimal() else part for part in parts)

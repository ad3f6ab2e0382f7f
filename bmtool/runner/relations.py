"""What the sections of a file must not contradict in each other, as far as it can be seen without opening data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bmtool.config.references import STAGES, Reference, listed
from bmtool.config.sharing import unshareable
from bmtool.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bmtool.config.document import Document, KeyPath
    from bmtool.contracts import Stage
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

    def check(self, modules: Mapping[str, Stage]) -> None:
        """Note every contradiction in the document; `modules` are the stages by name, to be asked for more."""
        for path, text in self._between_datasets():
            self.document.problem(path, text)
        for stage in STAGES[1:]:
            config = getattr(self.pipeline, stage)
            if config is None:
                continue
            found = [*self._data(stage, config), *self._start(stage, config), *self._gates(stage, config)]
            found += [*self._shares(stage, config), *self._sharing(stage, config)]
            for path, text in found:
                self.document.problem(path, text)
            if not found and not self.left_out and stage in modules:
                self._ask(stage, config, modules[stage])

    def _between_datasets(self) -> Iterator[tuple[KeyPath, str]]:
        """Datasets that name others: which must be there, be of the right kind, and not need each other in a circle."""
        for name in self.pipeline.prepare:
            for path, other in self._named_by(name):
                known = self.pipeline.prepare.get(other)
                if other not in self._datasets():
                    hint = did_you_mean(other, self._datasets()) or f" There: {', '.join(self._datasets())}."
                    yield (
                        path,
                        f"there is no dataset '{other}' under 'prepare'.{hint} A path needs a slash: './{other}'",
                    )
                elif "decontaminate" in path and known is not None and known.task is None:
                    yield (
                        path,
                        f"'{other}' is a corpus. A dataset with a task is needed here: its test rows are looked up",
                    )
                elif path[2] == "tokenizer" and known is not None and known.task is not None:
                    yield path, f"'{other}' has a task. A corpus is needed here: its tokenizer is taken"
                elif "against" in path and known is not None and known.near is None:
                    yield path, f"'{other}' keeps no sketches of its rows: set prepare.{other}.deduplicate: [near]"
                elif name in self._reached_from(other):
                    text = "itself: a circle" if other == name else f"'{name}' itself: a circle"
                    yield path, f"'{other}' needs {text}"

    def _named_by(self, name: str) -> Iterator[tuple[KeyPath, str]]:
        """(where, name) of the datasets that one names."""
        config = self.pipeline.prepare.get(name)
        start: KeyPath = ("prepare", name)
        tested = getattr(config, "decontaminate", ())
        found = [((*start, "decontaminate", index), one) for index, one in enumerate(tested)]
        for number, way in enumerate(getattr(config, "deduplicate", ())):
            against = getattr(way, "against", ())
            found += [((*start, "deduplicate", number, "against", index), one) for index, one in enumerate(against)]
        taken = getattr(config, "taken_tokenizer", None)
        if taken is not None:
            found.append(((*start, "tokenizer", "from"), taken.source))
        yield from ((path, one.value) for path, one in found if one.form == "name")

    def _reached_from(self, name: str) -> set[str]:
        """The datasets that one needs, directly or not."""
        found: set[str] = set()
        todo = [name]
        while todo:
            new = {other for _, other in self._named_by(todo.pop())} - found
            found |= new
            todo += new
        return found

    def _data(self, stage: str, config: Any) -> Iterator[tuple[KeyPath, str]]:
        for path, key, reference in self._references(stage, config):
            name = reference.value
            if reference.form != "name":
                continue
            if name not in self._datasets() and self._datasets():
                hint = did_you_mean(name, self._datasets()) or f" There: {', '.join(self._datasets())}."
                yield path, f"there is no dataset '{name}' under 'prepare'.{hint} A path needs a slash: './{name}'"
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

    def _gates(self, stage: str, config: Any) -> Iterator[tuple[KeyPath, str]]:
        """Gates on metrics that a task or the objective isn't measured by."""
        given = [metric.name() for metric in getattr(config, "metrics", None) or ()]
        for index, gate in enumerate(getattr(config, "gates", None) or ()):
            path = (stage, "gates", index, "metric")
            measured = {"": given} if given else {} if self.left_out else self._measured(stage, config)
            for name, metrics in measured.items():
                if not metrics or gate.metric in metrics or (name and gate.data not in (None, name)):
                    continue
                text = f"'{gate.metric}' isn't measured {f'on {name}' if len(measured) > 1 else 'here'}"
                hint = "" if gate.data or len(measured) < 2 else ". Say which dataset the gate is for: data"
                yield path, f"{text}, only {', '.join(metrics)}{hint}"

    def _measured(self, stage: str, config: Any) -> dict[str, list[str]]:
        """The metrics of what is evaluated, by the name of the dataset; [] where the file doesn't say."""
        if self._judges_pretrain(stage, config):
            return {"": list(getattr(getattr(self.pipeline.pretrain, "objective", None), "metrics", ()))}
        data = getattr(config, "data", None) or getattr(self.pipeline.finetune, "data", None)
        found = {}
        for reference in listed(data) if data else ():
            dataset = self.pipeline.prepare.get(str(reference))
            task = None if dataset is None else dataset.task
            found[reference.name] = [] if task is None else list(task.metrics)
        return found

    def _ask(self, stage: str, config: Any, module: Stage) -> None:
        """Let the stage say what it needs: it refuses what can't be."""
        try:
            module.needs(config, self.pipeline)
        except ConfigError as error:
            said = str(error).removeprefix(f"{self.pipeline.file}: ")
            match = re.match(r"['`]?((?:prepare|pretrain|finetune|evaluate|export)[a-z_.0-9\[\]]*)['`]?:? ", said)
            path = _path(match[1]) if match else (stage,)
            self.document.problem(path, said[match.end() :] if match else said)


def _path(text: str) -> KeyPath:
    parts = re.sub(r"\[([0-9]+)\]", r".\1", text).split(".")
    return tuple(int(part) if part.isdecimal() else part for part in parts)

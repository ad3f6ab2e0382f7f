"""What a command has to make: nodes, their inputs and their fingerprints, known before anything is made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bmtool.artifacts.fingerprint import Identity
from bmtool.artifacts.foreign import foreign_checkpoint, hub_checkpoint
from bmtool.artifacts.manifest import MANIFEST, Artifact
from bmtool.artifacts.store import Place, Store, open_artifact
from bmtool.config.hub import hub_name
from bmtool.config.model import what
from bmtool.config.references import STAGES
from bmtool.config.smoke import SMOKE_SUFFIX
from bmtool.config.variables import expand
from bmtool.data.tokenizing.tokenizer_files import TOKENIZER_FILES
from bmtool.errors import ConfigError, MissingInputError, did_you_mean
from bmtool.runner.pipeline import stage_module

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bmtool.config.model import Settings
    from bmtool.console import Console
    from bmtool.contracts import Need, Stage
    from bmtool.runner.pipeline import Pipeline

#: What is fetched with a checkpoint of the hub, as far as it is there: its tokenizer, and what bmtool notes beside it.
HUB_FILES = (*TOKENIZER_FILES, "bmtool.json")


@dataclass(frozen=True)
class Node:
    """One artifact to be: a stage, its settings, what it reads and the fingerprint that follows."""

    stage: str
    dataset: str | None
    """The dataset's name, for prepare."""
    config: Settings
    inputs: dict[str, Node | Artifact]
    identity: Identity
    place: Place
    is_named: bool = True
    """Whether a section of the file stands for it; else it belongs to another node and is made on the way."""
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By role of an input that is a dataset: the splits that must hold rows."""

    @property
    def label(self) -> str:
        """`prepare corpus`, `pretrain`."""
        return f"{self.stage} {self.dataset}" if self.dataset else self.stage

    @property
    def variants(self) -> list[Node]:
        """This section with one seed after the other: all of its work is done by them."""
        own = (source for source in self.inputs.values() if isinstance(source, Node) and not source.is_named)
        return [source for source in own if but_for_seeds(source) == but_for_seeds(self)]

    @property
    def section(self) -> str:
        """Where its settings are in the file: `prepare.corpus`, `pretrain`."""
        return f"{self.stage}.{self.dataset}" if self.dataset else self.stage

    @property
    def link(self) -> str:
        """Its name below the pipeline's: `prepare/corpus`, `pretrain`."""
        return f"{self.stage}/{self.dataset}" if self.dataset else self.stage

    @property
    def module(self) -> Stage:
        """The stage's code."""
        return stage_module(self.stage)


@dataclass
class Planner:
    """Turns the sections of a file into nodes."""

    pipeline: Pipeline
    store: Store
    console: Console | None = None
    """Where it is said what is fetched from the network; None: nothing is."""
    _nodes: dict[tuple[str, str | None], Node] = field(default_factory=dict)
    _making: list[tuple[str, str | None]] = field(default_factory=list)

    def nodes(self, stage: str, dataset: str | None = None) -> list[Node]:
        """The nodes of a stage: one, or for prepare one a dataset.

        Raises:
            ConfigError: the file has no such section or dataset.
        """
        if stage == "prepare":
            names = [dataset] if dataset else list(self.pipeline.prepare)
            if not names:
                raise ConfigError(f"{self.pipeline.file}: there is no section 'prepare'")
            return self._in_order([self.node("prepare", name) for name in names])
        return [self.node(stage, None)]

    def _in_order(self, nodes: list[Node]) -> list[Node]:
        """The same nodes, each behind those of them that it reads; else as the file has them."""
        ordered: dict[str, Node] = {}
        for node in nodes:
            for one in [*upstream(node), node]:  # two names may stand for the same artifact
                ordered |= {same.label: same for same in nodes if same.place == one.place}
        return list(ordered.values())

    def node(self, stage: str, dataset: str | None) -> Node:
        """One node, made once.

        Raises:
            ConfigError: datasets need each other in a circle.
        """
        key = (stage, dataset)
        if key in self._making:
            circle = " -> ".join(str(name) for _, name in [*self._making[self._making.index(key) :], key])
            raise ConfigError(
                f"{self.pipeline.file}: prepare.{dataset}: datasets need each other in a circle: {circle}"
            )
        if key not in self._nodes:
            self._making.append(key)
            try:
                self._nodes[key] = self._make(stage, dataset, self._section(stage, dataset), is_named=True)
            finally:
                self._making.pop()
        return self._nodes[key]

    def _section(self, stage: str, dataset: str | None) -> Settings:
        file = self.pipeline.file
        if stage != "prepare":
            section = getattr(self.pipeline, stage)
            if section is None:
                raise ConfigError(f"{file}: there is no section '{stage}'")
            return cast("Settings", section)
        if dataset not in self.pipeline.prepare:
            known = self.pipeline.prepare
            hint = did_you_mean(str(dataset), known)
            raise ConfigError(
                f"{file}: there is no dataset '{dataset}' under 'prepare'.{hint} Known: {', '.join(known)}"
            )
        return cast("Settings", self.pipeline.prepare[str(dataset)])

    def _make(self, stage: str, dataset: str | None, config: Settings, *, is_named: bool) -> Node:
        module = stage_module(stage)
        needs = module.needs(config, self.pipeline)
        inputs = {role: self._resolve(role, need) for role, need in needs.items()}
        if self.console is not None and stage == "prepare":
            cast("Any", config).fetch(replace(self.console, prefix=f"{stage} {dataset}: "))
        is_smoke = self.pipeline.is_smoke
        settings = what(config) | ({"smoke": True} if is_smoke else {})
        settings.pop("seed", None)
        identity = Identity(
            stage=stage,
            version=module.VERSION if module.VERSION_COUNTS else None,
            settings=settings,
            seed=getattr(config, "seed", None) or 0,
            inputs={role: fingerprint_of(source) for role, source in inputs.items()},
            raw=self.store.hashes_of_raw(module.raw(config), is_smoke=is_smoke),
        )
        place = self.store.place(stage, identity.fingerprint())
        splits = {role: need.splits for role, need in needs.items()}
        return Node(stage, dataset, config, inputs, identity, place, is_named, splits)

    def _resolve(self, role: str, need: Need) -> Node | Artifact:
        if need.made is not None:
            stage, config = need.made
            return self._make(stage, None, config, is_named=False)
        if need.reference is None:
            raise AssertionError(f"need '{role}' says neither what it refers to nor what is to be made")
        name = need.reference.value
        hub = hub_name(name)
        if hub is not None:
            return hub_checkpoint(hub, HUB_FILES, self.store.hashes, self.console)
        if need.reference.form == "path":
            return self._at_path(Path(expand(name)), need.kind)
        if need.kind == "dataset" and name in self.pipeline.prepare:
            return self.node("prepare", name)
        if need.kind == "checkpoint" and name in STAGES and getattr(self.pipeline, name, None) is not None:
            return self.node(name, None)
        return self._by_name(name, need.kind)

    def _by_name(self, name: str, kind: str) -> Artifact:
        """An artifact that another file of the same name made: this file has no section for it."""
        link = f"{self.pipeline.name}/prepare/{name}" if kind == "dataset" else f"{self.pipeline.name}/{name}"
        artifact = self.store.named(link)
        if artifact is None and self.pipeline.is_smoke:  # what was really made serves as well
            artifact = self.store.named(link.replace(f"{SMOKE_SUFFIX}/", "/", 1))
        if artifact is None:
            known = ", ".join(self.pipeline.prepare) or "none"
            where = f"under 'prepare' (there: {known})" if kind == "dataset" else "a section of this file"
            raise MissingInputError(
                f"{self.pipeline.file}: '{name}' is not {where}, and {self.store.root / link} doesn't exist. "
                f"Make it first, or give a path with a slash"
            )
        return self._checked(artifact, kind)

    def _at_path(self, path: Path, kind: str) -> Artifact:
        if kind == "checkpoint" and path.is_dir() and not (path / MANIFEST).exists():
            return foreign_checkpoint(path, self.store.hashes)
        return self._checked(open_artifact(path), kind)

    def _checked(self, artifact: Artifact, kind: str) -> Artifact:
        if artifact.kind != kind:
            raise MissingInputError(f"{artifact.folder}: a {kind} is needed here, and this is a {artifact.kind}")
        if artifact.is_smoke and not self.pipeline.is_smoke:
            raise MissingInputError(
                f"{artifact.folder}: a smoke run made this {kind}, from a few rows or in a few steps, and only a smoke "
                f"run may read it. Make it without --smoke"
            )
        return artifact


def but_for_seeds(node: Node) -> tuple[str, dict[str, Any]]:
    """What a node makes, whatever the seed."""
    return node.stage, {name: value for name, value in what(node.config).items() if name not in ("seed", "seeds")}


def fingerprint_of(source: Node | Artifact) -> str:
    """The fingerprint of an input, made or not."""
    return source.place.fingerprint if isinstance(source, Node) else source.fingerprint


def upstream(node: Node) -> list[Node]:
    """Every node that `node` reads, directly or not, in the order in which they are made."""
    found: dict[str, Node] = {}
    for source in node.inputs.values():
        if isinstance(source, Node):
            found.update({n.place.name: n for n in [*upstream(source), source]})
    return list(found.values())


def resolved(config: Settings) -> dict[str, Any]:
    """All settings with their defaults, for the manifest."""
    return config.model_dump(mode="json", by_alias=True)

"""The life of an artifact: inputs, up to date or why not, lock, run or resume, commit, link, gates."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.files import stamp_of
from bmtool.artifacts.lock import locked
from bmtool.artifacts.manifest import Artifact, Manifest
from bmtool.contracts import Job
from bmtool.errors import BmtoolError, ConfigError, GateError, MissingInputError, TryAgainError
from bmtool.runner.crash import as_error
from bmtool.runner.environment import describe_environment, git_revision
from bmtool.runner.estimate import estimate_lines
from bmtool.runner.history import append_history
from bmtool.runner.plan import Node, fingerprint_of, resolved, upstream
from bmtool.runner.reasons import why
from bmtool.runner.together import run_stage

if TYPE_CHECKING:
    from bmtool.artifacts.store import Store
    from bmtool.console import Console
    from bmtool.contracts import GateResult
    from bmtool.runner.pipeline import Pipeline
    from bmtool.runner.stop import StopRequest


@dataclass(frozen=True)
class Options:
    """How a command was asked to work."""

    force: bool = False
    dry_run: bool = False
    is_locked: bool = False
    wait_seconds: float = 0.0
    overrides: tuple[str, ...] = ()
    """Each `--set`, for commands that are suggested: without them they would make something else."""
    is_smoke: bool = False

    def suggested(self, command: str) -> str:
        """The command with the overrides of this one."""
        smoke = " --smoke" if self.is_smoke else ""
        return command + smoke + "".join(f" --set {shlex.quote(override)}" for override in self.overrides)


@dataclass(frozen=True)
class Result:
    """What became of one artifact; one entry of `--json`."""

    stage: str
    dataset: str | None
    status: str
    artifact: str | None
    fingerprint: str
    seconds: float = 0.0
    summary: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass
class Runner:
    """Makes nodes. One per command."""

    pipeline: Pipeline
    store: Store
    console: Console
    stop: StopRequest
    options: Options
    results: list[Result] = field(default_factory=list)

    def make(self, node: Node) -> None:
        """Bring a named node up to date and append its result; its named inputs must be there already.

        Raises:
            BmtoolError: what went wrong; the result is appended all the same.
        """
        started = time.monotonic()
        console = replace(self.console, prefix=f"{node.label}: ")
        status, artifact = "failed", None
        error: BmtoolError | None = None
        try:
            status, artifact = self.obtain(node, console)
            self._switch(node, artifact, status)
            self._judge(node, artifact.summary, console)
        except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001  # whatever it was is recorded, then raised
            error = as_error(problem, self.store.root)
            if not str(error).startswith(node.label):  # with `-q` it is the only line, and says which dataset it is
                error = type(error)(f"{node.label}: {error}")
            status = {3: "gate_failed", 75: "interrupted", 130: "interrupted"}.get(error.exit_code, "failed")
        seconds = round(time.monotonic() - started, 3)
        folder = str(artifact.folder) if artifact else None
        summary = artifact.summary if artifact else {}
        text = str(error) if error else None
        self.results.append(
            Result(node.stage, node.dataset, status, folder, node.place.fingerprint, seconds, summary, text)
        )
        if error:
            raise error

    def obtain(self, node: Node, console: Console) -> tuple[str, Artifact]:
        """The artifact of a node, made if it isn't there: (`done` or `up_to_date`, artifact)."""
        self._check_inputs(node)
        artifact = self._up_to_date(node, console)
        return ("up_to_date", artifact) if artifact else self._work(node, console)

    # ---------------------------------------------------------------- steps

    def _check_inputs(self, node: Node) -> None:
        """Named inputs are made, whole, and passed their gates."""
        for role, source in node.inputs.items():
            if isinstance(source, Artifact):
                self.store.verify(source)
            elif source.is_named:
                self._check_made(node, role, source)

    def _check_made(self, node: Node, role: str, source: Node) -> None:
        artifact = self.store.find(source.place)
        if artifact is None:
            reason = why(source, self.store, self.pipeline.name)
            kind = ConfigError if self.options.is_locked else MissingInputError
            dataset = f" {source.dataset}" if source.dataset else ""
            file = shlex.quote(str(self.pipeline.file))
            raise kind(
                f"{node.label} reads {source.label} ({role}), which isn't up to date ({reason}). "
                f"Make it: {self.options.suggested(f'bmtool {source.stage} {file}{dataset}')}"
            )
        self.store.verify(artifact)
        failed = [gate.message for gate in source.module.gates(source.config, artifact.summary) if self._fails(gate)]
        if failed:
            raise GateError(f"{source.label}: {'; '.join(failed)}")

    def _up_to_date(self, node: Node, console: Console) -> Artifact | None:
        artifact = None if self.options.force else self.store.find(node.place)
        if artifact is not None:
            self.store.verify(artifact)
            self.store.tidy(node.place)
            console.say(f"up to date ({artifact.folder})")
            for warning in artifact.summary.get("warnings", ()):
                console.say(f"warning: {warning}")
        return artifact

    def _work(self, node: Node, console: Console) -> tuple[str, Artifact]:
        reason = "--force" if self.options.force else why(node, self.store, self.pipeline.name)
        console.say(reason)
        reads = [source.place.name if isinstance(source, Node) else source.folder.name for source in _all_inputs(node)]
        with locked(node.place.lock, wait_seconds=self.options.wait_seconds, waiting=console.say, reads=reads):
            existing = None if self.options.force else self.store.find(node.place)
            if existing is not None:  # another run made it while this one waited
                return "up_to_date", existing
            if not self.options.force and self.store.is_complete(node.place):
                console.say("resumed: everything was written, only the commit was missing")
                return "done", self.store.finish(node.place)
            made = self._made_on_the_way(node)
            return "done", self._run(node, console, made)

    def _made_on_the_way(self, node: Node) -> dict[str, Artifact]:
        """Inputs that belong to this node alone: made now, from the same options; only its own variants are forced."""
        made = {}
        for role, source in node.inputs.items():
            if isinstance(source, Node) and not source.is_named:
                options = Options(
                    force=self.options.force and source in node.variants,
                    wait_seconds=self.options.wait_seconds,
                    is_smoke=self.options.is_smoke,
                )
                helper = replace(self, options=options)
                console = replace(self.console, prefix=f"{node.label}, {role}: ")
                made[role] = helper.obtain(source, console)[1]
        return made

    def _run(self, node: Node, console: Console, made: dict[str, Artifact]) -> Artifact:
        if self.store.begin(node.place, fresh=self.options.force):
            console.say("going on in the folder of an earlier run")
        inputs = {role: made.get(role) or self._artifact(source) for role, source in node.inputs.items()}
        stamps = {name: stamp_of(path) for name, path in node.module.raw(node.config)}
        self._check_raw(node)  # under these stamps they are still what the fingerprint says
        job = Job(
            folder=node.place.partial,
            inputs=inputs,
            seed=node.identity.seed,
            runtime=self.pipeline.runtime,
            console=console,
            stop=self.stop,
            fingerprint=node.place.fingerprint,
            raw=node.identity.raw,
            stamps=stamps,
            cache=self.store.cache,
            is_fresh=self.options.force,
            wait_seconds=self.options.wait_seconds,
            reports=self.store.root / self.pipeline.name / "reports" / node.stage,
            is_smoke=self.pipeline.is_smoke,
        )
        started = datetime.now(UTC)
        summary = run_stage(node.stage, node.config, job, self.stop)
        self._check_raw(node)
        environment = describe_environment() | summary.pop("environment", {})
        manifest = Manifest(
            kind=node.module.KIND,
            stage=node.stage,
            stage_version=node.module.VERSION,
            fingerprint=node.place.fingerprint,
            config=resolved(node.config) | {"seed": node.identity.seed},
            inputs=self._inputs(node),
            files=self.store.entries(node.place),
            summary=summary,
            environment=environment,
            git_revision=git_revision(),
            started=started.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            is_smoke=self.pipeline.is_smoke,
        )
        return self.store.commit(node.place, manifest)

    def _check_raw(self, node: Node) -> None:
        """What was read is what the fingerprint says: no raw file came, went or changed meanwhile."""
        now = self.store.hashes_of_raw(node.module.raw(node.config), is_smoke=self.pipeline.is_smoke)
        before = node.identity.raw
        changed = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise TryAgainError(f"{changed[0]}{more} changed while it was read. Run the command again")

    def _artifact(self, source: Node | Artifact) -> Artifact:
        found = self.store.find(source.place) if isinstance(source, Node) else source
        if found is None:
            raise AssertionError("an input vanished between its check and its use")
        return found

    def _inputs(self, node: Node) -> dict[str, dict[str, str]]:
        folders = {
            role: source.place.folder.name if isinstance(source, Node) else source.folder.name
            for role, source in node.inputs.items()
        }
        inputs = {
            role: {"path": folders[role], "fingerprint": fingerprint_of(source)} for role, source in node.inputs.items()
        }
        for role, source in node.inputs.items():
            if isinstance(source, Artifact) and source.revision:
                inputs[role]["revision"] = source.revision
        return inputs | {f"source:{name}": {"sha256": sha256} for name, sha256 in node.identity.raw.items()}

    def _switch(self, node: Node, artifact: Artifact, status: str) -> None:
        """Let the name point at the artifact, and note it in the history."""
        if self.store.link(f"{self.pipeline.name}/{node.link}", artifact) or status == "done":
            append_history(self.store.root / self.pipeline.name, node, artifact, status)

    def _judge(self, node: Node, summary: dict[str, Any], console: Console) -> None:
        for line in node.module.describe(summary):
            console.say(line)
        gates = node.module.gates(node.config, summary)
        for gate in gates:
            is_excused = not gate.passed and not self._fails(gate)
            console.say(gate.verdict + (" (no failure in a smoke run)" if is_excused else ""))
        failed = [gate.message for gate in gates if self._fails(gate)]
        if failed:
            raise GateError(f"{node.label}: {'; '.join(failed)}")

    def _fails(self, gate: GateResult) -> bool:
        """Whether a gate ends the command: in a smoke run not for the quality that so little work can't give."""
        return not gate.passed and not (self.pipeline.is_smoke and gate.is_about_quality)


def _all_inputs(node: Node) -> list[Node | Artifact]:
    """What a node reads, and what that is made from on the way: `clean` leaves it there while the node is made."""
    own = list(node.inputs.values())
    made = [source for source in own if isinstance(source, Node) and not source.is_named]
    return [*own, *(one for source in made for one in _all_inputs(source))]


def dry_run(nodes: list[Node], store: Store, pipeline: Pipeline, console: Console, *, force: bool) -> list[Result]:
    """Say for every node whether it would be made, and why, and of training what it takes; make nothing."""
    name = pipeline.name
    results = []
    for node in nodes:
        found = None if force else store.find(node.place)
        reason = "up to date" if found else "--force" if force else why(node, store, name)
        console.say(f"{node.label}: {reason}")
        status = "up_to_date" if found else "would_run"
        folder = str(found.folder) if found else None
        summary: dict[str, Any] = {}
        if found is None and node.module.KIND == "checkpoint":
            lines, taken = estimate_lines(node, store, pipeline.runtime, console)
            for line in lines:
                console.say(f"{node.label}: {line}")
            summary = {"estimate": taken} if taken else {}
        results.append(Result(node.stage, node.dataset, status, folder, node.place.fingerprint, summary=summary))
    return results


def check_locked(nodes: list[Node], store: Store, name: str) -> None:
    """`--locked`: nothing upstream of the last node may have to be made again."""
    last = nodes[-1]
    for node in upstream(last):
        if node.is_named and store.find(node.place) is None:
            raise ConfigError(f"--locked: {node.label} isn't up to date ({why(node, store, name)})")

"""`--dry-run` of a stage that trains: what it would take, as far as it can be known before its inputs are made."""

from __future__ import annotations

import os
import statistics
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from bmtool.artifacts.manifest import MANIFEST, Artifact, read_manifest
from bmtool.console import size_text
from bmtool.contracts import Job, Planned
from bmtool.runner.plan import but_for_seeds
from bmtool.runner.stop import StopRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from bmtool.artifacts.store import Store
    from bmtool.config.shared import Runtime
    from bmtool.console import Console
    from bmtool.contracts import TrainingStage
    from bmtool.runner.plan import Node
    from bmtool.train.sizing.estimate import Estimate, Outline

#: The share of the machine's matrix-product speed that is reckoned with where no run has been measured. A prototype
#: reached 0.55 with BERT 4x256 and 0.65 with 6x512, in bfloat16 on two cores.
ASSUMED_SHARE = 0.5

#: Of so many of the newest runs the median is taken.
_RUNS = 5


def estimate_lines(node: Node, store: Store, runtime: Runtime, console: Console) -> tuple[list[str], dict[str, Any]]:
    """What to say, and the same as plain JSON ({} if nothing is left to train). It imports torch, and opens the inputs.

    Where some of them are still to be made by other sections, settings alone say what they can. Trainings that are made
    on the way, such as those of teachers, are estimated too, and come first.
    """
    if node.variants:
        return _of_variants(node, store, runtime, console)
    inputs = {role: _planned(source, store) for role, source in node.inputs.items()}
    made = {role: one for role, one in inputs.items() if isinstance(one, Artifact)}
    job = Job(
        folder=node.place.partial,
        inputs=made,
        seed=node.identity.seed,
        runtime=runtime,
        console=replace(console, quiet=True),
        stop=StopRequest(),
        fingerprint=node.place.fingerprint,
        cache=store.cache,
    )
    left = {role: cast("Node", node.inputs[role]) for role in inputs if role not in made}
    missing = [one for one in left.values() if one.is_named]
    if missing:
        return _sketched(node, inputs, missing, store, job)
    before, told_before = _made_first(left, store, runtime, console)
    if left and not told_before:
        return before, {}
    outline = cast("TrainingStage", node.module).outline(node.config, job)
    lines, told = _counted(outline, _estimate, store, job)
    if not before:
        return lines, told
    all_seconds = told["seconds"] + told_before["seconds"]
    lines = [*before, f"then {lines[0]}", *lines[1:], f"about {time_text(all_seconds)} in all"]
    return lines, told | {"made_first": told_before, "all_seconds": all_seconds}


def _planned(source: Node | Artifact, store: Store) -> Planned | Artifact:
    """An input as far as it is there."""
    found = source if isinstance(source, Artifact) else store.find(source.place)
    if found is not None:
        return found
    node = cast("Node", source)
    inputs = {role: _planned(one, store) for role, one in node.inputs.items()}
    return Planned(node.stage, node.section, node.config, inputs)


def _sketched(
    node: Node, inputs: dict[str, Planned | Artifact], missing: list[Node], store: Store, job: Job
) -> tuple[list[str], dict[str, Any]]:
    """What can be said before other sections are made."""
    from bmtool.train.jobs.sketch import foresee

    sketch = cast("TrainingStage", node.module).sketch(node.config, inputs, job)

    def count(outline: Outline, *how: Any, **more: Any) -> Estimate:
        return foresee(replace(sketch, outline=outline), *how, **more)

    lines, told = _counted(sketch.outline, count, store, job)
    longest = max(phase.training.max_seq_length for phase in sketch.outline.phases)
    given = [*sketch.given, f"texts of {longest:,} tokens"]
    labels = list(dict.fromkeys(one.label for one in missing))
    if sketch.reads_first:
        lines.append(f"how long it takes, with what {sketch.reads_first} reads or trains first, is unknown yet")
    if sketch.is_counted:
        lines.append(f"counted with the rows that are there, for the model that {_listed(labels)} will make")
        return lines, told | {"given": [], "missing": labels}
    there = f"{_listed(labels)} {'is' if len(labels) == 1 else 'are'} made"
    lines.append(f"from settings alone, with {_listed(given)}; what the data decides is known once {there}")
    return lines, told | {"given": given, "missing": labels}


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _made_first(
    nodes: dict[str, Node], store: Store, runtime: Runtime, console: Console
) -> tuple[list[str], dict[str, Any]]:
    """What the inputs that are still to be made on the way take together; of those that differ in their seed, one."""
    alike: list[list[str]] = []
    for role, node in nodes.items():
        known = next((roles for roles in alike if but_for_seeds(nodes[roles[0]]) == but_for_seeds(node)), None)
        alike.append([role]) if known is None else known.append(role)
    lines: list[str] = []
    trainings, seconds = 0, 0.0
    for roles in alike:
        own, told = estimate_lines(nodes[roles[0]], store, runtime, console)
        if not told:
            return own, {}
        lines += [f"first {len(roles)} to train ({', '.join(roles)}), one after the other, each:", *own]
        trainings, seconds = trainings + len(roles), seconds + len(roles) * told["seconds"]
    return lines, {"trainings": trainings, "seconds": seconds}


def _of_variants(node: Node, store: Store, runtime: Runtime, console: Console) -> tuple[list[str], dict[str, Any]]:
    """Of the first variant that isn't there yet; they differ in no number that is estimated."""
    missing = [one for one in node.variants if store.find(one.place) is None]
    if not missing:
        return ["nothing is left to train"], {}
    lines, told = estimate_lines(missing[0], store, runtime, console)
    told = {**told, "trainings": len(missing)} if told else {}
    return [f"{len(missing)} to train, one after the other, each:", *lines], told


def _estimate(outline: Outline, *how: Any, **more: Any) -> Estimate:
    from bmtool.train.sizing.estimate import estimate

    return estimate(outline, *how, **more)


def _counted(
    outline: Outline, count: Callable[..., Estimate], store: Store, job: Job
) -> tuple[list[str], dict[str, Any]]:
    """What `count` says of what would be trained, on this machine."""
    from bmtool.train.machine.device import set_up
    from bmtool.train.machine.peak import matmul_peak
    from bmtool.train.machine.precision import pick_precision, short_name
    from bmtool.train.sizing.auto_batch import USEFUL_TOKENS, fitting, settle
    from bmtool.train.weights.sharing import is_shared_out, memory_bytes

    processes = job.runtime.processes
    device, choices = set_up(job.runtime, 0, processes)
    training = outline.phases[0].training
    dtype, _ = pick_precision(training.precision, device)
    is_shared, why = is_shared_out(
        job.runtime.fsdp,
        outline.model,
        training.optim,
        dtype,
        processes=processes,
        there=lambda: memory_bytes(device, processes),
    )
    parts = processes if is_shared else 1
    limit = partial(fitting, outline.model, outline.phases, device, dtype, local_size=processes, parts=parts)
    settled, batches = settle(outline.phases, (), limit, useful=USEFUL_TOKENS[device.type], processes=processes)
    taken = count(replace(outline, phases=settled), dtype, job.seed, device=device, parts=parts)
    share, reason = share_reached(store, f"{short_name(dtype)} ", choices["device"].partition(" ")[0])
    may_keep = os.access(store.folder, os.W_OK)  # a dry run makes no folder, and may be of one who only reads
    peak = matmul_peak(device, dtype, job.cache if may_keep else None)
    told = {"share": share, "share_reason": reason, "matmul_peak": peak, "processes": processes, "weights": why}
    told |= taken.plain() | {"seconds": taken.seconds(peak * share * processes)}
    told |= {"step_seconds": taken.step_seconds(peak * share * processes)}
    lines = _lines(taken, told, is_shared=is_shared)
    if batches:
        lines.append(f"batches of a step: {batches}")
    lines += [f"{what} {choice}" for what, choice in outline.choices.items()]
    return lines, told | {"choices": dict(outline.choices)}


def _lines(taken: Estimate, told: dict[str, Any], *, is_shared: bool) -> list[str]:
    processes = told["processes"]
    held = ", ".join(f"{what} {size_text(size)}" for what, size in taken.memory.items())
    each = f" in each of {processes} processes, weights {'shared out' if is_shared else 'whole'} ({told['weights']})"
    return [
        f"{taken.parameters:,} weights, {_steps_text(taken)}",
        f"about {size_text(sum(taken.memory.values()))} of memory{each if processes > 1 else ''}: {held}",
        *_time_lines(taken, told),
        f"about {size_text(taken.disk)} of disk while states are saved, the final model with them",
    ]


def _steps_text(taken: Estimate) -> str:
    if taken.steps is None:
        return "steps unknown yet: num_train_epochs counts passes over the data"
    before = f"; before, {taken.read_tokens:,} tokens are read once" if taken.read_tokens else ""
    return f"{taken.steps:,} steps, {taken.tokens:,} tokens{before}"


def _time_lines(taken: Estimate, told: dict[str, Any]) -> list[str]:
    """How long all takes, and a step; nothing where that isn't known."""
    if taken.step_operations is None:
        return []
    operations, seconds, whole = taken.step_operations, told["step_seconds"], ""
    if told["seconds"] is not None and taken.steps:
        operations += taken.read_operations / taken.steps
        seconds, whole = told["seconds"] / taken.steps, f"{time_text(told['seconds'])}, "
    processes = told["processes"]
    how = (
        f"{operations:.3g} operations a step, at {told['share']:.0%} ({told['share_reason']}) of the "
        f"{told['matmul_peak']:.3g} a second that matrix products reach here"
    )
    among = f", in {processes} processes" if processes > 1 else ""
    return [f"about {whole}{time_text(seconds)} a step, without validation: {how}{among}"]


def share_reached(store: Store, precision: str, device: str) -> tuple[float, str]:
    """The share of the matrix-product peak that the newest runs in this store reached on such a device, and whence."""
    found = []
    for folder in store.folder.iterdir() if store.folder.is_dir() else ():
        if folder.name.startswith(".") or not (folder / MANIFEST).exists():
            continue
        manifest = read_manifest(folder)
        choices = manifest.environment.get("choices") or {}
        share = manifest.summary.get("flop_utilisation")
        is_alike = choices.get("precision", "").startswith(precision) and choices.get("device", "").startswith(device)
        if share is not None and is_alike and not manifest.is_smoke:
            found.append((manifest.finished, share))
    if not found:
        return ASSUMED_SHARE, "assumed: no run here was long enough to be measured"
    newest = [share for _, share in sorted(found)[-_RUNS:]]
    return statistics.median(newest), f"as {len(newest)} earlier run{'s' if len(newest) > 1 else ''} here"


def time_text(seconds: float) -> str:
    """`2.5 h`."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.2g} s"

"""Other evaluations of as many seeds on the same rows: what this one is compared with, seed by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts import Job, Metric

#: Roles of such evaluations among the inputs: `against:NAME`.
AGAINST = "against:"


def other_studies(
    job: Job, dataset: str, split: str, metrics: Sequence[Metric], seeds: Collection[int]
) -> dict[str, dict[str, list[float]]]:
    """By name and metric, the values that other studies have for these seeds, in their order.

    Of several datasets a study may have measured some alone.

    Raises:
        MissingInputError: a study is of other rows, of other seeds or of other metrics.
    """
    several = sum(role.startswith("data:") for role in job.inputs) > 1
    found = {}
    for role, artifact in job.inputs.items():
        if role.startswith(AGAINST):
            result = _same_rows(artifact, job.inputs[f"data:{dataset}"].fingerprint, split)
            if result is not None:
                found[role.removeprefix(AGAINST)] = _values(artifact, result, metrics, seeds)
            elif not several:
                raise MissingInputError(
                    f"{artifact.folder}: it measured other rows than those of the {split} split of '{dataset}', and "
                    f"seeds are compared on the same ones. Evaluate that study on this dataset first"
                )
    return found


def _same_rows(artifact: Artifact, fingerprint: str, split: str) -> dict[str, Any] | None:
    """What an evaluation says of the dataset with this fingerprint, if it measured this split of it."""
    inputs = artifact.manifest.inputs if artifact.manifest else {}
    for name, result in artifact.summary["datasets"].items():
        if inputs[f"data:{name}"]["fingerprint"] == fingerprint and result["split"] == split:
            return dict(result)
    return None


def _values(
    artifact: Artifact, result: dict[str, Any], metrics: Sequence[Metric], seeds: Collection[int]
) -> dict[str, list[float]]:
    study = result.get("seeds", {"seeds": [], "metrics": {}})
    there = study["seeds"]
    missing = [seed for seed in seeds if seed not in there]
    if missing:
        has = f"the seeds {', '.join(map(str, there))}" if there else "one seed"
        raise MissingInputError(
            f"{artifact.folder}: it has {has}, and {', '.join(map(str, seeds))} are compared. Set finetune.seeds and "
            f"seed there as here, and evaluate it again"
        )
    given = (artifact.manifest.config.get("metrics") if artifact.manifest else None) or []
    settings = {one["type"]: one for one in given}
    alike = [metric for metric in metrics if settings.get(metric.name(), _plain(type(metric)())) == _plain(metric)]
    common = [metric.name() for metric in alike if metric.name() in study["metrics"]]
    if not common:
        theirs, ours = ", ".join(study["metrics"]), ", ".join(metric.name() for metric in metrics)
        raise MissingInputError(f"{artifact.folder}: it measured {theirs}, and none of {ours} in the same way")
    return {name: [study["metrics"][name]["values"][there.index(seed)] for seed in seeds] for name in common}


def _plain(metric: Metric) -> dict[str, Any]:
    return metric.model_dump(mode="json", by_alias=True)

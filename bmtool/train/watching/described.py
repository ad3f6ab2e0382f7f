"""The few lines that a person sees of a training; they come from its summary, without any heavy import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def pretrained_lines(summary: Mapping[str, Any]) -> list[str]:
    """What was trained, how long, how good it is on validation, and what became of other domains."""
    line = (
        f"{summary['parameters'] / 1e6:,.1f} M weights, {summary['steps']:,} steps, {summary['tokens']:,} tokens "
        f"({summary['epochs']:.3g} epochs), {summary['tokens_per_second']:,} tokens/s"
    )
    if summary["flop_utilisation"] is not None:
        line += f", {summary['flop_utilisation']:.0%} of the machine's matrix-product speed"
    scores = _scores(summary["validation"])
    return [line, *([f"on validation: {scores}"] if scores else []), *map(_domain_line, summary["domains"].items())]


def finetuned_lines(summary: Mapping[str, Any]) -> list[str]:
    """The best step and its scores, or the last one; and how far seeds differ."""
    lines = [_kept_line(summary)]
    if "seeds" in summary:
        metric = (summary["best"] or {}).get("metric")
        values = [one[metric] for one in summary["seeds"].values() if one.get(metric) is not None]
        shown = f"; {metric} on validation {min(values):.3f} to {max(values):.3f}" if values else ""
        lines.append(f"the first of {len(summary['seeds'])} seeds{shown}")
    return lines


def _kept_line(summary: Mapping[str, Any]) -> str:
    best, steps = summary["best"], summary["steps"]
    if not summary["validation"]:
        return f"the last of {steps:,} steps is kept: there is no validation split to choose by"
    order = sorted(summary["validation"], key=lambda name: name != (best or {}).get("metric"))
    scores = _scores({name: summary["validation"][name] for name in order})
    early = ", stopped early" if summary["stopped_early"] else ""
    kept = f"step {best['step']:,} of {steps:,}{early}, the best by {best['metric']}" if best else f"step {steps:,}"
    return f"kept {kept}; on validation: {scores}"


def _scores(metrics: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if value is not None)


def _domain_line(domain: tuple[str, dict[str, dict[str, float | None]]]) -> str:
    """`general: loss 2.310 before, 2.349 after (+1.7 %)`."""
    name, measured = domain
    before, after = measured["before"].get("loss"), measured["after"].get("loss")
    if not before or after is None:
        return f"{name}: loss not measured"
    return f"{name}: loss {before:.3f} before, {after:.3f} after ({after / before - 1:+.1%})"

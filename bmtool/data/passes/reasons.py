"""Why rows are dropped: the names that the ledger, the limits and the reports go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bmtool.contracts import Filter, Source
    from bmtool.stages.prepare import Config

NOT_SAMPLED = "not sampled"
EMPTY = "empty text"
UNLISTED = "label not listed"
DUPLICATE = "duplicate"
NEAR = "near duplicate"
EARLIER = "in an earlier dataset"
CONTAMINATED = "contaminated"
NOT_DRAWN = "not drawn"

#: Rows that leave for these reasons were asked to: no rule dropped them.
ASKED_FOR = (NOT_SAMPLED, NOT_DRAWN)


def reasons_of_rows(
    sources: Sequence[Source], labels: tuple[str, ...] | None, filters: Sequence[Filter]
) -> dict[str, tuple[str, ...]]:
    """Reasons that are seen in a row alone, in order; of a filter with the rules by which it is counted besides."""
    reasons: list[str] = [NOT_SAMPLED] if any(source.weight < 1 for source in sources) else []
    reasons += [EMPTY, *([UNLISTED] if labels else [])]
    return {**dict.fromkeys(reasons, ()), **{one.name(): one.rules() for one in filters}}


def reasons_of(config: Config) -> dict[str, tuple[str, ...]]:
    """Every reason for which rows of a dataset may be dropped, likewise."""
    reasons = reasons_of_rows(config.sources, config.task.labels if config.task else None, config.filters)
    there = {
        DUPLICATE: config.is_exact,
        CONTAMINATED: config.decontaminate,
        NEAR: config.near is not None,
        EARLIER: config.near is not None and config.near.against,
        NOT_DRAWN: config.sample is not None,
    }
    return {**reasons, **{reason: () for reason, is_there in there.items() if is_there}}

"""What a finished run did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Fitted:
    """What a finished run did. The model it trained holds the chosen weights in float32."""

    steps: int
    tokens: int
    epochs: float
    metrics: dict[str, float | None]
    """Validation metrics of the chosen weights; {} without validation."""
    best: dict[str, Any] | None
    """`{step, metric, value}` if weights were chosen by a metric."""
    stopped_early: bool
    skipped_steps: int
    recompiles: int
    """Graphs that torch compiled when all should have been; 0 where nothing is compiled"""
    rollbacks: list[dict[str, int]]
    """`{step, to}` of each return to a saved state"""
    choices: dict[str, str]
    """Precision, device and threads, each with its reason."""
    domains: dict[str, dict[str, dict[str, float | None]]]
    """By name of a corpus that was watched: metrics `before` and `after`."""
    tokens_per_second: float
    flop_utilisation: float | None
    """Share of the machine's measured matrix-product speed; None for a short run, or one that hardly uses it."""
    seconds: float
    optimizer_state: dict[str, Tensor]
    """The optimizer's state behind the last step, by `<what>.<parameter>`, twice the weights' size; {} if not wanted"""

    def facts(self) -> dict[str, Any]:
        """What every manifest of a training says; `environment` isn't of what was made, but of how."""
        return {
            "steps": self.steps,
            "epochs": self.epochs,
            "tokens": self.tokens,
            "skipped_steps": self.skipped_steps,
            "recompiles": self.recompiles,
            "rollbacks": self.rollbacks,
            "validation": self.metrics,
            "tokens_per_second": round(self.tokens_per_second),
            "flop_utilisation": self.flop_utilisation,
            "environment": {"choices": self.choices},
        }

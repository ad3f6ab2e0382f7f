"""Where a run is: everything that a resumed run must know besides weights, as plain JSON values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from bmtool.errors import ConfigError


@dataclass
class State:
    """Progress of a run. Random numbers aren't in it: they are a function of seed, epoch and batch."""

    step: int = 0
    """Steps done."""
    phase: int = 0
    phase_step: int = 0
    """Steps done of `phase`."""
    epoch: int = 0
    batch: int = 0
    """The next micro-batch is `batch` of `epoch` of the phase."""
    tokens: int = 0
    """Tokens trained on, special tokens included."""
    ended_epoch: bool = False
    """Whether the last step held the last batch of an epoch."""
    evaluated_step: int = -1
    """The last step after which validation ran."""
    metrics: dict[str, float | None] = field(default_factory=dict)
    """What the last validation gave."""
    best: dict[str, Any] | None = None
    """`{step, metric, value, metrics}` of the best validation so far."""
    evaluations_since_best: int = 0
    stopped_early: bool = False
    first_loss: float | None = None
    skipped_steps: int = 0
    recompiles: int = 0
    """Graphs of layers that torch compiled late (`bmtool.train.weights.compiling`)."""
    bad_steps: list[int] = field(default_factory=list)
    """Recent steps whose loss or gradient was no use, so that the weights didn't change."""
    recent_losses: list[float] = field(default_factory=list)
    """The last usable losses of the phase"""
    spikes: list[float] = field(default_factory=list)
    """Losses that stood out in the last steps, one after the other: of broken weights, or of odd windows"""
    odd: list[dict[str, float]] = field(default_factory=list)
    """`{step, loss}` of recent windows that were odd: the next one had a usual loss with the same weights"""
    odd_loss: float = 0.0
    """Up to here losses are learned from though they stand out: so large ones belong to the data"""
    rollbacks: list[dict[str, int]] = field(default_factory=list)
    """`{step, to}`: behind which step broken weights were given up for those of which step; 0 is the start"""
    losses: dict[str, float] = field(default_factory=dict)
    """Sum of each loss term over the steps since the last line of the log."""
    losses_steps: int = 0
    domains: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Metrics of the starting weights on each corpus that is watched."""
    precision: str = ""
    settings: dict[str, list[Any]] = field(default_factory=dict)
    """Of each phase, those that may have been left out (`bmtool.train.jobs.defaults`): they are in no fingerprint."""
    batch_tokens: list[int] = field(default_factory=list)
    """Of each phase, where they were chosen (`per_device_batch_tokens: auto`): batches are a function of them."""
    seconds: float = 0.0
    """Seconds spent in training steps; no part of any result."""
    loading_seconds: float = 0.0
    """Those of them in which batches were put together."""
    operations: float = 0.0
    """Floating-point operations that training needed, over all processes."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; floats survive JSON unchanged."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> State:
        """The state that `to_json` wrote.

        Raises:
            ConfigError: another version of bmtool wrote it, which knew more.
        """
        unknown = sorted(plain.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise ConfigError(
                f"the saved state was written by another version of bmtool ({unknown[0]} isn't known here). Go on with "
                f"that version, or begin again with --force"
            )
        return cls(**plain)

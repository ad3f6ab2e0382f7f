"""Learn several tasks at once: one encoder for all of them, a head for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveFloat

from bmtool.contracts import Method

if TYPE_CHECKING:
    from collections.abc import Iterable


class MultiTask(Method):
    """Batches of one task after the other train the same encoder; a list of `data` asks for it.

    A step's loss is the mean of its tasks' losses, by their shares of its tokens, each times its weight.
    """

    temperature: Annotated[float, Field(ge=1)] = 1.0
    """Of an epoch's tokens a task with n of them gets a share by n^(1/temperature). With 1 each row comes once, as when
    the task is alone; with more, small tasks come round more often than that, and large ones less."""
    weights: Literal["uncertainty"] | dict[str, PositiveFloat] | None = None
    """Of the losses, by task (others have 1); or `uncertainty`: they are learned (Kendall et al. 2018)."""

    @property
    def weighed(self) -> tuple[str, ...]:
        """The tasks that have a weight of their own."""
        return tuple(self.weights) if isinstance(self.weights, dict) else ()

    def weights_of(self, tasks: Iterable[str]) -> dict[str, float] | None:
        """The weight of each task; None: they are learned."""
        if self.weights == "uncertainty":
            return None
        given = self.weights or {}
        return {name: given.get(name, 1.0) for name in tasks}

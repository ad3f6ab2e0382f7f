"""Give broken weights up for earlier ones: those of a saved state, or those that the run began with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bmtool.console import Console
from bmtool.train.states.checkpoints import MODEL, OPTIMIZER, Checkpoints, Saved
from bmtool.train.states.divergence import MAX_ROLLBACKS, diverged, is_broken, note_rollback, older_than

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from bmtool.contracts import Job
    from bmtool.train.steps import Stepper


@dataclass(frozen=True)
class Start:
    """What a run began with. Weights follow from the seed or an input: they are made again, and neither kept nor saved.

    So a run that is shorter than `save_every` can go back, too, and no other pays for it.
    """

    model: Callable[[Job], nn.Module]
    """Makes the model as it is before the first step"""
    job: Job
    optimizer_state: Mapping[str, Tensor] = field(default_factory=dict)
    """What an earlier run's optimizer ended with; {} for a new one"""
    share: float = 0.0
    """Of its weights in those that are kept at the end (`bmtool.train.weights.averaging`)"""
    new: frozenset[str] = frozenset()
    """Weights that it has nothing to say about: a new head, which would be taken back to where it knew nothing"""
    step: int = 0
    label: str = "the start"

    def tensors(self, name: str) -> Mapping[str, Tensor]:
        """Whole tensors, as `Saved.tensors` gives them."""
        if name == OPTIMIZER:
            return self.optimizer_state
        return dict(self.model(replace(self.job, console=Console(quiet=True))).named_parameters())


def recover_if_broken(stepper: Stepper, checkpoints: Checkpoints, start: Start, console: Console) -> None:
    """When windows one after the other are of no use, give up the weights for some from before the trouble.

    Data, steps and learning rate go on where they are: what led there isn't seen again.

    Raises:
        DivergedError: there are none, or it was done often enough.
    """
    state = stepper.state
    if not is_broken(state):
        return
    checkpoints.finish()
    earlier = _earlier(stepper, checkpoints, start) if len(state.rollbacks) < MAX_ROLLBACKS else None
    if earlier is None:
        raise diverged(state, stepper.phase.training)
    stepper.load(earlier.tensors(MODEL), earlier.tensors(OPTIMIZER))
    stepper.world.told(None)  # the next saved state may push this one out: not before all have read it
    note_rollback(state, earlier.step)
    console.warn(f"step {state.step:,}: training diverged; the weights of {earlier.label} go on from here")


def _earlier(stepper: Stepper, checkpoints: Checkpoints, start: Start) -> Saved | Start | None:
    """The newest weights that didn't lead into this trouble."""
    before = older_than(stepper.state)
    return checkpoints.newest(stepper.world, before=before) or (start if start.step < before else None)

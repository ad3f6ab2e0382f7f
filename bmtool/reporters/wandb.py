"""Send numbers to Weights & Biases, or keep them to be sent later."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bmtool.contracts import Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bmtool.contracts import ReportedRun

#: One of these set says that the network may be used, and how.
_ONLINE = ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL")


class Wandb(Reporter):
    """A run in the project WANDB_PROJECT or one of the pipeline's name.

    Without WANDB_API_KEY or WANDB_MODE in the environment it is kept for `wandb sync`, in
    `runs/NAME/reports/STAGE/wandb`.
    """

    def open(self, run: ReportedRun) -> Sending:
        """Start the run, or go on with it: its id is ours."""
        # Otherwise it reports on itself to its makers' server, kept offline or not.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        handle = run.handle or run.new_handle
        folder = os.environ.get("WANDB_DIR") or str(run.folder)
        opened = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or run.project,
            id=handle,
            name=run.name,
            dir=folder,
            resume="allow",
            mode=None if any(os.environ.get(name) for name in _ONLINE) else "offline",
            settings=wandb.Settings(silent=True, console="off"),
        )
        return Sending(opened, handle)


class Sending:
    """An open run."""

    def __init__(self, run: Any, handle: str) -> None:
        """Log to a run of wandb."""
        self.run, self.handle = run, handle

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Hand the numbers to wandb's own process; several lines of a step become one."""
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        """Wait until all is sent or kept."""
        self.run.finish()

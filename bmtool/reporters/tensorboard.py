"""Write event files that TensorBoard shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.contracts import Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bmtool.contracts import ReportedRun


class Tensorboard(Reporter):
    """Event files in `runs/NAME/reports/STAGE/tensorboard`: `tensorboard --logdir runs/NAME/reports`."""

    def open(self, run: ReportedRun) -> Events:
        """A folder for the run; one that goes on adds a file to it."""
        from torch.utils.tensorboard import SummaryWriter

        return Events(SummaryWriter(str(run.folder / "tensorboard" / run.name)))


class Events:
    """An open event file."""

    handle = ""

    def __init__(self, writer: Any) -> None:
        """Write with one of torch's writers."""
        self.writer = writer

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write the numbers of a step through to the disk."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        """Close the file."""
        self.writer.close()

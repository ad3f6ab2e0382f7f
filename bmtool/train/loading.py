"""Put a step's batches together; where a GPU computes, those of the next step in a thread meanwhile.

Which batches come next, and the random numbers of each, are functions of seed, epoch and batch number: what was made
ahead is what would be made later, and what isn't asked for any more is forgotten.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

from bmtool.models.families.batches import pinned

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from bmtool.contracts import Batch

    Make = Callable[[], list[Batch]]


class Loader:
    """Makes the batches of one step after the other."""

    def __init__(self, device: torch.device | None = None, *, is_ahead: bool = False) -> None:
        """`is_ahead`: in a thread, as far as they are told beforehand; for a GPU (`device`) in memory that it reads."""
        self.is_ahead = is_ahead
        self._is_pinned = device is not None and device.type == "cuda"
        self._ahead: tuple[Hashable, Future[list[Batch]]] | None = None
        self._thread = ThreadPoolExecutor(1, "batches", *_at_start(device)) if is_ahead else None

    @classmethod
    def of(cls, device: torch.device) -> Loader:
        """On a CPU nothing is made ahead: its threads compute, and making batches is a thousandth of a step."""
        return cls(device, is_ahead=device.type == "cuda")

    def batches(self, place: Hashable, make: Make) -> list[Batch]:
        """Those of the step at `place`, which were made ahead, or `make` makes now."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == place:
            return ahead[1].result()
        return make()

    def tell(self, place: Hashable, make: Make) -> None:
        """The step at `place` is probably next: begin to make its batches."""
        if self._thread is not None:
            self._ahead = place, self._thread.submit(self._made, make)

    def _made(self, make: Make) -> list[Batch]:
        return [pinned(batch) for batch in make()] if self._is_pinned else make()

    def close(self) -> None:
        """Wait for what is being made, and forget it."""
        self._ahead = None
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)


def _at_start(device: torch.device | None) -> tuple[Callable[..., None], tuple[torch.device]] | tuple[()]:
    """What the thread does first: pinned memory belongs to the thread's card, which is the first one otherwise."""
    return (torch.cuda.set_device, (device,)) if device is not None and device.type == "cuda" else ()

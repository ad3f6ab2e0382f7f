"""The processes of one run and what they tell each other: sums, and what the first one says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from bmtool.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

#: Gradients are summed in pieces of so many numbers: large enough for the wire, small beside the gradients themselves.
_PIECE = 8 * 1024**2


@dataclass(frozen=True)
class World:
    """This process among those of the run. Each does its share of a step's batches; all hold the same weights.

    Raises (every method): TryAgainError, if another process is gone; the same command goes on from the saved state.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> World:
        """The group this process has joined; without one it is alone."""
        if not dist.is_available() or not dist.is_initialized():
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether this process writes what the run leaves behind."""
        return self.rank == 0

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums over all processes, in float64."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        _together(lambda: dist.all_reduce(tensor))
        return [float(value) for value in tensor.tolist()]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size == 1:
            return
        for piece in _pieces(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in piece])
            _together(lambda flat=flat: dist.all_reduce(flat))  # type: ignore[misc]
            parts = torch.split(flat, [tensor.numel() for tensor in piece])
            torch._foreach_copy_(list(piece), [part.view_as(t) for part, t in zip(parts, piece, strict=True)])

    def told(self, value: Any) -> Any:
        """What the first process says, on all of them: plain JSON values. The others' `value` doesn't matter."""
        if self.size == 1:
            return value
        data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        length = torch.tensor([len(data)])
        _together(lambda: dist.broadcast(length, 0))
        if not self.is_first:
            data = torch.empty(int(length), dtype=torch.uint8)
        _together(lambda: dist.broadcast(data, 0))
        return json.loads(bytes(data.tolist()))


def _pieces(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Neighbours together, up to `_PIECE` numbers; all of one type."""
    pieces: list[list[Tensor]] = []
    room = 0
    for tensor in tensors:
        if tensor.numel() > room:
            pieces.append([])
            room = _PIECE
        pieces[-1].append(tensor)
        room -= tensor.numel()
    return pieces


def _together(talk: Callable[[], Any]) -> None:
    """Do what all processes do at once. Gloo and NCCL say with a RuntimeError that one of them is gone."""
    try:
        talk()
    except RuntimeError as error:
        raise TryAgainError(
            f"another process of this run is gone ({str(error).strip().partition(chr(10))[0]}). Run the same command "
            f"again: it goes on from the saved state"
        ) from error

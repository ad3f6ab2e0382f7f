"""The processes of one run and what they tell each other: sums, and what the first one says."""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from bmtool.errors import TryAgainError, stopped
from bmtool.train.machine.device import pick_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.distributed_c10d import Store

    from bmtool.contracts import Stop

#: Gradients are summed in pieces of so many numbers: large enough for the wire, small beside the gradients themselves.
_PIECE = 8 * 1024**2

#: How long one process may keep the others waiting, in validation or when it saves. A process that ends is noticed at
#: once, by its closed connections; this is for one that hangs.
_PATIENCE = timedelta(days=1)

#: What stands in the plain RuntimeError that gloo raises.
_OF_GLOO = "gloo"

#: How often a process looks whether the others are there.
_POLL_SECONDS = 0.05

#: What processes agree on when all are there; otherwise on the reason of one that stops.
_BEGIN = "begin"


class ProcessGoneError(TryAgainError):
    """Another process of the run is gone. What became of it, it has said itself, or whoever started it knows."""


class PartDoneError(Exception):
    """This process has done its part of the training: the first one alone goes on, and writes what is left behind."""


@dataclass(frozen=True)
class World:
    """This process among those of the run. Each does its share of a step's batches.

    Raises (every method): ProcessGoneError; the same command goes on from the saved state.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Among the processes on this machine."""
    local_size: int = 1

    @classmethod
    def current(cls) -> World:
        """The group this process has joined; without one it is alone."""
        if not dist.is_available() or not dist.is_initialized():
            return cls()
        local = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        return cls(dist.get_rank(), dist.get_world_size(), *local)

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

    def decided(self, own: bool) -> bool:
        """What the first process decides, on all of them."""
        return bool(self.total([own and self.is_first])[0])

    def gathered(self, value: Any) -> list[Any]:
        """What each process says, by rank: plain JSON values."""
        if self.size == 1:
            return [value]
        data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        lengths = torch.zeros(self.size, dtype=torch.int64)
        lengths[self.rank] = len(data)
        _together(lambda: dist.all_reduce(lengths))
        padded = torch.zeros(int(lengths.max()), dtype=torch.uint8)
        padded[: len(data)] = data
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        _together(lambda: dist.all_gather(parts, padded))
        return [json.loads(bytes(part[: int(n)].tolist())) for part, n in zip(parts, lengths, strict=True)]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size == 1:
            return
        for piece in _pieces(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in piece])
            _together(lambda flat=flat: dist.all_reduce(flat))  # type: ignore[misc]
            parts = torch.split(flat, [tensor.numel() for tensor in piece])
            torch._foreach_copy_(list(piece), [part.view_as(t) for part, t in zip(parts, piece, strict=True)])

    def rows(self, num_rows: int) -> slice:
        """Which of a tensor's rows are this process's: as many as every other's, the last ones' fewer or none.

        As `torch.chunk` cuts, and with it FSDP.
        """
        size = -(-num_rows // self.size)
        return slice(min(num_rows, self.rank * size), min(num_rows, (self.rank + 1) * size))

    def stacked(self, part: Tensor, num_rows: int) -> Tensor | None:
        """A whole tensor of `num_rows` rows from each process's `rows` of it, on the CPU; the first process gets it."""
        if self.size == 1:
            return part
        size = -(-num_rows // self.size)
        padded = part.new_zeros(size, *part.shape[1:])
        padded[: len(part)] = part
        whole = part.new_empty(size * self.size, *part.shape[1:]) if self.is_first else None
        into = None if whole is None else list(whole.chunk(self.size))
        _together(lambda: dist.gather(padded, into, dst=0))
        return None if whole is None else whole[:num_rows]

    def shared(self, part: Tensor, rows: Tensor, num_rows: int) -> Tensor:
        """A tensor of `num_rows` rows, in every process, from what each has of it: `part`, the rows numbered `rows`.

        Each row is some process's; one may have none, and then needn't know their shape.
        """
        shape: list[int] = max(self.gathered(list(part.shape[1:])))
        whole = part.new_zeros(num_rows, *shape)
        whole[rows] = part.reshape(len(rows), *shape)
        self.add_up(torch.split(whole, max(1, _PIECE // max(1, math.prod(shape)))))
        return whole

    def mesh(self, device: torch.device) -> DeviceMesh:
        """All processes in a row, for torch's own ways to share work."""
        from torch.distributed.device_mesh import init_device_mesh

        return init_device_mesh(device.type, (self.size,))

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
        raise _gone(error) from error


def _gone(error: RuntimeError) -> ProcessGoneError:
    return ProcessGoneError(
        f"another process of this run is gone ({str(error).strip().partition(chr(10))[0]}). Run the same command "
        f"again: it goes on from the saved state"
    )


@contextmanager
def peers_may_be_gone() -> Iterator[None]:
    """For what computes and talks at once, as FSDP does.

    Raises:
        ProcessGoneError: gloo or NCCL failed. An error of the computation stays what it is.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or _OF_GLOO in str(error)):
            raise
        raise _gone(error) from error


@contextmanager
def joined(store: Store, wanted_device: str, stop: Stop) -> Iterator[None]:
    """For the block, be one of the processes that torchrun's environment (RANK, WORLD_SIZE, ...) speaks of.

    Args:
        store: what all of them can read and write; each group has one, or a prefix, of its own.
        wanted_device: `runtime.device`. With a GPU sums of gradients go through NCCL, all other words through gloo.
        stop: asks to stop waiting for the others.

    Raises:
        ConfigError: this process has no device.
        StoppedError, TryAgainError: asked to stop before all were there; or one of them is gone.
    """
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device, _ = pick_device(wanted_device, int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    _meet(store, rank, size, stop)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    _together(lambda: dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE))
    try:
        yield
    finally:
        dist.destroy_process_group()


def _meet(store: Store, rank: int, size: int, stop: Stop) -> None:
    """Wait until every process is there, and agree on that. To wait inside torch would be deaf to signals.

    The first word counts for all: who is asked to stop leaves before the others begin, or begins with them. They would
    wait for it in torch, deaf and for a day.
    """
    here = [f"here/{other}" for other in range(size)]
    _together(lambda: store.set(here[rank], "1"))
    while not is_said(store, ["agreed"]):
        if is_said(store, here):
            _agree(store, _BEGIN)
        elif reason := stop.reason:
            _agree(store, reason)
        else:
            time.sleep(_POLL_SECONDS)
    agreed = store.get("agreed").decode()
    if agreed != _BEGIN:
        raise stopped(agreed, "nothing was begun")


def _agree(store: Store, word: str) -> None:
    """On this word, unless another one was said before."""
    _together(lambda: store.compare_set("agreed", "", word))


def is_said(store: Store, keys: Sequence[str]) -> bool:
    """Whether all these keys have values."""
    said = False

    def look() -> None:
        nonlocal said
        said = store.check(list(keys))

    _together(look)
    return said

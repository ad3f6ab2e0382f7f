"""AdamW on a CPU in one pass over memory: from gradients as autograd left them to weights in both types.

torch's own takes a pass each for gradients in float32, their norm, clipping, AdamW and copies in bfloat16, which is
more than a small step's products take. And a large embedding of which a step reads a few rows is most of it: here its
gradient is these rows, and rows that no step has read yet only decay.

Every form of a gradient gives the same bits, and so does any number of threads: no number depends on its neighbours.

Shape letters: D width, N rows of a matrix, R rows with a gradient.
"""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Job = Callable[[], float | None]

#: What one thread does at once; fewer numbers than two of these in all aren't shared out.
PIECE = 2**20

#: An embedding with fewer numbers has a gradient of all rows.
MIN_LARGE = 2**20


@dataclass(frozen=True)
class Rows:
    """The gradient of a matrix (N, D) of which only some rows have one."""

    ids: NDArray[np.int64]
    """(R,) ascending"""
    values: NDArray[np.float32]
    """(R, D)"""

    @classmethod
    def of(cls, sparse: Tensor) -> Rows:
        """From what `nn.Embedding(sparse=True)` leaves: a row for each token, in their order, added up in float32."""
        ids, values = sparse._indices()[0], sparse._values()  # noqa: SLF001  the public ones want equal ids added up
        return cls._added(ids.numpy(), values.float().numpy())

    @classmethod
    def _added(cls, ids: NDArray[np.int64], values: NDArray[np.float32]) -> Rows:
        order = np.argsort(ids, kind="stable")
        starts = np.flatnonzero(np.diff(ids[order], prepend=-1))
        return cls(ids[order][starts], np.add.reduceat(values[order], starts, axis=0) if len(ids) else values)

    def plus(self, other: Rows) -> Rows:
        """The sum of both."""
        return self._added(np.concatenate([self.ids, other.ids]), np.concatenate([self.values, other.values]))

    def add_to(self, dense: Tensor) -> None:
        """Add it to a float32 matrix (N, D)."""
        dense[torch.from_numpy(self.ids)] += torch.from_numpy(self.values)


Gradient = torch.Tensor | Rows

_NONE, _EMPTY = np.empty(0, np.float32), np.empty(0, np.uint16)


@dataclass(frozen=True)
class Move:
    """A weight that is to be moved."""

    master: Tensor
    """In float32"""
    gradient: Gradient
    copy: Tensor | None
    """What computes with its new value in bfloat16, always the same one; None: the master itself"""


@dataclass
class Known:
    """What is known of a weight from one step to the next."""

    arrays: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]
    """Flat views of the master, both moments, and the copy, which may be empty"""
    width: int
    still: NDArray[np.bool_] | None = None
    """(N,) whether a row's moments are zeros; None: not looked at"""

    @classmethod
    def of(cls, one: Move, state: Mapping[str, Tensor]) -> Known:
        """Of a weight and what the optimizer remembers of it."""
        copy = _EMPTY if one.copy is None else _narrow(one.copy.view(-1))
        tensors = (one.master.detach(), state["exp_avg"], state["exp_avg_sq"])
        weights, first, second = (tensor.view(-1).numpy() for tensor in tensors)
        return cls((weights, first, second, copy), one.master.shape[-1] if one.master.ndim else 1)

    def matrices(self) -> tuple[NDArray[Any], ...]:
        """The arrays (N, D)."""
        return tuple(array.reshape(-1, self.width) for array in self.arrays)


def norm_of(gradients: Sequence[Gradient]) -> float:
    """The Euclidean norm of all gradients together."""
    sums = _done([partial(_squares, gradient) for gradient in gradients], sum(map(_size, gradients)))
    return math.sqrt(sum(one or 0.0 for one in sums))


def move(part: torch.optim.AdamW, moves: Sequence[Move], known: MutableMapping[Tensor, Known], scale: float) -> None:
    """One step of AdamW by gradients times `scale`; its state stays where torch keeps it.

    `known` is what earlier steps left there: it holds as long as nobody else sets that state.
    """
    groups = {master: group for group in part.param_groups for master in group["params"]}
    jobs: list[Job] = []
    for one in moves:
        state = _state(part.state, one.master)
        if one.master not in known:
            known[one.master] = Known.of(one, state)
        jobs += _jobs(one.gradient, known[one.master], _how(groups[one.master], float(state["step"]), scale))
    _done(jobs, sum(one.master.numel() for one in moves))


def _state(states: MutableMapping[Tensor, dict[str, Tensor]], master: Tensor) -> Mapping[str, Tensor]:
    """What is remembered of a weight, with one more step; of a new one as torch begins it."""
    if master not in states:
        first, second = (torch.zeros_like(master, memory_format=torch.contiguous_format) for _ in range(2))
        states[master] = {"step": torch.zeros(()), "exp_avg": first, "exp_avg_sq": second}
    states[master]["step"] += 1
    return states[master]


def _how(group: Mapping[str, Any], step: float, scale: float) -> NDArray[np.float32]:
    """The numbers of a step: Loshchilov & Hutter 2019, "Decoupled weight decay regularization", algorithm 2."""
    rate, (keep_first, keep_second) = group["lr"], group["betas"]
    decay = 1 - rate * group["weight_decay"]
    of_moments = (keep_first, 1 - keep_first, keep_second, 1 - keep_second)
    root = 1 / math.sqrt(1 - keep_second**step)
    return np.array([scale, *of_moments, decay, rate / (1 - keep_first**step), root, group["eps"]], dtype=np.float32)


def _jobs(gradient: Gradient, known: Known, how: NDArray[np.float32]) -> Iterator[Job]:
    """The pieces of one weight's move."""
    from bmtool.train.weights.adamw_kernels import BLOCK, move_all, move_rows

    by_rows: Callable[..., None] = move_rows
    at_all: Callable[..., None] = move_all
    if isinstance(gradient, Rows):
        matrices = known.matrices()
        if known.still is None:
            known.still = np.asarray(~(matrices[1].any(axis=1) | matrices[2].any(axis=1)), dtype=bool)
        args = (*matrices, gradient.ids, gradient.values, known.still, how)
        for start, end in _pieces(len(matrices[0]), max(1, PIECE // known.width)):
            yield partial(by_rows, *args, start, end)
        return
    known.still = None
    flat = gradient.detach().reshape(-1)
    forms = (_NONE, _narrow(flat)) if flat.dtype == torch.bfloat16 else (flat.numpy(), _EMPTY)
    for start, end in _pieces(len(known.arrays[0]), PIECE // BLOCK * BLOCK):
        yield partial(at_all, *known.arrays, *forms, how, start, end)


def _pieces(length: int, size: int) -> Iterator[tuple[int, int]]:
    return itertools.pairwise([*range(0, length, size), length])


def _narrow(tensor: Tensor) -> NDArray[np.uint16]:
    """bfloat16 as the bits that numpy has no type for."""
    bits: NDArray[np.uint16] = tensor.detach().view(torch.uint16).numpy()
    return bits


def _squares(gradient: Gradient) -> float:
    """The sum of a gradient's squares."""
    from bmtool.train.weights.adamw_kernels import sum_of_squares

    wide, narrow = _NONE.reshape(0, 0), _EMPTY.reshape(0, 0)
    if isinstance(gradient, Rows):
        wide = gradient.values
    else:
        matrix = gradient.detach().reshape(len(gradient) if gradient.ndim > 1 else 1, -1)
        if matrix.dtype == torch.bfloat16:
            narrow = _narrow(matrix)
        else:
            wide = matrix.numpy()
    return float(sum_of_squares(wide, narrow))


def _size(gradient: Gradient) -> int:
    return int(gradient.values.size if isinstance(gradient, Rows) else gradient.numel())


def _done(jobs: Sequence[Job], num_numbers: int) -> list[float | None]:
    """What the jobs give, done by as many threads as torch computes with, where that pays."""
    threads = torch.get_num_threads()
    if threads == 1 or num_numbers < 2 * PIECE:
        return [job() for job in jobs]
    return list(_pool(threads).map(lambda job: job(), jobs))


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "adamw")

"""What a model that stays as it is makes of each text, read once: by all processes of a run together, and kept.

It is kept beside the store, by what decides it: the weights, the batches and the machine. So other seeds, other
learning rates and a run that begins again find it there. Nothing of it is a text.
"""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003  # pydantic reads the annotation below
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
import xxhash

from bmtool.contracts import WrappedGoal
from bmtool.data.kept import Shelf, read_array, write_array
from bmtool.train.inference.predict import BATCH_TOKENS, outputs_of, windows_of
from bmtool.train.machine.peak import machine_name
from bmtool.train.machine.world import World
from bmtool.train.order.plan import generator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples, Goal, Job

#: Raised when the same weights make something else of the same batches than before.
VERSION = 1

#: The shelf in a job's cache.
SHELF = "read"

_COLUMN, _FILE = "read", "read.npy"


class Readout(WrappedGoal):
    """A goal of whose examples something is read that the model computes on the way."""

    auto_class = "AutoModelForSequenceClassification"

    read: Callable[..., Any]
    """From a model and a batch of N examples to an array (N, ...)"""

    def measured(self) -> Readout:
        """This one."""
        return self

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """The one column."""
        del examples
        return {_COLUMN: self.read(model, batch)}


def read_once(
    model: nn.Module, weights: Mapping[str, Tensor], goal: Readout, examples: Examples, job: Job, *, label: str
) -> NDArray[np.float32]:
    """What `goal` reads of all examples, (N, ...) in float32, in every process of the run.

    What is kept is taken up, as the first process finds it. Otherwise each process reads a share: batches are shared
    out whole, so that each is what one process alone would read, to the bit.

    Args:
        model: in any precision, on any device.
        weights: those of the model that decide what is read, by name.
        goal: what is read.
        examples: N of them.
        job: where it is kept; `--force` reads anew.
        label: what the progress is called.
    """
    world = World.current()
    batches = [rows for window in windows_of(model, examples, BATCH_TOKENS) for rows in window]
    key = ""
    if job.cache is not None and world.is_first:
        key = _key(model, weights, goal, (_tensors(goal, examples, rows) for rows in batches))
    kept = _kept(job, key) if key else None
    if world.told(kept is not None):
        job.console.say(f"{label}: {len(examples):,} texts were read before")
        read = np.zeros(0, np.float32) if kept is None else kept
        return _shared(world, read, np.arange(len(read)), len(examples))
    parts, own = [], batches[world.rank :: world.size]
    with job.console.progress(label, total=sum(map(len, own))) as progress:
        for rows in own:
            parts.append(outputs_of(model, goal, examples, rows, None)[_COLUMN])
            progress.advance(len(rows))
    read = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    places = np.concatenate(own) if own else np.zeros(0, np.int64)
    whole = _shared(world, read, places, len(examples))
    if job.cache is not None and key:
        with Shelf(job.cache / SHELF).filling(key) as (folder, _):
            write_array(folder / _FILE, whole)
    return whole


def _shared(world: World, part: NDArray[Any], rows: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    whole: NDArray[np.float32] = world.shared(torch.from_numpy(part), torch.from_numpy(rows), count).numpy()
    return whole


def _kept(job: Job, key: str) -> NDArray[Any] | None:
    if job.cache is None or job.is_fresh:
        return None
    shelf = Shelf(job.cache / SHELF)
    try:
        return read_array(shelf.path(key) / _FILE) if shelf.find(key) is not None else None
    except FileNotFoundError:  # `bmtool clean` took it in between
        return None


def _key(
    model: nn.Module, weights: Mapping[str, Tensor], goal: Readout, batches: Iterable[Mapping[str, Tensor]]
) -> str:
    """A hash of all that decides what is read, the number of threads among it: it decides the last bits."""
    some = next(model.parameters())
    versions = f"{VERSION}, torch {torch.__version__}, transformers {transformers.__version__}"
    machine = f"{machine_name(some.device, some.dtype)}, {torch.get_num_threads()} threads, {some.dtype}"
    what = f"{type(goal.goal).__name__} {goal.goal.model_dump_json()} {goal.read.__module__}.{goal.read.__qualname__}"
    config: Any = model.config
    digest = xxhash.xxh3_128("\n".join([versions, machine, what, config.to_json_string(use_diff=False)]).encode())
    for tensors in (weights, *batches):
        for name, tensor in tensors.items():
            digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(goal: Goal, examples: Examples, rows: NDArray[np.int64]) -> dict[str, Tensor]:
    """What the model is given of a batch."""
    batch = goal.collate(examples, rows, generator(0, 0, int(rows[0])))
    given = {name: getattr(batch, name) for name in ("input_ids", "position_ids", "cu_seq_lens", "token_type_ids")}
    return {name: tensor for name, tensor in given.items() if tensor is not None}

"""Run a model over examples without training it, and give the results in the order of the examples."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bmtool.models.families.batches import to_device
from bmtool.models.families.family import family_of
from bmtool.train.order.plan import generator, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import nn

    from bmtool.console import Console
    from bmtool.contracts import Batch, Columns, Examples, Goal, Stop

#: Tokens of a batch. Results don't depend on it but for rounding; without gradients this takes little memory.
BATCH_TOKENS = 8192

#: Examples that are packed together: enough to fill batches, few enough for results to come out soon.
WINDOW_EXAMPLES = 8192


class StoppedHalfwayError(Exception):
    """A signal came while results were still being made; it never leaves the training loop."""


def run_goal(
    model: nn.Module,
    goal: Goal,
    examples: Examples,
    batch_tokens: int,
    console: Console | None = None,
    *,
    label: str = "evaluating",
    stop: Stop | None = None,
    run: Callable[..., Columns] | None = None,
) -> Columns:
    """Results of `goal.measured()` for all examples, in their order.

    Args:
        model: in any precision, on any device; left in the mode it was in.
        goal: what is measured.
        examples: N of them.
        batch_tokens: tokens of a batch at most, or as many as the longest example has.
        console: shows progress.
        label: what the progress is called.
        stop: asked before each batch.
        run: `run(verb, *args)` is `verb(model, *args)` for a model that can't be called as it is.

    Raises:
        StoppedHalfwayError: `stop` has a reason.
    """
    parts: list[Columns] = []
    if console is None:
        parts.extend(iterate_goal(model, goal, examples, batch_tokens, stop=stop, run=run))
    else:
        with console.progress(label, total=len(examples)) as progress:
            for part in iterate_goal(model, goal, examples, batch_tokens, stop=stop, run=run):
                parts.append(part)
                progress.advance(_num_rows(part))
    return join(parts)


def iterate_goal(
    model: nn.Module,
    goal: Goal,
    examples: Examples,
    batch_tokens: int,
    *,
    stop: Stop | None = None,
    run: Callable[..., Columns] | None = None,
) -> Iterator[Columns]:
    """The same as a stream: one piece of results for each window of examples, in order."""
    goal = goal.measured()
    for batches in windows_of(model, examples, batch_tokens):
        pieces = []
        for rows in batches:
            if stop is not None and stop.reason:
                raise StoppedHalfwayError
            pieces.append(outputs_of(model, goal, examples, rows, run))
        yield _take(join(pieces), np.argsort(np.concatenate(batches)))


def windows_of(model: nn.Module, examples: Examples, batch_tokens: int) -> Iterator[list[NDArray[np.int64]]]:
    """The rows of each batch, for one window of examples after the other."""
    lengths, pads = examples.packed_lengths, family_of(model).pads
    batch_tokens = max(batch_tokens, int(lengths.max(initial=1)))  # else that example would never fit
    for start in range(0, len(examples), WINDOW_EXAMPLES):
        window = np.arange(start, min(start + WINDOW_EXAMPLES, len(examples)))
        order, borders = in_order(lengths, window, batch_tokens, by_length=pads)
        yield [order[first:last] for first, last in itertools.pairwise(borders)]


def join(parts: list[Columns]) -> Columns:
    """Pieces of results one after the other: arrays and lists stay what they are."""
    if not parts:
        return {}
    return {
        name: list(itertools.chain.from_iterable(part[name] for part in parts))
        if isinstance(parts[0][name], list)
        else np.concatenate([part[name] for part in parts])
        for name in parts[0]
    }


def outputs_of(
    model: nn.Module, goal: Goal, examples: Examples, rows: NDArray[np.int64], run: Callable[..., Columns] | None
) -> Columns:
    """Results of one batch, in the order of `rows`."""
    device = next(model.parameters()).device
    batch: Batch = to_device(goal.collate(examples, rows, generator(0, 0, int(rows[0]))), device)
    training = model.training
    model.train(mode=False)
    try:
        with torch.inference_mode():
            return goal.outputs(model, batch, examples) if run is None else run(goal.outputs, batch, examples)
    finally:
        model.train(mode=training)


def _take(columns: Columns, places: NDArray[np.int64]) -> Columns:
    return {
        name: [values[place] for place in places] if isinstance(values, list) else np.asarray(values)[places]
        for name, values in columns.items()
    }


def _num_rows(columns: Columns) -> int:
    first: Any = next(iter(columns.values()))
    return len(first)

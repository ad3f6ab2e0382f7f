"""Packed batches and losses of labelled examples: a label for each document, or a label for each word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from bmtool.data.examples.labelled import joined, word_positions
from bmtool.models.families.batches import pack, packed_lengths_of, with_types
from bmtool.models.families.packed import document_logits, token_logits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Examples, Weighing


def pack_documents(examples: Examples, rows: NDArray[np.int64], term: str = "cross_entropy") -> Batch:
    """Pack documents, or pairs of texts; with answers the target is `labels` (N,) or (N, C), and `term` counts N."""
    targets, counts = {}, {}
    if "references" in examples.columns:
        targets, counts = {"labels": torch.from_numpy(examples.columns["references"][rows])}, {term: len(rows)}
    batch = pack(examples, rows, targets=targets, counts=counts)
    second = examples.columns.get("second_starts")
    return batch if second is None else with_types(batch, second[rows])


def pack_words(examples: Examples, rows: NDArray[np.int64]) -> Batch:
    """Pack documents; with tags the targets are `positions` and `labels`, both (words,)."""
    if "references" not in examples.columns:
        return pack(examples, rows, targets={}, counts={})
    lengths = packed_lengths_of(examples, rows)
    starts = np.cumsum(lengths) - lengths + len(examples.prefix)
    positions = word_positions([examples.columns["word_tokens"][row] for row in rows], starts)
    labels = joined([examples.columns["references"][row] for row in rows])
    targets = {"positions": torch.from_numpy(positions), "labels": torch.from_numpy(labels)}
    return pack(examples, rows, targets=targets, counts={"cross_entropy": len(labels)})


def document_cross_entropy(logits: Tensor, batch: Batch, weighing: Weighing) -> Tensor:
    """The cross-entropy of `labels`, of documents' logits (N, C), weighed and summed over documents, in float32."""
    return _cross_entropy(logits, batch.targets["labels"], weighing)


def set_cross_entropy(logits: Tensor, batch: Batch, weighing: Weighing) -> Tensor:
    """The cross-entropy of a yes or no for each of C labels, its mean over the labels summed over documents.

    With smoothing s a yes is wanted with 1 - s / 2. A label's weight multiplies its term.
    """
    wanted = batch.targets["labels"].float() * (1 - weighing.label_smoothing) + weighing.label_smoothing / 2
    terms = F.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")
    if weighing.class_weights is not None:
        terms = terms * torch.tensor(weighing.class_weights, device=logits.device)
    return terms.mean(dim=1).sum()


def squared_error(logits: Tensor, batch: Batch, mean: float, scale: float) -> Tensor:
    """Half the squared error of the only logit (N, 1), in units of `scale`, summed over documents."""
    wanted = ((batch.targets["labels"] - mean) / scale).float()
    return 0.5 * F.mse_loss(logits[:, 0].float(), wanted, reduction="sum")


def word_cross_entropy(model: nn.Module, batch: Batch, weighing: Weighing) -> Tensor:
    """The cross-entropy of `labels` at `positions`, weighed and summed over words, in float32."""
    return _cross_entropy(token_logits(model, batch)[batch.targets["positions"]], batch.targets["labels"], weighing)


def _cross_entropy(logits: Tensor, labels: Tensor, weighing: Weighing) -> Tensor:
    """Label smoothing as of Szegedy et al. 2016, "Rethinking the Inception architecture", section 7."""
    weights = None if weighing.class_weights is None else torch.tensor(weighing.class_weights, device=logits.device)
    smoothing = weighing.label_smoothing
    return F.cross_entropy(logits.float(), labels, weights, reduction="sum", label_smoothing=smoothing)


def class_weights(references: Any, wanted: Mapping[str, float] | None, labels: Sequence[str]) -> tuple[float, ...]:
    """Weights of `labels`, 1 in the mean over the training labels `references`: `wanted` by name, the others 1.

    With None they are balanced: each label counts as much as the others, however rare it is. One that doesn't occur
    gets 1. `references` are label ids, (N,), or a list of N arrays of them, or booleans (N, C).
    """
    flat = joined(references) if isinstance(references, list) else references
    ids = np.nonzero(flat)[1] if flat.dtype == np.bool_ else flat
    occurrences = np.bincount(ids, minlength=len(labels)).astype(np.float64)
    if wanted is None:
        weights = np.where(occurrences > 0, len(ids) / np.maximum(occurrences, 1), 1.0)
    else:
        weights = np.array([wanted.get(label, 1.0) for label in labels])
    mean = float(weights @ occurrences) / len(ids) if len(ids) else 1.0  # no train row has a label: sets may be empty
    return tuple((weights / mean).tolist())


def share_logits(references: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Logits (C,) of the labels' shares of training rows `references` (N, C), half a row away from none and all."""
    shares = (references.sum(axis=0) + 0.5) / (len(references) + 1)
    return np.asarray(np.log(shares / (1 - shares)), dtype=np.float64)


def head_logits(head: Literal["document", "token"], model: nn.Module, batch: Batch) -> NDArray[np.float32]:
    """The logits of each document (N, C), or of each token (T, C), as an array."""
    logits = document_logits(model, batch) if head == "document" else token_logits(model, batch)
    return np.asarray(logits.float().cpu().numpy(), dtype=np.float32)

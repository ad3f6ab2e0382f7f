"""Texts that teachers answered, as examples beside labelled ones.

Shape letters: C labels, N texts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from bmtool.data.examples.labelled import with_columns
from bmtool.data.joined import join_examples
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.models.files.inference import Rows
from bmtool.models.goals.language import MASK_TOKENS
from bmtool.train.inference.apply import bare_logits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from bmtool.config.shared import Training
    from bmtool.contracts import DocumentTask, Examples, Job


def mean_answers(teachers: Sequence[Path], task: DocumentTask, texts: pa.Table, job: Job) -> NDArray[np.float64]:
    """The mean of the probabilities (N, C) that the checkpoints give the labels of N texts."""
    logits = [bare_logits(folder, task, Rows(texts, (), "unlabelled"), job) for folder in teachers]
    mean: NDArray[np.float64] = np.mean([softmax(one.astype(np.float64), axis=1) for one in logits], axis=0)
    return mean


def joined_with(
    labelled: Examples,
    texts: pa.Table,
    probabilities: NDArray[np.float64],
    task: DocumentTask,
    training: Training,
    folder: Path,
) -> Examples:
    """Labelled examples, and behind them N texts with what teachers say of them.

    Columns besides the task's own: `has_label` (N,), and `answers` (N, C) in float32, logarithms of `probabilities`;
    `references` of a text are its likeliest label. `special_ids` has the token that hides others, if there is one.
    `cut` is what is lost of the texts; of the rows it is known.

    Args:
        labelled: rows of the task.
        texts: the N texts, in the task's column.
        probabilities: (N, C).
        task: what is learned.
        training: how long an example may be.
        folder: where the model's tokenizer is.
    """
    tokenizer = load_tokenizer(folder)
    found = task.examples(Rows(texts, ()), tokenizer, training.max_seq_length)
    unknown = np.zeros((len(labelled), probabilities.shape[1]), np.float32)
    own = with_columns(labelled, {"answers": unknown, "has_label": np.ones(len(labelled), bool)})
    answers = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32)
    columns = {"references": answers.argmax(axis=1), "answers": answers, "has_label": np.zeros(len(found), bool)}
    ids = {token: tokenizer.token_to_id(token) for token in MASK_TOKENS}
    special_ids = {token: place for token, place in ids.items() if place is not None}
    return replace(join_examples([own, with_columns(found, columns)]), special_ids=special_ids, cut=found.cut)

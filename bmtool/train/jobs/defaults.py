"""What settings that were left out are when the model and the rows are known, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bmtool.config.shared import Training

T = TypeVar("T", bound="Training")

#: The width of BERT-base, for which rates are stated, and of BERT-tiny, down to which they are scaled.
BASE_WIDTH, NARROWEST = 768, 128

#: There: of pre-training, of pre-training that goes on, so that little is forgotten (docs/training.md, How good it is:
#: 1e-4, 3e-4 and 1e-3 at width 128), and of fine-tuning, whose weights know something that high rates would undo; new
#: ones learn no more from few labels at higher rates (docs/negative-results.md, The rate of pre-training).
#: With 5e-4, 3e-3 for BERT 2x128, two corpora of 0.1M and 0.3M tokens broke down (the first in float32, too) or stayed
#: on the plateau of token frequencies through 1M tokens (docs/training.md, When it learns too little).
PRETRAIN_RATE, GOING_ON_RATE, FINETUNE_RATE = 3.3e-4, 5e-5, 1e-4

#: Tokens of a batch that was left out: below the first a step costs more than its arithmetic, above the second steps
#: are few. Of texts of 6 tokens, with 512 instead of 256, validation was the same (docs/training.md).
MIN_TOKENS, MAX_TOKENS = 512, 2048


def rate_for(width: int, at_base: float) -> float:
    """The learning rate of a model of this width, where one of width 768 takes `at_base`, to three digits.

    With Adam the best rate of hidden matrices goes down as 1 / width: a step moves each number by about the rate, and a
    product sums over the width (Yang et al. 2022, "Tensor Programs V", arXiv 2203.03466, table 3). Models narrower than
    128 take what 128 takes: biases, norms and embeddings, whose best rates don't change, would get too much.
    """
    return float(f"{at_base * BASE_WIDTH / max(width, NARROWEST):.3g}")


def with_rate(training: T, width: int, at_base: float) -> tuple[T, dict[str, str]]:
    """The settings with a learning rate, and why it is that one; nothing of a rate that is set."""
    if training.learning_rate is not None:
        return training, {}
    rate = rate_for(width, at_base)
    return training.model_copy(update={"learning_rate": rate}), {
        "learning rate": f"{rate:g} (by the model's width of {width:,})"
    }


def with_batches(
    training: T, lengths: Sequence[NDArray[np.integer]], examples_in_batch: int
) -> tuple[T, dict[str, str]]:
    """The settings with a size of batches, and why it is that one; nothing of a size that is set.

    A batch holds `examples_in_batch` of mean length, the longest example and any text of `max_seq_length`.

    Args:
        training: the settings.
        lengths: of all train examples, in tokens, an array (N,) for each dataset.
        examples_in_batch: how many the task wants.
    """
    if training.per_device_batch_tokens is not None:
        return training, {}
    mean = float(np.concatenate(lengths).mean())
    wanted = min(max(round(examples_in_batch * mean), MIN_TOKENS), MAX_TOKENS)
    longest = max(int(one.max()) for one in lengths)
    tokens = max(wanted, training.max_seq_length, longest)
    reason = f"about {max(1, round(tokens / mean)):,} train examples of {mean:.0f} tokens in the mean"
    return training.model_copy(update={"per_device_batch_tokens": tokens}), {"batches": f"{tokens:,} tokens ({reason})"}

"""Guess hidden words, and whether one text follows another: what BERT was trained on (Devlin et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bmtool.config.units import Share
from bmtool.contracts import Objective

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples, Goal, TokenizerTrainer

#: Share of the tokens that evaluation hides, whatever training did: else the numbers couldn't be compared.
MEASURED_PROBABILITY = 0.15


class MlmNsp(Objective):
    """Hide a share of the tokens of two texts and predict them, and say whether the second text follows the first.

    For tasks on pairs of texts; for others mlm alone is as good or better (Liu et al. 2019, "RoBERTa", section 4.2).
    Evaluation always hides 15 %, by masks and pairs of a fixed seed; `loss` is that of the hidden tokens alone.
    """

    auto_class = "AutoModelForPreTraining"

    mlm_probability: Annotated[Share, Field(gt=0, lt=1)] = MEASURED_PROBABILITY

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation."""
        return ("loss", "perplexity", "masked_accuracy", "next_sentence_accuracy")

    @property
    def target_share(self) -> float:
        """What is hidden."""
        return self.mlm_probability

    def unfit_tokenizer(self, trainer: TokenizerTrainer) -> str:
        """It has no mask."""
        if getattr(trainer, "mask", True):
            return ""
        return "has no token that hides text, which objective mlm_nsp needs. Set tokenizer: {type: bpe, mask: true}"

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Pieces of documents with room for special tokens around and between two texts."""
        from bmtool.models.goals.pairs import paired_pieces

        return paired_pieces(split, tokenizer, max_seq_length)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pair, pack and hide; targets are `positions` and `labels`, both (P,), and `pairs` (N,)."""
        from bmtool.models.goals.pairs import hide_in_pairs

        return hide_in_pairs(examples, rows, self.mlm_probability, rng)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropies of the hidden tokens and of the pairs, each summed: their means add up to BERT's loss."""
        from bmtool.models.goals.pairs import pair_losses

        return pair_losses(model, batch)

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """Per piece `nll`, `targets`, `hits`, `bytes`, `document`, `pairs` and `pair_hits`."""
        from bmtool.models.goals.pairs import pair_scores

        return pair_scores(model, batch, examples)

    def measured(self) -> Goal:
        """15 % hidden, each piece's pair and tokens chosen by its number alone."""
        return MeasuredMlmNsp()


class MeasuredMlmNsp(MlmNsp):
    """Pairs and masks that depend on the piece and on nothing else."""

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pair, pack and hide the same every time."""
        from bmtool.models.goals.pairs import hide_in_fixed_pairs

        del rng
        return hide_in_fixed_pairs(examples, rows, MEASURED_PROBABILITY)

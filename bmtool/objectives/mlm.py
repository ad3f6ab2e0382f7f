"""Guess hidden words from what stands on both sides of them: masked language modelling (Devlin et al. 2019)."""

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


class Mlm(Objective):
    """Hide a share of the tokens and predict them.

    The default is BERT's 15 %. More targets a batch (30 to 40 %) often learn faster: Wettig et al. 2023, "Should you
    mask 15 % in masked language modeling?". Evaluation always hides 15 %, by masks of a fixed seed.
    """

    auto_class = "AutoModelForMaskedLM"

    mlm_probability: Annotated[Share, Field(gt=0, lt=1)] = MEASURED_PROBABILITY

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation."""
        return ("loss", "perplexity", "masked_accuracy")

    @property
    def target_share(self) -> float:
        """What is hidden."""
        return self.mlm_probability

    def unfit_tokenizer(self, trainer: TokenizerTrainer) -> str:
        """It has no mask."""
        if getattr(trainer, "mask", True):
            return ""
        return "has no token that hides text, which objective mlm needs. Set tokenizer: {type: bpe, mask: true}"

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Pieces of documents between the tokenizer's special tokens."""
        from bmtool.models.goals.language import masked_pieces

        return masked_pieces(split, tokenizer, max_seq_length)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack pieces and hide tokens; targets are `positions` and `labels`, both (P,)."""
        from bmtool.models.goals.language import hide

        return hide(examples, rows, self.mlm_probability, rng)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of the hidden tokens, summed."""
        from bmtool.models.goals.language import target_loss

        return {"mlm": target_loss(model, batch)}

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """Per piece `nll`, `targets`, `hits`, `bytes` and `document`."""
        from bmtool.models.goals.language import target_scores

        return target_scores(model, batch, examples)

    def measured(self) -> Goal:
        """15 % hidden, each piece's tokens chosen by its number alone."""
        return MeasuredMlm()


class MeasuredMlm(Mlm):
    """Masks that depend on the piece and on nothing else."""

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack pieces and hide the same tokens every time."""
        from bmtool.models.goals.language import hide_fixed

        del rng
        return hide_fixed(examples, rows, MEASURED_PROBABILITY)

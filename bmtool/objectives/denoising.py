"""Write a text again that was spoilt: denoising (Lewis et al. 2020, BART)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bmtool.config.units import Ratio, Share
from bmtool.contracts import Objective

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples, Goal, TokenizerTrainer
    from bmtool.models.goals.denoising import Spoil

#: How evaluation spoils texts, whatever training did: else the numbers couldn't be compared. BART's own values.
MEASURED_PROBABILITY, MEASURED_LENGTH = 0.3, 3.0


class Denoising(Objective):
    """Put one mask in the place of each of some spans, put sentences in another order, and write the text as it was.

    The defaults are BART's (section 2.2 and 5). Lengths of spans are Poisson's, given that the share of tokens is met.
    Evaluation always hides 30 % in spans of 3 tokens in the mean and moves all sentences, by a fixed seed.
    """

    auto_class = "AutoModelForSeq2SeqLM"

    mlm_probability: Annotated[Share, Field(gt=0, lt=1)] = MEASURED_PROBABILITY
    """The share of tokens that is hidden."""
    poisson_lambda: Annotated[float, Field(ge=1)] = MEASURED_LENGTH
    """How many tokens a span has in the mean; some have none, and a mask stands where nothing was."""
    permute_sentence_ratio: Ratio = 1.0
    """The share of sentences that are put in each other's places. One ends behind a token that ends with `.`, `!`, `?`
    or their like in other scripts."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation."""
        return ("loss", "perplexity")

    @property
    def target_share(self) -> float:
        """The text is written once and read once, spoilt."""
        return 0.5

    def unfit_tokenizer(self, trainer: TokenizerTrainer) -> str:
        """It has no mask."""
        if getattr(trainer, "mask", True):
            return ""
        return "has no token that hides text, which objective denoising needs. Set tokenizer: {type: bpe, mask: true}"

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Pieces of documents."""
        from bmtool.models.goals.denoising import mendable, spoilt_pieces

        pieces = spoilt_pieces(split, tokenizer, max_seq_length)
        return mendable(pieces, tokenizer, self.mlm_probability, self.poisson_lambda)

    def _spoil(self, examples: Examples) -> Spoil:
        from bmtool.models.goals.denoising import mended

        return mended(examples, self.mlm_probability, self.poisson_lambda, self.permute_sentence_ratio)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack spoilt texts and whole ones; targets are `positions` and `labels`, both (P,)."""
        from bmtool.models.goals.denoising import spoilt_batch

        return spoilt_batch(examples, rows, self._spoil(examples), "denoising", rng)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of the whole text's tokens, summed."""
        from bmtool.models.goals.language import target_loss

        return {"denoising": target_loss(model, batch)}

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """Per piece `nll`, `targets`, `hits`, `bytes` and `document`."""
        from bmtool.models.goals.language import target_scores

        return target_scores(model, batch, examples)

    def measured(self) -> Goal:
        """BART's own noise, each piece's drawn by its number alone."""
        return MeasuredDenoising()


class MeasuredDenoising(Denoising):
    """Noise that depends on the piece and on nothing else."""

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack pieces that are spoilt in the same way every time."""
        from bmtool.models.goals.denoising import spoilt_batch

        del rng
        return spoilt_batch(examples, rows, self._spoil(examples), "denoising", None)

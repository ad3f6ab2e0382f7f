"""Write what was left out of a text: span corruption (Raffel et al. 2020, T5)."""

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
    from bmtool.models.goals.denoising import Spoil

#: What evaluation leaves out, whatever training did: else the numbers couldn't be compared. T5's own values.
MEASURED_PROBABILITY, MEASURED_LENGTH = 0.15, 3.0


class SpanCorruption(Objective):
    """Leave out spans of a text, each with a token `<extra_id_N>` in its place, and write them, behind those tokens.

    The defaults are T5's (section 3.3.4). Evaluation always leaves out 15 % in spans of 3 tokens, by a fixed seed.
    `loss` counts the tokens `<extra_id_N>` and the end too, which are soon easy.
    """

    auto_class = "AutoModelForSeq2SeqLM"

    mlm_probability: Annotated[Share, Field(gt=0, lt=1)] = MEASURED_PROBABILITY
    """The share of tokens that is left out."""
    mean_noise_span_length: Annotated[float, Field(ge=1)] = MEASURED_LENGTH
    """How many tokens a span has in the mean."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation."""
        return ("loss", "perplexity")

    @property
    def target_share(self) -> float:
        """What is left out, with a token for each span, which is read, too."""
        spans = self.mlm_probability / self.mean_noise_span_length
        return (self.mlm_probability + spans) / (1 + 2 * spans)

    def unfit_tokenizer(self, trainer: TokenizerTrainer) -> str:
        """It has no sentinels."""
        if getattr(trainer, "sentinels", 0):
            return ""
        return (
            "has no tokens that stand for text that is left out, which objective span_corruption needs. "
            "Set tokenizer: {type: unigram, sentinels: 100}, or the same with bpe"
        )

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Pieces of documents, and a sentinel for each span of the longest."""
        from bmtool.data.examples.noise import noise_counts
        from bmtool.models.goals.denoising import corruptible, spoilt_pieces

        pieces = spoilt_pieces(split, tokenizer, max_seq_length)
        measured = noise_counts(pieces.lengths.max(initial=1), MEASURED_PROBABILITY, MEASURED_LENGTH)[1]
        return corruptible(pieces, tokenizer, self.mlm_probability, self.mean_noise_span_length, int(measured))

    def _spoil(self, examples: Examples) -> Spoil:
        from bmtool.models.goals.denoising import left_out

        return left_out(examples, self.mlm_probability, self.mean_noise_span_length)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack sources and what was left out of them; targets are `positions` and `labels`, both (P,)."""
        from bmtool.models.goals.denoising import spoilt_batch

        return spoilt_batch(examples, rows, self._spoil(examples), "span_corruption", rng)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of the tokens that are written, summed."""
        from bmtool.models.goals.language import target_loss

        return {"span_corruption": target_loss(model, batch)}

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """Per piece `nll`, `targets`, `hits`, `bytes` and `document`."""
        from bmtool.models.goals.language import target_scores

        return target_scores(model, batch, examples)

    def measured(self) -> Goal:
        """15 % left out in spans of 3 tokens, each piece's drawn by its number alone."""
        return MeasuredSpanCorruption()


class MeasuredSpanCorruption(SpanCorruption):
    """Spans that depend on the piece and on nothing else."""

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack pieces of which the same is left out every time."""
        from bmtool.models.goals.denoising import spoilt_batch

        del rng
        return spoilt_batch(examples, rows, self._spoil(examples), "span_corruption", None)

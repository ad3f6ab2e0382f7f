"""Predict each next word from those before it: causal language modelling (Radford et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.contracts import Objective

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples


class Clm(Objective):
    """Predict every token from the ones before it in its piece; at the end of a document, that it ends."""

    auto_class = "AutoModelForCausalLM"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation."""
        return ("loss", "perplexity", "bits_per_byte")

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Pieces of documents between border tokens."""
        from bmtool.models.goals.language import causal_pieces

        return causal_pieces(split, tokenizer, max_seq_length)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack pieces; targets are `positions` and `labels`, both (P,)."""
        from bmtool.models.goals.language import predict_next

        del rng
        return predict_next(examples, rows)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of the next tokens, summed."""
        from bmtool.models.goals.language import target_loss

        return {"clm": target_loss(model, batch)}

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """Per piece `nll`, `targets`, `hits`, `bytes` and `document`."""
        from bmtool.models.goals.language import target_scores

        return target_scores(model, batch, examples)

"""What tasks have in common whose answers are texts that a model writes, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import FiniteFloat, PositiveInt, PrivateAttr

from bmtool.contracts import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples

#: How answers are found: by beams, one token after the other, or not at all.
Search = Literal["beams", "greedy", "none"]


class Writing(Task):
    """A text to be written for each source by an encoder-decoder, such as T5 and BART.

    While training only the loss is measured, unless `metric_for_best_model` names a metric of texts: writing the texts
    of a validation split takes as long as many training steps. Then they are written without beams.
    """

    auto_class = "AutoModelForSeq2SeqLM"
    written: ClassVar[tuple[str, ...]]
    """Metrics of the texts; the first one is the main one."""

    source_prefix: str = ""
    """Put before each source, such as T5's `translate English to German: `."""
    max_new_tokens: PositiveInt = 128
    """How long a text may get, in tokens; longer ones are cut, and counted. Nor is more than that learned."""
    num_beams: PositiveInt = 4
    """How many beginnings of a text are followed at a time; 1: only the likeliest token counts (greedy)."""
    length_penalty: FiniteFloat = 1.0
    """The likelihood of a finished text is divided by its length to this power: more makes longer texts."""

    _search: Search = PrivateAttr(default="beams")

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns read, name to kind."""
        return {"source": "text", "target": "target"}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics of the texts and the loss; while training perhaps the loss alone."""
        return ("loss",) if self._search == "none" else (*self.written, "loss")

    def head_labels(self, labels: tuple[str, ...]) -> None:
        """None: the model's own head gives tokens."""
        del labels

    def watched(self, metric: str | None) -> Task:
        """With texts only if a metric of them chooses the checkpoint, and then without beams."""
        task = self.model_copy()
        task._search = "greedy" if metric in self.written else "none"  # noqa: SLF001  its own
        return task

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Encode sources and targets; `references` holds the targets, a list of one for each row, if there are any."""
        from bmtool.data.targets import sources_and_targets

        return sources_and_targets(
            split,
            tokenizer,
            max_source_tokens=max_seq_length,
            max_target_tokens=min(self.max_new_tokens, max_seq_length),
            source_prefix=self.source_prefix,
        )

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack sources and targets; targets of the batch are `positions` and `labels`, both (P,)."""
        from bmtool.models.generation import pack_targets

        del rng
        return pack_targets(examples, rows)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of each token of the target and of its end, given those before it, summed."""
        from bmtool.models.packed import lm_loss_at

        smoothing = self._weighing.label_smoothing
        positions, labels = batch.targets["positions"], batch.targets["labels"]
        return {"cross_entropy": lm_loss_at(model, batch, positions, labels, smoothing)}

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """`predictions`, N texts, and `is_cut` (N,); with targets `references`, and `nll` and `targets` (N,), too."""
        from bmtool.models.generation import target_likelihoods, write

        outputs: Columns = {}
        if "references" in examples.columns:
            outputs |= target_likelihoods(model, batch)
        if self._search == "none":
            return outputs
        if "references" in examples.columns:
            outputs["references"] = [examples.columns["references"][row] for row in batch.rows.tolist()]
        num_beams = self.num_beams if self._search == "beams" else 1
        return outputs | write(
            model,
            batch,
            examples,
            max_new_tokens=self.max_new_tokens,
            num_beams=num_beams,
            length_penalty=self.length_penalty,
        )

    def present(self, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
        """The column `target`."""
        import pyarrow as pa

        del labels
        return pa.table({"target": pa.array(outputs["predictions"], pa.string())})

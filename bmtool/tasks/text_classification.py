"""Give a whole text one of a fixed set of labels, such as a topic or a number of stars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bmtool.contracts import HeadTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples


class TextClassification(HeadTask):
    """One label for each text, chosen by the largest logit of the document head."""

    auto_class = "AutoModelForSequenceClassification"
    head: ClassVar = "document"
    metrics = ("accuracy", "f1_macro", "f1_micro", "precision_macro", "recall_macro", "loss")

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns read, name to kind."""
        return {"text": "text", "label": "label"}

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Encode texts; the label ids are the column `references`, left out where the split has no labels."""
        from bmtool.data.labelled import encoded_texts

        return encoded_texts(split, "text", "label", tokenizer, max_seq_length)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack texts; the target `labels` is (N,)."""
        from bmtool.models.supervised import pack_documents

        del rng
        return pack_documents(examples, rows)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of the labels, summed over texts."""
        from bmtool.models.supervised import document_cross_entropy

        return {"cross_entropy": document_cross_entropy(model, batch, self._weighing)}

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """What `read` gives, and with labels `references`, `nll` and `targets`."""
        from bmtool.models.supervised import head_logits

        return self.read(head_logits(self.head, model, batch), batch, examples)

    def read(self, logits: NDArray[np.float32], batch: Batch, examples: Examples) -> Columns:
        """From logits (N, C): `predictions` (N,), `probabilities` (N, C)."""
        from bmtool.data.answers import judge_texts

        return judge_texts(logits, batch.rows, examples)

    def present(self, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
        """Columns `label` and `score`, the probability of that label."""
        from bmtool.data.answers import text_table

        return text_table(outputs, labels)

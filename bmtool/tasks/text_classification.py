"""Give a text, or a pair of texts, one of a fixed set of labels, or all that fit: a topic, stars, whether B follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.contracts import DocumentTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples


class TextClassification(DocumentTask):
    """One label for each text, chosen by the largest logit of the document head; or with `multi_label` any number."""

    auto_class = "AutoModelForSequenceClassification"

    pair: bool = False
    """Whether a second text, the column `text_pair`, is read with the first."""
    multi_label: bool = False
    """Whether several labels may fit, or none: the column `labels` holds a list."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns read, name to kind."""
        texts = {"text": "text", "text_pair": "text"} if self.pair else {"text": "text"}
        return texts | ({"labels": "labels"} if self.multi_label else {"label": "label"})

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation."""
        if self.multi_label:
            return ("f1_micro", "f1_macro", "subset_accuracy", "hamming_loss", "loss")
        return ("accuracy", "f1_macro", "f1_micro", "precision_macro", "recall_macro", "loss")

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Encode texts; the column `references` holds label ids (N,), or booleans (N, C), where there are labels."""
        from bmtool.data.examples.labelled import encoded_rows

        return encoded_rows(split, self, tokenizer, max_seq_length)

    def first_biases(self, train: Examples) -> NDArray[np.float64] | None:
        """Of several labels the logits of their shares: from 0 all fall together for the first steps, and what a text
        says is lost on the way."""
        if not self.multi_label:
            return None
        from bmtool.models.goals.supervised import share_logits

        return share_logits(train.columns["references"])

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack texts; the target `labels` is (N,), or (N, C)."""
        from bmtool.models.goals.supervised import pack_documents

        del rng
        return pack_documents(examples, rows)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of the labels, summed over texts."""
        from bmtool.models.families.packed import document_logits

        return self.losses_of(document_logits(model, batch), batch)

    def losses_of(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The same from logits (N, C)."""
        from bmtool.models.goals.supervised import document_cross_entropy, set_cross_entropy

        loss = set_cross_entropy if self.multi_label else document_cross_entropy
        return {"cross_entropy": loss(logits, batch, self._weighing)}

    def divergence(self, logits: Tensor, other: Tensor, temperature: float) -> Tensor:
        """The Kullback-Leibler divergence of the labels' probabilities; of sets its mean over the labels."""
        from bmtool.models.kernels.divergences import label_divergence, set_divergence

        return (set_divergence if self.multi_label else label_divergence)(logits, other, temperature)

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """What `read` gives, and with labels `references`, `nll` and `targets`."""
        from bmtool.models.goals.one_pass import values_of

        return self.read(values_of(self, model, batch), batch, examples)

    def read(self, logits: NDArray[np.float32], batch: Batch, examples: Examples) -> Columns:
        """From logits (N, C): `predictions`, ids (N,) or booleans (N, C), and `probabilities` (N, C)."""
        from bmtool.data.scoring.answers import judge_sets, judge_texts

        return (judge_sets if self.multi_label else judge_texts)(logits, batch.rows, examples)

    def present(self, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
        """Columns `label` and `score`, its probability; or `labels` that fit and the `scores` of all."""
        from bmtool.data.scoring.answers import set_table, text_table

        return (set_table if self.multi_label else text_table)(outputs, labels)

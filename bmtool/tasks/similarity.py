"""Give each text a vector, so that texts that belong together are near each other: for search and for grouping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import FiniteFloat, PositiveFloat  # noqa: TC002  # pydantic reads the annotations below

from bmtool.contracts import VectorTask

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples


class Similarity(VectorTask):
    """The pooled last hidden states of one encoder for both texts of a row, scaled to length 1; cosines compare them.

    Other rows of a pair's batch are taken for wrong: its loss depends on them. Accumulation doesn't add any.
    """

    examples_in_batch = 128

    graded: bool = False
    """Whether rows say by a number, the column `score`, how well their texts fit."""
    temperature: PositiveFloat = 0.05
    """What cosines are divided by in the loss of pairs; less looks at the hardest ones alone."""
    least: FiniteFloat = 0.0
    """What the cosine 0 means; with `graded` `finetune` sets it to the smallest score of the training rows."""
    scale: PositiveFloat = 1.0
    """What the cosine 1 means more than that; `finetune` sets it so that it is the largest score of these rows."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns read, name to kind."""
        return {"text": "text", "text_pair": "text"} | ({"score": "number"} if self.graded else {})

    @property
    def asked(self) -> Mapping[str, str]:
        """A new text is by itself."""
        return {"text": "text"}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation."""
        return ("spearman", "pearson", "rmse", "mae") if self.graded else ("mrr", "recall_at", "ndcg_at")

    def fitted(self, train: Examples) -> Self:
        """With the range of the training rows' scores."""
        scores = train.columns.get("references", (0.0, 1.0))
        least, largest = float(min(scores)), float(max(scores))
        return self.model_copy(update={"least": least, "scale": (largest - least) or 1.0})

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Encode one text a row, or two as two documents; `references` holds the scores (N,), where there are any."""
        from bmtool.data.examples.side_by_side import one_or_two_documents

        return one_or_two_documents(split, self, tokenizer, max_seq_length)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack rows; of two texts each is a document of its own."""
        from bmtool.models.goals.embeddings import pack_rows

        del rng
        return pack_rows(examples, rows)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of finding each other in the batch, or half the squared error of cosines; over rows."""
        from bmtool.models.goals.embeddings import row_losses

        return row_losses(model, batch, self.pooling, self.temperature, (self.least, self.scale))

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """What `read` gives."""
        from bmtool.models.goals.one_pass import values_of

        return self.read(values_of(self, model, batch), batch, examples)

    def read(self, values: NDArray[np.float32], batch: Batch, examples: Examples) -> Columns:
        """See `row_outputs`: vectors for `merged`; with `graded` and two texts what `text_regression` gives."""
        from bmtool.models.goals.embeddings import row_outputs

        return row_outputs(values, batch.rows, examples, (self.least, self.scale) if self.graded else None)

    def merged(self, outputs: Columns, num_rows: int) -> Columns:
        """Of pairs the `ranks`, N arrays: where the partners of each first text are among all second texts."""
        from bmtool.data.scoring.retrieval import ranked_pairs

        del num_rows
        return ranked_pairs(outputs) if "second" in outputs else outputs

    def present(self, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
        """The column `embedding`, a list of D float32."""
        from bmtool.data.scoring.answers import vector_table

        del labels
        return vector_table(outputs)

    def furnish(self, folder: Path, max_seq_length: int) -> None:
        """Write what `SentenceTransformer(folder)` reads."""
        from bmtool.models.files.sentence_layout import write_sentence_layout

        write_sentence_layout(folder, self.pooling, max_seq_length)

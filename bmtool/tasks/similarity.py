"""Give each text a vector, so that texts that belong together are near each other: for search and for grouping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import FiniteFloat, PositiveFloat  # noqa: TC002  # pydantic reads the annotations below

from bmtool.contracts import Task

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples


class Similarity(Task):
    """The pooled last hidden states of one encoder for both texts of a row, scaled to length 1; cosines compare them.

    Rows are pairs that belong together, and what else is in the same batch is taken for wrong: the loss depends on
    which rows share a batch. Larger batches are harder and teach more; accumulation doesn't make them larger.
    """

    auto_class: ClassVar = "AutoModel"

    graded: bool = False
    """Whether rows say by a number, the column `score`, how well their texts fit."""
    temperature: PositiveFloat = 0.05
    """What cosines are divided by in the loss of pairs; less looks at the hardest ones alone."""
    pooling: Literal["mean", "cls"] = "mean"
    """The mean of a text's last hidden states, or the first of them."""
    least: FiniteFloat = 0.0
    """What the cosine 0 means; with `graded` `finetune` sets it to the smallest score of the training rows."""
    scale: PositiveFloat = 1.0
    """What the cosine 1 means more than that; `finetune` sets it so that it is the largest score of these rows."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns read, name to kind."""
        texts = {"text": "text", "text_pair": "text"}
        return texts | {"score": "number"} if self.graded else texts

    @property
    def asked(self) -> Mapping[str, str]:
        """A new text is by itself."""
        return {"text": "text"}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation."""
        return ("spearman", "pearson", "rmse", "mae") if self.graded else ("mrr", "recall_at", "ndcg_at")

    def head_labels(self, labels: tuple[str, ...]) -> None:
        """No head."""
        del labels

    def fitted(self, train: Examples) -> Self:
        """With the range of the training rows' scores."""
        if not self.graded:
            return self
        references = train.columns["references"]
        least, largest = float(references.min()), float(references.max())
        return self.model_copy(update={"least": least, "scale": (largest - least) or 1.0})

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Encode one text a row, or two as two documents; `references` holds the scores (N,), where there are any."""
        from bmtool.data.labelled import references_of
        from bmtool.data.side_by_side import one_or_two_documents

        is_scored = self.graded and "score" in split.schema.names
        columns = {"references": references_of(split, self, ())} if is_scored else {}
        return one_or_two_documents(split, "text", "text_pair", tokenizer, max_seq_length, columns)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack rows; of two texts each is a document of its own."""
        from bmtool.models.embeddings import pack_rows

        del rng
        return pack_rows(examples, rows, self._term)

    @property
    def _term(self) -> str:
        return "squared_error" if self.graded else "ranking"

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of finding each other in the batch, or half the squared error of cosines; over rows."""
        from bmtool.models.embeddings import both_embeddings, cosine_error, ranking_loss

        first, second = both_embeddings(model, batch, self.pooling)
        if self.graded:
            return {self._term: cosine_error(first, second, batch.targets["references"], self.least, self.scale)}
        return {self._term: ranking_loss(first, second, batch.targets, self.temperature)}

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """Of one text its `embedding` (N, D). Of two `first` and `second`, and numbers of texts for `merged`.

        With `graded` of two the prediction, and with scores `references`, `nll` and `targets` as `text_regression`.
        """
        from bmtool.data.answers import judge_numbers
        from bmtool.models.embeddings import as_array, both_embeddings, embeddings

        if "second_starts" not in examples.columns:
            return {"embedding": as_array(embeddings(model, batch, self.pooling))}
        first, second = both_embeddings(model, batch, self.pooling)
        if self.graded:
            cosines = as_array((first * second).sum(dim=-1, keepdim=True))
            return judge_numbers(cosines, batch.rows, examples, self.least, self.scale)
        numbers = {name: examples.columns[name][batch.rows] for name in ("first_ids", "second_ids")}
        return {"first": as_array(first), "second": as_array(second), **numbers}

    def merged(self, outputs: Columns, num_rows: int) -> Columns:
        """Of pairs the `ranks`, N arrays: where the partners of each first text are among all second texts."""
        from bmtool.data.retrieval import Candidates

        del num_rows
        if "second" not in outputs:
            return outputs
        candidates = Candidates.of(outputs["first_ids"], outputs["second_ids"])
        first, second = outputs["first"], outputs["second"][candidates.rows]
        return {"ranks": candidates.ranks(lambda start, end: first[start:end] @ second.T)}

    def present(self, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
        """The column `embedding`, a list of D float32."""
        import pyarrow as pa

        del labels
        vectors = outputs["embedding"]
        flat = pa.array(vectors.reshape(-1), pa.float32())
        return pa.table({"embedding": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])})

    def furnish(self, folder: Path, max_seq_length: int) -> None:
        """Write what `SentenceTransformer(folder)` reads."""
        from bmtool.models.sentence_layout import write_sentence_layout

        write_sentence_layout(folder, self.pooling, max_seq_length)

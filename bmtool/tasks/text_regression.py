"""Give a text, or a pair of texts, a number: a grade, a price, how alike two sentences are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import FiniteFloat, PositiveFloat  # noqa: TC002  # pydantic reads the annotations below

from bmtool.contracts import DocumentTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples


class TextRegression(DocumentTask):
    """One number for each text: the head's only logit, in standard deviations of the training rows from their mean."""

    auto_class = "AutoModelForSequenceClassification"

    pair: bool = False
    """Whether a second text, the column `text_pair`, is read with the first."""
    mean: FiniteFloat = 0.0
    """What the logit 0 means; `finetune` sets it to the mean of the training rows."""
    scale: PositiveFloat = 1.0
    """What the logit 1 means more than that; `finetune` sets it to the standard deviation of the training rows."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns read, name to kind."""
        texts = {"text": "text", "text_pair": "text"} if self.pair else {"text": "text"}
        return texts | {"score": "number"}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation."""
        return ("rmse", "mae", "pearson", "spearman")

    def head_labels(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """One logit."""
        del labels
        return ("score",)

    def fitted(self, train: Examples) -> Self:
        """With mean and standard deviation of the training rows, so that learning rates suit numbers of any size."""
        references = train.columns["references"]
        mean, scale = float(references.mean()), float(references.std())
        is_constant = scale <= 1e-9 * abs(mean)  # equal numbers differ from their mean by rounding
        return self.model_copy(update={"mean": mean, "scale": 1.0 if is_constant else scale})

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Encode texts; the column `references` holds the numbers (N,), where there are any."""
        from bmtool.data.examples.labelled import encoded_rows

        return encoded_rows(split, self, tokenizer, max_seq_length)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack texts; the target `labels` is (N,)."""
        from bmtool.models.goals.supervised import pack_documents

        del rng
        return pack_documents(examples, rows, "squared_error")

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Half the squared error in standard deviations, summed over texts."""
        from bmtool.models.families.packed import document_logits

        return self.losses_of(document_logits(model, batch), batch)

    def losses_of(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The same from logits (N, 1)."""
        from bmtool.models.goals.supervised import squared_error

        return {"squared_error": squared_error(logits, batch, self.mean, self.scale)}

    def divergence(self, logits: Tensor, other: Tensor, temperature: float) -> Tensor:
        """Half the squared difference in standard deviations."""
        del temperature
        return 0.5 * (logits - other).square().sum()

    def translated(self, logits: NDArray[np.float32], other: Self) -> NDArray[np.float32]:
        """By mean and standard deviation of both."""
        return (logits * other.scale + other.mean - self.mean) / self.scale

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """What `read` gives, and with numbers `references`, `nll` and `targets`."""
        from bmtool.models.goals.one_pass import values_of

        return self.read(values_of(self, model, batch), batch, examples)

    def read(self, logits: NDArray[np.float32], batch: Batch, examples: Examples) -> Columns:
        """From logits (N, 1): `predictions` (N,)."""
        from bmtool.data.scoring.answers import judge_numbers

        return judge_numbers(logits, batch.rows, examples, self.mean, self.scale)

    def present(self, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
        """The column `score`."""
        import pyarrow as pa

        del labels
        return pa.table({"score": pa.array(outputs["predictions"])})

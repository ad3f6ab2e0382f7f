"""Give each word of a text a tag, such as B-PER, I-PER or O for names of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import NonNegativeInt  # noqa: TC002  # pydantic reads the annotation below

from bmtool.contracts import HeadTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples


class TokenClassification(HeadTask):
    """One tag for each word, read at the word's first token.

    A text that is too long is read in windows that overlap; each word is judged where it has most context.
    """

    auto_class = "AutoModelForTokenClassification"
    head: ClassVar = "token"

    stride: NonNegativeInt = 64
    """Tokens that two windows of a text have in common, at most half a window."""
    spans: bool | None = None
    """Whether tags make spans, such as names, which are measured whole (`f1_span`) before words are; by default where
    one of them begins with B- or I-, or is O."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation.

        Of tags that make no spans, such as parts of speech, accuracy comes first: every word has a tag that counts. In
        `f1_macro` a tag that two words have weighs as much as nouns do, so that the best epoch would be chosen by few
        words. Of spans `f1_span` does, since most words are O and right without any reading.
        """
        words = ("accuracy", "f1_macro")
        return (*words, "f1_span", "loss") if self.spans is False else ("f1_span", *words, "loss")

    @property
    def first_metric_reason(self) -> str:
        """By what the tags are."""
        return "tags make no spans" if self.spans is False else "tags make spans"

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns read, name to kind."""
        return {"words": "words", "tags": "tags"}

    def fitted(self, train: Examples) -> Self:
        """Knowing whether the tags make spans."""
        from bmtool.data.scoring.spans import make_spans

        spans = make_spans(train.labels) if self.spans is None else self.spans
        return self.model_copy(update={"spans": spans})

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Encode words in windows; `word_tokens` says where first tokens are, `references` holds the tags' ids."""
        from bmtool.data.examples.labelled import encoded_words

        return encoded_words(split, "words", "tags", tokenizer, max_seq_length, stride=self.stride)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack texts; the targets are `positions` (W,) in the batch and their `labels` (W,), for W words."""
        from bmtool.models.goals.supervised import pack_words

        del rng
        return pack_words(examples, rows)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of the tags, summed over words."""
        from bmtool.models.goals.supervised import word_cross_entropy

        return {"cross_entropy": word_cross_entropy(model, batch, self._weighing)}

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """What `read` gives, and with tags `references`, `nll` and `targets`."""
        from bmtool.models.goals.one_pass import values_of

        return self.read(values_of(self, model, batch), batch, examples)

    def read(self, logits: NDArray[np.float32], batch: Batch, examples: Examples) -> Columns:
        """From logits (T, C): `predictions` and `scores`, a list of N arrays with a value a word; and `row`."""
        from bmtool.data.scoring.answers import judge_words

        return judge_words(logits, batch.cu_seq_lens, batch.rows, examples)

    def merged(self, outputs: Columns, num_rows: int) -> Columns:
        """Windows as rows, with a value a word."""
        from bmtool.data.examples.labelled import merged_words

        return merged_words(outputs, num_rows)

    def present(self, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
        """Columns `tags` and `scores`: for each word its tag and the probability of that tag."""
        from bmtool.data.scoring.answers import word_table

        return word_table(outputs, labels)

"""Find the answer to a question in a text, or say that it isn't there: a span of the text, as in SQuAD."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import FiniteFloat, NonNegativeInt, PositiveInt  # noqa: TC002  # pydantic reads the annotations below

from bmtool.contracts import HeadTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples


class QuestionAnswering(HeadTask):
    """The best span of the context by two logits a token, over all its windows (Devlin et al. 2018, section 4.2).

    A long context is read in windows that overlap. A question has no answer where the first token of every window is a
    better start and end than any span.
    """

    auto_class = "AutoModelForQuestionAnswering"
    head: ClassVar = "token"

    stride: NonNegativeInt = 64
    """Tokens that two windows of a context have in common, at most half a window."""
    max_question_tokens: PositiveInt = 64
    """What a question has beyond that, or beyond half of `max_seq_length`, is cut and counted."""
    max_answer_tokens: PositiveInt = 30
    """No longer span is given as an answer; right ones that are longer are counted."""
    no_answer_threshold: FiniteFloat = 0.0
    """By how much a span's score must exceed that of "no answer"; more gives fewer answers."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns read, name to kind."""
        return {"question": "text", "context": "text", "answers": "answers"}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation."""
        return ("exact_match", "f1_answer", "loss")

    def head_labels(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Two logits a token: whether the answer starts there, and whether it ends there."""
        del labels
        return ("start", "end")

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Encode questions with windows of their contexts; see `encoded_questions` for the columns."""
        from bmtool.data.examples.questions import encoded_questions

        most = (self.max_question_tokens, self.max_answer_tokens)
        return encoded_questions(split, tokenizer, max_seq_length, stride=self.stride, most=most)

    def limit(self, reason: str, max_seq_length: int) -> str:
        """Of questions it is `max_question_tokens`, unless half a text is less than that."""
        if reason == "questions_cut" and self.max_question_tokens <= max_seq_length // 2:
            return f"max_question_tokens {self.max_question_tokens}"
        return super().limit(reason, max_seq_length)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack windows; the target `spans` is (N, 2), and `cross_entropy` counts those with a known answer."""
        from bmtool.models.goals.spans import pack_spans

        del rng
        return pack_spans(examples, rows)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Half of the cross-entropies of first and last token, each over its own window, summed over windows."""
        from bmtool.models.goals.spans import span_cross_entropy

        return {"cross_entropy": span_cross_entropy(model, batch)}

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """What `read` gives, and with answers `references`, `nll` and `targets`."""
        from bmtool.models.goals.one_pass import values_of

        return self.read(values_of(self, model, batch), batch, examples)

    def read(self, logits: NDArray[np.float32], batch: Batch, examples: Examples) -> Columns:
        """From logits (T, 2) the best span of each window: `answers`, `starts`, `span_scores` and `null_scores`."""
        from bmtool.data.examples.questions import judge_spans

        borders = batch.cu_seq_lens.cpu().numpy().astype("int64")
        return judge_spans(logits, borders, batch.rows, examples, max_answer_tokens=self.max_answer_tokens)

    def merged(self, outputs: Columns, num_rows: int) -> Columns:
        """Windows as rows: `predictions`, texts, `scores` over "no answer", and `starts`."""
        from bmtool.data.examples.questions import merged_answers

        return merged_answers(outputs, num_rows, self.no_answer_threshold)

    def present(self, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
        """Columns `answer`, empty where there is none; `score`; and `start`, in characters of the context, or null."""
        from bmtool.data.scoring.answers import answer_table

        del labels
        return answer_table(outputs)

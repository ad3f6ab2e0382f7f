"""What tasks have in common whose answers are texts that a model writes, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, FiniteFloat, PositiveFloat, PositiveInt, PrivateAttr, model_validator

from bmtool.config.model import Settings, explained
from bmtool.contracts import Task
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from transformers import PretrainedConfig

    from bmtool.contracts import Batch, Columns, Examples, Layout
    from bmtool.data.examples.targets import Prompt
    from bmtool.models.decoding.search import Search

#: How answers are found: as the settings say, one likeliest token after the other, or not at all.
Effort = Literal["full", "greedy", "none"]


class Sampling(Settings):
    """Tokens are drawn by their probabilities: texts that differ, for the price of likelihood."""

    temperature: PositiveFloat = 1.0
    """Below 1 likely tokens are drawn more often, above 1 less often."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Only of the likeliest tokens that have this share of the probability together (Holtzman et al. 2020)."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """With each row's place it says what is drawn, whatever other rows are written with it."""


@dataclass(frozen=True)
class Decoder:
    """What a task has to know of a model that goes on with a text."""

    end: int | None
    """The token that ends a text, as the model's own files say it"""
    positions: int | None
    """How many tokens it has positions for"""
    folder: Path
    """Where its tokenizer is"""


class Writing(Task):
    """A text to be written for each source, by an encoder-decoder such as T5 and BART, or by a decoder such as GPT-2.

    A decoder reads a prompt and goes on with the answer, which alone is learned. While training only the loss is
    measured, unless `metric_for_best_model` names a metric of texts: writing the texts of a validation split takes as
    long as many training steps. Then they are written without beams.
    """

    written: ClassVar[tuple[str, ...]]
    """Metrics of the texts; the first one is the main one."""
    likelihoods: ClassVar[tuple[str, ...]] = ("loss",)
    """Metrics of the right answers' probabilities."""
    default_prompt: ClassVar[str] = "{source}\n=>\n"
    """What a decoder reads where nothing else is said."""

    prompt: str | None = None
    """What the model reads, such as `translate English to German: {source}` for T5; by default an encoder-decoder the
    source itself, and a decoder the source, `=>` and line breaks."""
    max_new_tokens: PositiveInt = 128
    """How long a text may get, in tokens; longer ones are cut, and counted. Nor is more than that learned."""
    num_beams: PositiveInt = 4
    """How many beginnings of a text are followed at a time; 1: only the likeliest token counts (greedy)."""
    length_penalty: FiniteFloat = 1.0
    """The likelihood of a finished text is divided by its length to this power: more makes longer texts."""
    sampling: Sampling | None = None
    """Draw tokens instead, with `num_beams: 1`; without it a text that is likely is searched for."""

    _effort: Effort = PrivateAttr(default="full")
    _decoder: Decoder | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _has_one_search(self) -> Self:
        if self.sampling is not None and self.num_beams > 1:
            raise explained("is drawn token by token: set num_beams: 1 with it", at="sampling")
        if self.length_penalty != 1 and self.num_beams == 1:
            raise explained("has an effect only with several beams: set num_beams", at="length_penalty")
        return self

    @model_validator(mode="after")
    def _prompt_has_a_place(self) -> Self:
        mark = f"{{{self.asked_column}}}"
        if self.prompt is not None and self.prompt.count(mark) != 1:
            raise explained(f"must have {mark} in it once, where each row's text goes", at="prompt")
        return self

    @property
    def asked_column(self) -> str:
        """The column that prompts are made of."""
        return "source"

    @property
    def auto_class(self) -> str:  # type: ignore[override]  # of all others it is fixed
        """The class of transformers that opens its checkpoint."""
        return "AutoModelForSeq2SeqLM" if self._decoder is None else "AutoModelForCausalLM"

    @property
    def target_share(self) -> float:
        """As if what is written were as long as what is read."""
        return 0.5

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts of models that write."""
        return ("encoder-decoder", "decoder")

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns read, name to kind."""
        return {self.asked_column: "text", "target": "target"}

    @property
    def gives(self) -> frozenset[str]:
        """Of decoders the bytes of the text, too."""
        return super().gives | {"bytes"}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics of the texts and of likelihoods; while training perhaps these alone."""
        return self.likelihoods if self._effort == "none" else (*self.written, *self.likelihoods)

    def head_labels(self, labels: tuple[str, ...]) -> None:
        """None: the model's own head gives tokens."""
        del labels

    def watched(self, metric: str | None) -> Task:
        """With texts only if a metric of them chooses the checkpoint, and then without beams."""
        task = self.model_copy()
        task._effort = "greedy" if metric in self.written else "none"  # noqa: SLF001  its own
        return task

    def suited(self, config: PretrainedConfig, tokenizer_folder: Path) -> Self:
        """The task for an encoder-decoder, or for a decoder.

        Raises:
            ConfigError: the model is neither.
        """
        from bmtool.data.tokenizing.tokenizers import load_tokenizer
        from bmtool.models.building.build import special_ids
        from bmtool.models.families.family import family_for
        from bmtool.models.families.positions import longest_document

        task = self.model_copy()
        if getattr(config, "is_encoder_decoder", False):
            task._decoder = None  # noqa: SLF001  its own
            return task
        if not family_for(config).is_decoder:
            raise ConfigError(
                f"{self.name()} needs a model that writes: an encoder-decoder (bart, t5) or a decoder (gpt, llama, "
                f"qwen3), and this is a '{config.model_type}'"
            )
        end = special_ids(load_tokenizer(tokenizer_folder), tokenizer_folder).get("eos")
        task._decoder = Decoder(end, longest_document(config), tokenizer_folder)  # noqa: SLF001  its own
        return task

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Encode prompts and targets; `references` holds the targets, a list of one for each row, if there are any."""
        from bmtool.data.examples.continued import prompts_and_answers
        from bmtool.data.examples.targets import sources_and_targets

        if self._decoder is None:
            return sources_and_targets(
                split,
                tokenizer,
                self._template(f"{{{self.asked_column}}}"),
                max_source_tokens=max_seq_length,
                max_target_tokens=min(self.max_new_tokens, max_seq_length),
            )
        self._check_positions(self._decoder, max_seq_length)
        return prompts_and_answers(
            split,
            tokenizer,
            self._template(self.default_prompt),
            end=self._decoder.end,
            max_prompt_tokens=max_seq_length,
            max_answer_tokens=self.max_new_tokens,
        )

    def limit(self, reason: str, max_seq_length: int) -> str:
        """Of targets it is `max_new_tokens`, unless an encoder-decoder reads less than that."""
        reads_less = self._decoder is None and max_seq_length < self.max_new_tokens
        if reason == "targets_cut" and not reads_less:
            return f"max_new_tokens {self.max_new_tokens}"
        return super().limit(reason, max_seq_length)

    def _template(self, default: str) -> Prompt:
        from bmtool.data.examples.targets import Prompt

        return Prompt.of(self.asked_column, default if self.prompt is None else self.prompt)

    def prompt_room(self, max_seq_length: int) -> int:
        """How long prompts may be of a model that nobody tuned: what its answers leave of its positions."""
        positions = None if self._decoder is None else self._decoder.positions
        return max_seq_length if positions is None else max(1, min(max_seq_length, positions - self.max_new_tokens))

    def _check_positions(self, decoder: Decoder, max_seq_length: int) -> None:
        """Refuse prompts and answers that together are longer than what the model can read."""
        wanted = max_seq_length + self.max_new_tokens
        if decoder.positions is not None and wanted > decoder.positions:
            raise ConfigError(
                f"a prompt of max_seq_length ({max_seq_length}) and an answer of max_new_tokens "
                f"({self.max_new_tokens}) don't fit into the {decoder.positions} positions of the model. Lower one, "
                f"or set max_position_embeddings of a new model to {wanted}"
            )

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack prompts and targets; targets of the batch are `positions` and `labels`, both (P,)."""
        from bmtool.models.decoding.continuation import pack_answers
        from bmtool.models.decoding.generation import pack_targets

        del rng
        return pack_targets(examples, rows) if self._decoder is None else pack_answers(examples, rows)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy of each token of the target and of its end, given those before it, summed."""
        from bmtool.models.families.packed import lm_loss_at
        from bmtool.models.goals.language import add_words_in_place

        smoothing = self._weighing.label_smoothing
        positions, labels = batch.targets["positions"], batch.targets["labels"]
        add_words_in_place(model)
        return {"cross_entropy": lm_loss_at(model, batch, positions, labels, smoothing)}

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """`predictions`, N texts, and `is_cut` (N,); with targets `references`, and `nll` and `targets` (N,), too.

        With a decoder also `bytes` (N,) of what is learned.
        """
        from bmtool.models.decoding.continuation import go_on
        from bmtool.models.decoding.generation import target_likelihoods, write

        outputs: Columns = {}
        if "references" in examples.columns:
            outputs |= target_likelihoods(model, batch)
        if "bytes" in examples.columns:
            outputs["bytes"] = examples.columns["bytes"][batch.rows]
        if self._effort == "none":
            return outputs
        if "references" in examples.columns:
            outputs["references"] = [examples.columns["references"][row] for row in batch.rows.tolist()]
        return outputs | (write if self._decoder is None else go_on)(model, batch, examples, self._search())

    def _search(self) -> Search:
        from bmtool.models.decoding.search import Draws, Search

        if self._effort != "full":
            return Search(self.max_new_tokens, num_beams=1, length_penalty=1.0)
        drawn = None if self.sampling is None else Draws(**self.sampling.model_dump())
        return Search(self.max_new_tokens, self.num_beams, self.length_penalty, drawn)

    def furnish(self, folder: Path, max_seq_length: int) -> None:
        """Write how texts are looked for, for transformers' `generate`."""
        from bmtool.models.decoding.search import write_generation_config

        del max_seq_length
        write_generation_config(folder, self._search())

    def present(self, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
        """The column `target`."""
        import pyarrow as pa

        del labels
        return pa.table({"target": pa.array(outputs["predictions"], pa.string())})


def class_for(task: Task, config: PretrainedConfig) -> str:
    """The `auto_class` of a task as such a model learns it (`Task.suited`), known without the model's tokenizer."""
    if not isinstance(task, Writing):
        return task.auto_class
    return "AutoModelForSeq2SeqLM" if getattr(config, "is_encoder_decoder", False) else "AutoModelForCausalLM"

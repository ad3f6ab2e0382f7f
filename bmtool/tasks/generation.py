"""Answer prompts in writing, as a decoder (GPT, Llama, Qwen) learns it from instructions or conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import PositiveInt, model_validator

from bmtool.config.model import explained
from bmtool.errors import ConfigError
from bmtool.models.decoding.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from transformers import PretrainedConfig

    from bmtool.contracts import Examples, Layout


class Generation(Writing):
    """An answer to each prompt; the answer alone is learned, and that it ends."""

    written: ClassVar = ("chrf", "bleu", "rouge_l")
    likelihoods: ClassVar = ("loss", "perplexity", "bits_per_byte")
    default_prompt: ClassVar = "{prompt}\n"

    prompt: str | None = None
    """What the model reads, with `{prompt}` where the row's text goes; by default the text, and for a decoder a line
    break behind it."""
    num_beams: PositiveInt = 1
    """How many beginnings of a text are followed at a time; 1: only the likeliest token counts (greedy)."""

    messages: bool = False
    """Whether rows are conversations, a column `messages` of {role, content}, in the tokenizer's own chat template; all
    answers of theirs are learned, and the last one is asked for. A tokenizer without a template gets a plain one."""

    @model_validator(mode="after")
    def _has_one_prompt(self) -> Self:
        if self.messages and self.prompt is not None:
            raise explained("has no effect with messages: the chat template says what is read", at="prompt")
        return self

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns read, name to kind."""
        return {"messages": "messages"} if self.messages else super().columns

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """A conversation is one text that a decoder goes on with."""
        return ("decoder",) if self.messages else super().layouts

    def suited(self, config: PretrainedConfig, tokenizer_folder: Path) -> Self:
        """The task for a decoder, or without `messages` also for an encoder-decoder.

        Raises:
            ConfigError: the model is neither.
        """
        if self.messages and getattr(config, "is_encoder_decoder", False):
            raise ConfigError(
                f"a conversation is one text that a decoder (gpt, llama, qwen3) goes on with, and this is a "
                f"'{config.model_type}'. Give it prompt and target, without messages"
            )
        return super().suited(config, tokenizer_folder)

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Encode prompts and targets, or conversations; `references` holds the (last) answers, lists of one."""
        from bmtool.data.examples.conversations import conversations
        from bmtool.data.tokenizing.chat_template import ChatTemplate

        if not self.messages or self._decoder is None:
            return super().examples(split, tokenizer, max_seq_length)
        self._check_positions(self._decoder, max_seq_length)
        return conversations(
            split,
            tokenizer,
            ChatTemplate.of(self._decoder.folder),
            max_prompt_tokens=max_seq_length,
            max_answer_tokens=self.max_new_tokens,
        )

    def furnish(self, folder: Path, max_seq_length: int) -> None:
        """Write the chat template that was learned, if the tokenizer brought none, and what ends an answer."""
        from bmtool.data.examples.conversations import furnish

        super().furnish(folder, max_seq_length)
        if self.messages:
            furnish(folder)

    @property
    def asked_column(self) -> str:
        """The column that prompts are made of."""
        return "prompt"

"""Answer prompts in writing, as a decoder (GPT, Llama, Qwen) learns it from instructions or conversations."""

from __future__ import annotations

from typing import ClassVar

from pydantic import PositiveInt  # noqa: TC002  # pydantic reads the annotation below

from bmtool.models.writing import Writing


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

    @property
    def asked_column(self) -> str:
        """The column that prompts are made of."""
        return "prompt"

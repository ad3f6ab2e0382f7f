"""Drop documents with words or phrases of a list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from bmtool.config.model import HOW, explained
from bmtool.contracts import Filter
from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from bmtool.contracts import Verdict
    from bmtool.data.text.documents import Documents


class Blocklist(Filter):
    """Drop documents in which more than `max_ratio` of the words belong to the list; by default any drops one.

    Whole words count, in capitals or not; in a phrase it doesn't matter what stands between the words. In scripts
    without spaces each character is a word, and so a word there is a phrase. A file has one word or phrase a line;
    lines that start with `#` are comments.
    """

    words: tuple[Annotated[str, Field(min_length=1)], ...] = Field((), examples=[["lorem ipsum", "click here"]])
    file: Annotated[str | None, HOW] = None
    """A list in UTF-8; its content decides, not its name."""
    max_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _has_words(self) -> Blocklist:
        if not self.words and self.file is None:
            raise explained("give 'words', a 'file' or both")
        empty = [word for word in self.words if not any(character.isalnum() for character in word)]
        if empty:
            raise explained(f"there is neither letter nor digit in {empty[0]!r}", at="words")
        return self

    def files(self) -> list[tuple[str, Path]]:
        """The list, if it is a file.

        Raises:
            MissingInputError: it isn't there.
        """
        if self.file is None:
            return []
        path = Path(self.file)
        if not path.is_file():
            raise MissingInputError(f"blocklist: {self.file} isn't a file")
        return [(path.name, path)]

    def rules(self) -> tuple[str, ...]:
        """Too many words of the list."""
        return ("max_ratio",)

    def judge(self, documents: Documents) -> Verdict:
        """Count words.

        Raises:
            DataError: the file can't be read, or a line of it has no word.
        """
        import numpy as np

        from bmtool.data.text.documents import verdict_of
        from bmtool.data.text.phrases import listed_words, read_phrases

        phrases = self.words + (read_phrases(Path(self.file)) if self.file is not None else ())
        listed, words = listed_words(documents, phrases)
        ratio = listed / np.maximum(words, 1)
        return verdict_of([(ratio > self.max_ratio, ratio, self.max_ratio)], len(documents))

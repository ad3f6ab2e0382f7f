"""What `prepare` can be told about a corpus's tokenizer: learn one, or take one from elsewhere, with more tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, PositiveInt, SerializeAsAny, field_validator

from bmtool.config.hub import hub_name
from bmtool.config.model import HOW, Choose, Settings, explained, validate
from bmtool.config.references import ModelRef
from bmtool.errors import DataError, MissingInputError
from bmtool.registry import TOKENIZERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bmtool.config.hub import HubName
    from bmtool.console import Console
    from bmtool.contracts import TokenizerTrainer


class WordsFile(Settings):
    """Words to be added, one a line."""

    file: str

    def path(self) -> Path:
        """Where it is."""
        from pathlib import Path

        from bmtool.config.variables import expand

        return Path(expand(self.file))

    def read(self) -> list[str]:
        """The words, without white space at their ends; empty lines don't count.

        Raises:
            MissingInputError: it isn't there.
            DataError: it isn't UTF-8, or holds no word.
        """
        path = self.path()
        if not path.is_file():
            raise MissingInputError(f"{path}: there is no such file. tokenizer.add_tokens reads one word a line")
        try:
            words = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8: {error}") from None
        found = list(dict.fromkeys(filter(None, words)))
        if not found:
            raise DataError(f"{path}: no word is in it. tokenizer.add_tokens reads one word a line")
        return found


class TokenizerFrom(Settings):
    """The tokenizer of a checkpoint or of another corpus, taken as it is, or with more tokens."""

    source: Annotated[ModelRef, HOW] = Field(alias="from")
    """A folder with a slash, hf:org/name@revision, or another corpus under `prepare:`."""
    add_tokens: PositiveInt | tuple[str, ...] | WordsFile | None = None
    """Words that become a token each: a list, `{file: words.txt}` (one a line), or a number: so many of those words
    that are most frequent in this corpus's train split and three pieces or more to the tokenizer."""

    @field_validator("add_tokens")
    @classmethod
    def _are_words(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            if not value or len(set(value)) < len(value):
                raise explained("expected words, each of them once")
            for word in value:
                if not word or word.split() != [word]:
                    raise explained(f"'{word}' is no single word")
        return value

    @property
    def hub(self) -> HubName | None:
        """The name on the hub; None where it is on this disk."""
        return hub_name(self.source.value)

    def fetch(self, console: Console) -> None:
        """Bring a tokenizer of the hub into its cache, unless it is there."""
        from bmtool.artifacts.hub import fetch

        if self.hub is not None:
            fetch(self.hub, "model", self._chosen, console)

    def revisions(self) -> dict[str, str]:
        """The commit that a name on the hub means."""
        from bmtool.artifacts.hub import snapshot

        return {self.source.value: snapshot(self.hub, "model").commit} if self.hub is not None else {}

    def path(self) -> Path:
        """The folder that holds tokenizer.json: the one named, or its `tokenizer/`."""
        from pathlib import Path

        from bmtool.artifacts.hub import snapshot
        from bmtool.config.variables import expand

        if self.hub is not None:
            return snapshot(self.hub, "model").folder
        folder = Path(expand(self.source.value))
        inner = folder / "tokenizer"
        return inner if not (folder / "tokenizer.json").exists() and inner.is_dir() else folder

    def files(self) -> list[tuple[str, Path]]:
        """What is taken over from outside of this file, and the list of words.

        Raises:
            MissingInputError: it isn't there, or was learned from a few rows.
        """
        words = [("tokenizer/words", self.add_tokens.path())] if isinstance(self.add_tokens, WordsFile) else []
        return words if self.source.form == "name" else [*self._tokenizer_files(), *words]

    def _tokenizer_files(self) -> list[tuple[str, Path]]:
        from bmtool.artifacts.hub import snapshot
        from bmtool.artifacts.manifest import MANIFEST, read_manifest
        from bmtool.data.tokenizing.tokenizer_files import tokenizer_files

        if self.hub is not None:
            found = snapshot(self.hub, "model")
            return [(f"tokenizer/{one}", path) for one, path in found.paths(self._chosen(found.names), self.hub)]
        for folder in (self.path(), self.path().parent):
            if (folder / MANIFEST).is_file() and read_manifest(folder).is_smoke:
                raise MissingInputError(
                    f"{folder}: a smoke run learned this tokenizer from a few rows. Take one made without --smoke"
                )
        return tokenizer_files(self.path())

    def _chosen(self, names: Sequence[str]) -> list[str]:
        from bmtool.data.tokenizing.tokenizer_files import TOKENIZER_FILES

        if TOKENIZER_FILES[0] not in names:
            raise MissingInputError(f"{self.source}: no tokenizer that bmtool reads is here ({TOKENIZER_FILES[0]})")
        return [name for name in TOKENIZER_FILES if name in names]


class ChooseTokenizer(Choose):
    """Reads `{from: FOLDER, ...}` besides what every component is read from."""

    def component(self, value: Any) -> Any:
        """The class that `value` chooses."""
        return TokenizerFrom if self._is_from(value) else super().component(value)

    def others(self) -> tuple[type[Settings], ...]:
        """`{from: FOLDER, ...}`."""
        return (TokenizerFrom,)

    def __call__(self, value: Any) -> Any:
        """Validate one YAML value."""
        if isinstance(value, TokenizerFrom):
            return value
        return validate(TokenizerFrom, value) if self._is_from(value) else super().__call__(value)

    @staticmethod
    def _is_from(value: Any) -> bool:
        return isinstance(value, dict) and "from" in value and "type" not in value


_choose_tokenizer = ChooseTokenizer(TOKENIZERS)
if TYPE_CHECKING:
    OneTokenizer: TypeAlias = TokenizerTrainer | TokenizerFrom
else:
    OneTokenizer = Annotated[SerializeAsAny[Settings], BeforeValidator(_choose_tokenizer), _choose_tokenizer]

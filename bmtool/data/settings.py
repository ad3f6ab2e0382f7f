"""Settings that `prepare` is made of: splits, samples, limits, a file with a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import PositiveInt, model_serializer, model_validator

from bmtool.config.model import Settings, explained
from bmtool.config.units import Count, Ratio, Seed
from bmtool.errors import ConfigError, MissingInputError

if TYPE_CHECKING:
    from pathlib import Path


def joined_as_tuples(value: Any) -> Any:
    """Columns whose lists of names are tuples; what is checked behind another validator is strict about types."""
    if not isinstance(value, dict):
        return value
    return {name: tuple(theirs) if isinstance(theirs, list) else theirs for name, theirs in value.items()}


class Split(Settings):
    """How rows are shared out, by a hash of the row's id or of a column's value. What is left is `train`."""

    validation: Ratio = 0.0
    test: Ratio = 0.0
    group: str | None = None
    """Rows with the same value in this column stay together; without it similar rows do, where they are looked for."""
    time: str | None = None
    """The latest rows by this column are test, those before them validation. Dates are best written as 2026-11-24."""
    stratify: str | None = None
    """A label: every value of it has to be in every split. No row is moved for it."""

    @model_validator(mode="after")
    def _leaves_no_less_than_nothing(self) -> Split:
        if self.validation + self.test > 1:
            raise explained(f"validation ({self.validation:g}) and test ({self.test:g}) are more than 1 together")
        if self.group is not None and self.time is not None:
            raise explained("rows are split by 'group' or by 'time', not by both", at="time")
        if self.time is not None and not self.validation + self.test:
            raise explained("has an effect only with a share for validation or test", at="time")
        return self

    def names(self) -> list[str]:
        """The splits that there are: those with a share above zero."""
        shares = {"train": 1 - self.test - self.validation, "validation": self.validation, "test": self.test}
        return [name for name, share in shares.items() if share > 1e-9]


class Sample(Settings):
    """Draw a few rows of each label: those with the smallest ids."""

    train_per_label: PositiveInt | None = None
    """Train rows of each label; for tasks with one label a row."""
    test_per_label: PositiveInt | None = None
    """Test rows of each label. The validation split is never drawn from."""
    seed: Seed | None = None
    """Draws other train rows; test rows stay."""

    def per_label(self) -> dict[str, int | None]:
        """How many rows of each label, by split."""
        return {"train": self.train_per_label, "test": self.test_per_label}

    @model_validator(mode="after")
    def _draws_something(self) -> Sample:
        if self.train_per_label is None and self.test_per_label is None:
            raise explained("set train_per_label, test_per_label or both")
        return self


class Limits(Settings):
    """Gates on the data: exit 3 when they aren't met. The dataset is kept, for a look at it."""

    max_rejected: Ratio | None = None
    """Share of rows that could not be read"""
    min_rows: Count | None = None
    """Rows that have to come out"""
    max_dropped: Ratio | None = None
    """Share of readable rows that any rule drops"""
    max_dropped_by: dict[str, Ratio] = {}
    """The same for single rules: a reason such as `duplicate` or `c4`, or a part of one, `c4.min_num_sentences`"""
    max_overlap: Ratio | None = None
    """Share of the rows of validation and test that have in train a similar row, or one that differs in a word"""


class KeyFile(Settings):
    """A file that holds a secret."""

    file: str

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value

    @model_serializer
    def _as_written(self) -> str:
        return self.file

    def path(self) -> Path:
        """Where it is.

        Raises:
            MissingInputError: it isn't there.
        """
        from pathlib import Path

        from bmtool.config.variables import expand

        path = Path(expand(self.file))
        if not path.is_file():
            raise MissingInputError(f"scrub_key: {path}: there is no such file. Make one: openssl rand -hex 32 > FILE")
        return path

    def read(self) -> bytes:
        """The secret, without white space at its ends.

        Raises:
            MissingInputError: it isn't there.
            ConfigError: it is too short to be a secret.
        """
        path = self.path()
        key = path.read_bytes().strip()
        if len(key) < MIN_KEY_BYTES:
            raise ConfigError(
                f"scrub_key: {path} holds {len(key)} bytes; a secret needs {MIN_KEY_BYTES}. "
                "Make one: openssl rand -hex 32 > FILE"
            )
        return key


#: HMAC-SHA256 keys shorter than its output weaken it (RFC 2104, section 3).
MIN_KEY_BYTES = 32

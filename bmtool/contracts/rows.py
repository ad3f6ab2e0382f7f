"""How rows get into a dataset: sources, cleaners, filters, scrubbers, and what each says of a row."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from bmtool.config.model import Component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.artifacts.files import Stamp
    from bmtool.console import Console
    from bmtool.data.text.documents import Documents


@dataclass
class Ledger:
    """Every row that comes in comes out, or is counted under a reason."""

    rows_in: int = 0
    rows_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, count: int) -> None:
        """Count `count` rows that leave for `reason`; a reason with 0 is kept, to show that the rule was there."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def check(self) -> None:
        """Raise AssertionError (a bug of ours) unless in = out + dropped."""
        if self.rows_in != self.rows_out + sum(self.dropped.values()):
            raise AssertionError(f"ledger doesn't balance: {self}")


@dataclass(frozen=True)
class Rejected:
    """A row that could not be read. It never holds the text."""

    file: str
    line: int
    reason: str
    """What is wrong; what stands behind the first `: ` is detail, and not counted by."""


@dataclass(frozen=True)
class Piece:
    """A part of a source that is read by itself: a file, some whole lines of one, some row groups, a package.

    It is handed to a worker process, and what was made of it is taken up again as long as its key stays.
    """

    file: str
    """The file's stable name, as `Source.files` gives it."""
    path: Path
    key: str
    """What its content is known by: other bytes, another key. The name and `first` needn't be in it."""
    size: int
    """About how many bytes of text it holds."""
    first: int = 1
    """The number of its first line (or row) in the file."""
    data: bytes | None = field(default=None, repr=False)
    """Its bytes, unpacked, where a packed file was read to cut it; else the piece is read from `path`."""
    span: tuple[int, int] | None = None
    """Which bytes (first, end) of a plain file it is; its key is their hash."""
    part: tuple[int, int] | None = None
    """Which row groups (first, end) of a Parquet file it is."""
    stamp: Stamp | None = None
    """What the file has to bear when it was read, where its key is no hash of its own bytes; None: nobody looks."""


#: The column that says where a row stood in its file, from 1; no column of a user can be called so.
LINE = "#line"


@dataclass
class Reading:
    """What a source reads rows into, and where it accounts for what it can't read."""

    columns: Mapping[str, str | tuple[str, ...]]
    """Our name: theirs, or several of theirs to be joined by a line break; one that isn't in it is called the same."""
    schema: pa.Schema
    """Our columns; each field's metadata says what kind of column it is (`bmtool.data.rows`)."""
    reject: Callable[[Rejected], None]
    """Called for each row that can't be read; a row is rejected or comes out, never skipped."""
    unseen: set[str] = field(default_factory=set)
    """Set by the source at the end: those of their columns that none of the piece's rows had."""
    known: list[str] = field(default_factory=list)
    """Set by the source with `unseen`: some names that the rows do have, for the message."""


class Source(Component):
    """Where rows come from. Files are read in a fixed order, in record batches of bounded size."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """File name endings that mean this source, such as `.csv`."""

    columns: dict[str, str | tuple[str, ...]] | None = None
    """Our name: theirs, for this source alone; it goes before the dataset's own `columns`."""
    weight: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of its rows that is kept, drawn by their ids."""

    def fetch(self, console: Console) -> None:
        """Bring here what isn't on this disk, and say so. Nothing else of a source uses the network; most need none.

        Raises:
            MissingInputError, TryAgainError, StorageError: it can't be had.
        """
        del console

    def revisions(self) -> dict[str, str]:
        """What a name that may come to mean something else meant: name to commit, for the manifest."""
        return {}

    @abstractmethod
    def files(self) -> list[tuple[str, Path]]:
        """(stable name, path) of every file whose bytes identify the input, sorted by name.

        The name holds no absolute path. Installed packages give their RECORD.

        Raises:
            MissingInputError: nothing matches.
        """

    def num_bytes(self) -> int:
        """About how many bytes there are to read: so many workers are worth their start."""
        return sum(path.stat().st_size for _, path in self.files())

    def pieces(self, name: str, path: Path, sha256: str) -> Iterator[Piece]:
        """The pieces of one of `files`, in order; together they are all of it. By default the whole file is one.

        Raises:
            DataError: the file is damaged, or breaks a limit.
        """
        yield Piece(name, path, sha256, path.stat().st_size)

    @abstractmethod
    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Batches with exactly the columns and types of `reading.schema`, and LINE (int64) behind them.

        Raises:
            DataError: the file is damaged, or breaks a limit.
        """


class Cleaner(Component):
    """Rewrites texts; never drops one."""

    @abstractmethod
    def clean(self, texts: pa.Array) -> pa.Array:
        """`texts` (string) cleaned: as many, in the same order."""


@dataclass(frozen=True)
class Verdict:
    """What a filter says of N documents. The measured value and the threshold are those of the rule that failed."""

    rule: NDArray[np.int16]
    """(N,) the first rule that failed, as an index into `Filter.rules`; -1: the document stays."""
    value: NDArray[np.float64]
    """(N,) what was measured; NaN where nothing failed, or the rule measures nothing."""
    threshold: NDArray[np.float64]
    """(N,) what it was held against; NaN likewise."""
    failed: NDArray[np.bool_] | None = None
    """(rules, N) every rule that failed, not the first alone; None: not known. Only a preview asks."""


class Filter(Component):
    """Decides which documents stay. Its name is the reason in the ledger; each of its rules is counted besides."""

    @abstractmethod
    def rules(self) -> tuple[str, ...]:
        """The names of its rules in the order in which they are applied, such as `min_chars`."""

    def files(self) -> list[tuple[str, Path]]:
        """(stable name, path) of files that it reads, such as a list of words: their bytes decide what is made."""
        return []

    @abstractmethod
    def judge(self, documents: Documents) -> Verdict:
        """Judge every document; what several filters need is computed once, through `Documents.shared`."""


class Scrubber(Component):
    """Finds one kind of private data. All scrubbers of a dataset go over a text together (`bmtool.data.text.scrub`)."""

    precedence: ClassVar[int] = 100
    """Where several match at the same place, the lowest goes first; ties go by the order in which they are listed."""

    replace: Literal["tag", "pseudonym"] = "tag"
    """`tag` puts `[EMAIL]` in its place; `pseudonym` the same made-up value for the same value, by a secret key."""

    @abstractmethod
    def pattern(self) -> str:
        """What may be one, in a syntax that RE2 and Python's `re` (with ASCII classes) read alike.

        With capturing groups, the last one that took part holds the value; the rest of the match is context and stays.
        """

    def is_valid(self, value: str, before: str, after: str) -> bool:
        """Whether the value is one indeed, by a checksum, a range, or up to 32 characters on either side of it."""
        del value, before, after
        return True

    def normalised(self, value: str) -> str:
        """The value as it is given a pseudonym: other spellings of it get the same one."""
        return value


class Deduplicator(Component):
    """Settings of a way to find copies; the work is in `bmtool.data`, since it looks at all rows at once."""


class TokenizerTrainer(Component):
    """Learns a vocabulary from texts, reproducibly: the same texts in the same order give the same bytes."""

    # Of held-out text, a WordPiece vocabulary of 32,000 from 8, 16, 32 and 64 MB made .2648, .2631, .2624 and .2620
    # tokens a byte, in 3, 6, 10 and 19 seconds; BPE .2875, .2851, .2832 and .2816.
    sample_bytes: ClassVar[int] = 64 * 1024**2
    """It learns from at most so much text, drawn by the rows' ids: time and memory are bounded."""

    @abstractmethod
    def train(self, texts: Iterable[str]) -> Tokenizer:
        """A tokenizer with special tokens and post-processor, ready to be saved as `tokenizer.json`.

        `texts` may be iterated more than once.
        """

    @abstractmethod
    def special_tokens(self) -> dict[str, str]:
        """`{"pad_token": "[PAD]", ...}` for `tokenizer_config.json`."""

    def transformers_settings(self) -> dict[str, Any]:
        """What else `tokenizer_config.json` says: the class that `AutoTokenizer` opens it with, and its settings."""
        return {"tokenizer_class": "PreTrainedTokenizerFast"}

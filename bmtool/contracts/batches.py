"""What a goal sees of the data: encoded documents, and batches of them.

Shape letters: N examples, T tokens of a packed batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


class TokenSource(Protocol):
    """Flat token ids, in memory or memory-mapped."""

    def gather(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """The tokens of the given spans one after the other: (sum of lengths,)."""


class Lookup(Protocol):
    """Numbers of N examples: an array, or what works them out for those that are asked for."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, rows: NDArray[Any], /) -> NDArray[Any]:
        """Those of some examples: (rows,)."""

    def __array__(self, dtype: Any = ..., /) -> NDArray[Any]:
        """All of them: (N,)."""


@dataclass(frozen=True)
class Examples:
    """Encoded documents, ready to be packed. Row i of a column belongs to example i."""

    tokens: TokenSource
    starts: Lookup
    """(N,) where each document's tokens start, without special tokens."""
    lengths: NDArray[Any]
    """(N,) how many there are, without special tokens; signed integers, perhaps short ones: add them up in int64."""
    prefix: tuple[int, ...]
    """Special tokens put before each document, such as [CLS]."""
    suffix: tuple[int, ...]
    """Special tokens put behind each document, such as [SEP]."""
    columns: Mapping[str, Any]
    """What the goal needs besides tokens: labels, word starts, byte counts, ids. Where a goal makes more of a document
    than its tokens, `tokens_in_batch` is how many it takes."""
    labels: tuple[str, ...] = ()
    cut: Mapping[str, int] = field(default_factory=dict)
    """What was lost on the way, by reason: `texts_cut`, `tokens_cut`, ..."""
    notes: tuple[str, ...] = ()
    """What to know of single rows, in words; the first of them"""
    vocab_size: int = 0
    """How many token ids there are; 0 where the goal never needs to know."""
    special_ids: Mapping[str, int] = field(default_factory=dict)
    """Ids of special tokens by their text, such as `[MASK]`."""
    decode: Callable[[Sequence[Sequence[int]]], list[str]] | None = None
    """Rows of token ids to texts, for tasks that write; None where the goal never needs to."""
    parts: Mapping[str, Examples] = field(default_factory=dict)
    """Of several tasks by name: their examples one after the other are these; {} for one."""
    end: int | None = None
    """The token that says that a text is over, for goals that write."""
    sentence_ends: tuple[int, ...] = ()
    """Tokens that end a sentence, for goals that move sentences."""

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def num_specials(self) -> int:
        """How many special tokens stand around each document."""
        return len(self.prefix) + len(self.suffix)

    @property
    def packed_lengths(self) -> NDArray[Any]:
        """(N,) tokens each example takes in a batch, special tokens included."""
        plain: NDArray[Any] = self.lengths + self.num_specials
        return self.columns.get("tokens_in_batch", plain)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Batch:
    """T tokens of whole documents in one row. Documents never see each other."""

    input_ids: Tensor
    """int64 (1, T)"""
    position_ids: Tensor
    """int64 (1, T), from 0 in each document"""
    cu_seq_lens: Tensor
    """int32 (N + 1), where documents start; the last is T"""
    max_length: int
    rows: NDArray[np.int64]
    """(N,) which examples these are"""
    targets: Mapping[str, Tensor]
    counts: Mapping[str, int]
    """Per loss term, how many targets its sum runs over; known before the forward pass"""
    token_type_ids: Tensor | None = None
    """int64 (1, T), 0 in a document's text A and 1 in its text B; None: there is no text B"""
    is_causal: bool = False
    """Whether tokens see only what is before them, also in a model that reads both ways"""
    reads_all: bool = False
    """Whether what is learned depends on the last hidden states of all tokens, such as on their mean, and not on those
    of the targets alone: so much arithmetic is needed"""
    task: str = ""
    """Of several tasks, which one it is of; a batch never has examples of two"""

    @property
    def num_tokens(self) -> int:
        """T."""
        return int(self.input_ids.shape[1])


Columns = dict[str, Any]
"""Per-example results by name: arrays of N rows, or (for one value a word) a list of N arrays."""

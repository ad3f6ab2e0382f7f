"""Which tokenizers work segment by segment: what isn't recognised for certain is left to `tokenizers`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from bmtool.data.segments.bpe import ByteLevelSegments
from bmtool.data.segments.unigram import UnigramSegments
from bmtool.data.segments.wordpiece import WordPieceSegments

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer


class Segments(Protocol):
    """A family of tokenizers: how their texts are cut, and what one segment becomes."""

    name: str
    fold: bool
    """Whether A-Z and a-z are the same to it."""
    inner: Tokenizer
    """Tokenizes one segment as it is tokenized inside a text."""
    classes: NDArray[Any]
    """(0x110000,) uint8, see `splitting`."""
    risky: NDArray[Any] | None
    """(0x110000,) uint8, 1: a text with this code point is left to `tokenizers`; None if there is no such one."""

    def prepare(self, data: NDArray[Any], offsets: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Texts as they are split."""

    def split(self, *position: Any) -> tuple[int, int, int, int]:
        """See `splitting`."""

    def probe(self, code: int) -> None:
        """Learn the class and the risk of a code point, and of those around it."""

    def tokenize(self, data: NDArray[Any], missing: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(counts (M,), ids) of M segments (place, length, ...); a count of -1 where `tokenizers` must be asked."""


FAMILIES: dict[str, type[WordPieceSegments | ByteLevelSegments | UnigramSegments]] = {
    "WordPiece": WordPieceSegments,
    "BPE": ByteLevelSegments,
    "Unigram": UnigramSegments,
}


def recognise(tokenizer: Tokenizer, dtype: Any) -> tuple[Segments | None, str]:
    """(its family or None, why none)."""
    settings = json.loads(tokenizer.to_str())
    kind = settings["model"]["type"]
    if kind not in FAMILIES:
        return None, f"the model {kind} isn't known"
    family = FAMILIES[kind]
    reason = family.why_not(settings)
    if reason:
        return None, reason
    return family(tokenizer, settings, dtype), ""

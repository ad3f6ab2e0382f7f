"""Which scripts and languages a dataset's texts are in, told from a sample of its rows."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bmtool.contracts.kinds import READABLE

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from bmtool.data.passes.decide import Rows
    from bmtool.data.passes.units import RowRules

#: Rows looked at: the share of a language is then known to about 3 %.
SAMPLED_ROWS = 1_000

#: Characters of each row that are looked at for its script.
SAMPLED_CHARS = 100

#: Bytes of each row that its language is told from.
SAMPLED_BYTES = 1_000

#: What Unicode's names of characters begin with, where it isn't what people call the script.
SCRIPTS = {"CJK": "Han", "HIRAGANA": "Japanese", "KATAKANA": "Japanese"}


def script_of(text: str) -> str:
    """The script that most letters of a text's beginning are in, such as `Latin`; empty without letters.

    Texts with kana are Japanese, however many Han characters there are.
    """
    counts = Counter(map(_first_of_name, filter(str.isalpha, text[:SAMPLED_CHARS])))
    if not counts:
        return ""
    most = "HIRAGANA" if counts["HIRAGANA"] or counts["KATAKANA"] else max(counts, key=lambda one: (counts[one], one))
    return SCRIPTS.get(most, most.capitalize())


@cache
def _first_of_name(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").partition(" ")[0]


def report_origins(rows: Rows, keep: NDArray[np.bool_], rules: RowRules) -> dict[str, dict[str, int]]:
    """Rows of a sample by script; by language too where a filter `language` shows that its model is there."""
    kept = np.flatnonzero(keep)
    names = rules.of_kind(*READABLE)
    if not len(kept) or not names:
        return {}
    # Evenly spread: a function of the rows alone.
    sample = kept[np.linspace(0, len(kept) - 1, min(len(kept), SAMPLED_ROWS)).astype(np.int64)]
    texts = rows.texts(sample, names)
    scripts = Counter(script_of(text) for text in texts.to_pylist())
    found = {"scripts": dict(scripts.most_common())}
    if any(one.name() == "language" for one in rules.filters):
        found["languages"] = _languages(texts)
    return found


def _languages(texts: pa.Array) -> dict[str, int]:
    from bmtool.data.text.languages import language_shares

    shares, codes = language_shares(texts, SAMPLED_BYTES)
    return dict(Counter(codes[index] for index in shares.argmax(axis=1)).most_common())

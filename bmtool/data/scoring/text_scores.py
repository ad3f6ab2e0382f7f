"""How near a written text is to the right ones, by the n-grams that they share: counts behind BLEU and chrF.

Both are functions of counts summed over rows. Shape letters: N rows, K counts of a row.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from bmtool.data.scoring.mecab import has_mecab
from bmtool.data.scoring.scores import ratio
from bmtool.data.text.scripts import WITHOUT_SPACES, is_without_spaces
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bmtool.contracts import Columns

    Floats = NDArray[np.float64]

#: Hiragana and Katakana, also half-width.
_KANA = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

#: Of the characters of scripts without spaces, at least so many are kana in Japanese; in Chinese hardly any are.
_KANA_RATIO = 0.1

#: chrF: n-grams of so many characters, and how much more recall counts than precision (sacreBLEU's defaults).
CHAR_ORDER = 6
BETA = 2


def right_texts(outputs: Columns) -> list[list[str]]:
    """The right texts of each row.

    Raises:
        DataError: a row has none.
    """
    references: list[list[str]] = outputs["references"]
    lacking = next((row for row, right in enumerate(references) if not right), None)
    if lacking is not None:
        raise DataError(f"row {lacking} has no right text to compare with")
    return references


def tokenizer_for(texts: Sequence[str]) -> tuple[str, str]:
    """The name of sacreBLEU's tokenizer for `texts`, by their script, and why."""
    if not is_without_spaces(texts):
        return "13a", "most letters of the references are of scripts with spaces between words"
    sample = "".join(texts[:1000])
    letters, kana, han = (len(pattern.findall(sample)) for pattern in (WITHOUT_SPACES, _KANA, _HAN))
    if kana > _KANA_RATIO * letters:
        if has_mecab():
            return "ja-mecab", "the references are Japanese"
        return "char", "the references are Japanese, and MeCab isn't installed: pip install 'bmtool-pipeline[japanese]'"
    if 2 * han > letters:
        return "zh", "the references are Chinese"
    return "char", "most letters of the references are of scripts without spaces between words"


def num_references(references: Sequence[Sequence[str]]) -> int:
    """How many right texts each row has, for a signature; -1: not always as many."""
    numbers = {len(right) for right in references}
    return numbers.pop() if len(numbers) == 1 else -1


def bleu_counts(predictions: Sequence[str], references: Sequence[Sequence[str]], tokenize: str) -> Floats:
    """(N, 10): length in words, that of the nearest reference, and of 1- to 4-grams how many are right, and are there.

    Papineni et al. 2002, section 2; counted by sacreBLEU (Post 2018).
    """
    bleu = BLEU(tokenize=tokenize, effective_order=True)  # the order changes no count; without it each call warns
    scores = [bleu.sentence_score(text, right) for text, right in zip(predictions, references, strict=True)]
    rows = [[score.sys_len, score.ref_len, *score.counts, *score.totals] for score in scores]
    return np.asarray(rows, np.float64).reshape(-1, 10)


def bleu(totals: Floats) -> Floats:
    """BLEU in [0, 100] from summed `bleu_counts` (..., 10), with sacreBLEU's default smoothing, `exp`."""
    flat = []
    for size, right_size, *counts in totals.reshape(-1, 10).astype(np.int64).tolist():
        score = BLEU.compute_bleu(counts[:4], counts[4:], size, right_size, smooth_method="exp")
        flat.append(score.score)
    return np.asarray(flat, np.float64).reshape(totals.shape[:-1])


def bleu_signature(references: Sequence[Sequence[str]], tokenize: str) -> str:
    """What sacreBLEU wants to be said with a BLEU."""
    bleu = BLEU(tokenize=tokenize)
    bleu.num_refs = num_references(references)
    return str(bleu.get_signature())


def chrf_signature(references: Sequence[Sequence[str]]) -> str:
    """What sacreBLEU wants to be said with a chrF."""
    chrf = CHRF()
    chrf.num_refs = num_references(references)
    return str(chrf.get_signature())


def chrf_counts(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """(N, 18): of 1- to 6-grams of characters how many are in the text, in the right one, and in both.

    Of several right texts the one counts that gives the row the best chrF (Popović 2015, as sacreBLEU counts). White
    space doesn't count. n-grams of a length that the right text is too short for count in neither text.
    """
    rows = np.zeros((len(predictions), 3 * CHAR_ORDER))
    for row, (text, right) in enumerate(zip(predictions, references, strict=True)):
        grams = _characters(text)
        each = np.asarray([_shared(grams, _characters(reference)) for reference in right], np.float64)
        rows[row] = each[np.argmax(chrf(each))]
    return rows


def _characters(text: str) -> list[Counter[str]]:
    bare = "".join(text.split())
    return [
        Counter([bare[start : start + size] for start in range(len(bare) - size + 1)])
        for size in range(1, CHAR_ORDER + 1)
    ]


def _shared(grams: list[Counter[str]], right: list[Counter[str]]) -> list[int]:
    counts = []
    for ours, theirs in zip(grams, right, strict=True):
        both = sum(min(count, theirs[gram]) for gram, count in ours.items() if gram in theirs)
        counts += [ours.total() if theirs else 0, theirs.total(), both]
    return counts


def chrf(totals: Floats) -> Floats:
    """chrF2 in [0, 100] from summed `chrf_counts` (..., 18): F2 of mean precision and mean recall over the lengths.

    Lengths count of which both texts have n-grams; 0 where none does.
    """
    text, right, both = (totals[..., place::3] for place in range(3))
    counts = (text > 0) & (right > 0)
    number = counts.sum(axis=-1)
    precision = ratio((ratio(both, text) * counts).sum(axis=-1), number)
    recall = ratio((ratio(both, right) * counts).sum(axis=-1), number)
    return 100 * ratio((1 + BETA**2) * precision * recall, BETA**2 * precision + recall)

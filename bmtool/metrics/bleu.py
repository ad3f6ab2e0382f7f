"""How many runs of up to four words a text shares with the right ones: the usual score of translations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from bmtool.config.model import explained
from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Bleu(Metric):
    """BLEU in [0, 100] (Papineni et al. 2002) over all rows together, by sacreBLEU; 0 where nothing is shared."""

    perfect = 100.0
    judges = ("target",)

    tokenize: Literal["13a", "zh", "ja-mecab", "char"] | None = None
    """How texts are cut into words; by default as the script of the references asks for."""

    @field_validator("tokenize")
    @classmethod
    def _installed(cls, name: str | None) -> str | None:
        if name == "ja-mecab":
            from bmtool.data.scoring.mecab import has_mecab

            if not has_mecab():
                raise explained(
                    "'ja-mecab' needs MeCab. Install it: pip install 'bmtool-pipeline[japanese]', or choose 'char'"
                )
        return name

    def extras(self) -> tuple[str, ...]:
        """What cuts Japanese into words, where that is asked for."""
        return ("japanese",) if self.tokenize == "ja-mecab" else ()

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 10): lengths of text and right text, and of runs of 1 to 4 words how many are right, and are there."""
        from bmtool.data.scoring.text_scores import bleu_counts, right_texts

        del labels
        return bleu_counts(outputs["predictions"], right_texts(outputs), self._chosen(outputs)[0])

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The geometric mean of the precisions, less where texts are too short."""
        from bmtool.data.scoring.text_scores import bleu

        return bleu(totals)

    def details(self, outputs: Columns) -> dict[str, str]:
        """sacreBLEU's signature, and why texts are cut so."""
        from bmtool.data.scoring.text_scores import bleu_signature, right_texts

        name, reason = self._chosen(outputs)
        return {"signature": bleu_signature(right_texts(outputs), name), "tokenize": f"{name}: {reason}"}

    def _chosen(self, outputs: Columns) -> tuple[str, str]:
        from bmtool.data.scoring.text_scores import right_texts, tokenizer_for

        if self.tokenize is not None:
            return self.tokenize, "as the file says"
        return tokenizer_for([right[0] for right in right_texts(outputs)])

"""C4's rules: documents with enough sentences in well-ended lines stay, placeholders and code go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import NonNegativeInt

from bmtool.contracts import Filter

if TYPE_CHECKING:
    from bmtool.contracts import Verdict
    from bmtool.data.text.documents import Documents


class C4(Filter):
    """Keep documents that pass the rules of C4 (Raffel et al. 2020, JMLR 21:140, section 2.2).

    The verdicts are those of datatrove's C4QualityFilter (0.10) with its defaults, which also takes lines out of the
    texts that stay; here a text stays whole or goes. Sentences are counted, and the other rules applied, in those lines
    alone that would be kept: they end in `.`, `?`, `!`, `"` or `'` (not in `...`) once citations such as `[1]` are
    taken off, have three words or more and none of more than 1,000 characters, and speak neither of Javascript nor of
    cookies, privacy policies or terms of use. (In datatrove's words: `split_paragraph`, `remove_citations`,
    `filter_no_terminal_punct`, `filter_javascript` and `filter_policy` are on, `min_words_per_line` is 3,
    `max_word_length` 1000.)

    Beyond datatrove, the full stops of other scripts end a line too (`。`, `।`, `។`, ..., also with closing quotes,
    brackets or a note in full-width brackets behind them), and so does a letter of Thai or Lao, which have no full
    stop: not judged there is how a line ends, nor, where most words are of these scripts, how many sentences there are.
    In scripts without spaces each character is a word.
    """

    min_num_sentences: NonNegativeInt = 5
    filter_lorem_ipsum: bool = True
    filter_curly_bracket: bool = True

    def rules(self) -> tuple[str, ...]:
        """Each is called as its setting."""
        return ("filter_lorem_ipsum", "filter_curly_bracket", "min_num_sentences")

    def judge(self, documents: Documents) -> Verdict:
        """Hold the shared measurements against the settings."""
        from bmtool.data.quality.measure import measure
        from bmtool.data.text.documents import verdict_of

        seen = documents.shared(measure)
        too_few = (seen.sentences < self.min_num_sentences) & ~seen.has_no_full_stop
        checks = [
            (seen.has_lorem_ipsum & self.filter_lorem_ipsum, float("nan"), float("nan")),
            (seen.has_curly_bracket & self.filter_curly_bracket, float("nan"), float("nan")),
            (too_few, seen.sentences, self.min_num_sentences),
        ]
        return verdict_of(checks, len(documents))

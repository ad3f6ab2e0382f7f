"""Questions and their contexts on the way into a model, and from its logits to answers.

A context that is too long is several examples: windows, each behind the question. Shape letters: M windows, T tokens of
a packed batch.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from bmtool.contracts import Examples
from bmtool.data.examples.overlapping import Windows
from bmtool.data.examples.right_answers import nearest, right_texts
from bmtool.data.examples.texts import Joint, joined_spans
from bmtool.data.tokenizing.encode import encode
from bmtool.data.tokenizing.plain_encoding import encode_with_places
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.contracts import Columns
    from bmtool.data.dataset import Split

    Ints = NDArray[np.int64]

    #: First and last.
    Tokens = tuple[int, int]

#: The target of a window of which nobody knows where the answer is.
UNKNOWN = -1


def encoded_questions(
    split: Split, tokenizer: Tokenizer, max_seq_length: int, *, stride: int, most: tuple[int, int]
) -> Examples:
    """Encode `question` and `context` of each row, as windows of M examples; with `answers` also what they ask for.

    `most` are tokens of a question and of an answer. A longer question, or one of more than half of the room, is cut,
    and counted. Longer answers are learned and never given; that is counted, too (`answers_over_max_answer_tokens`).

    Windows of a context have `stride` tokens in common. Columns (M,): `row`, the row of each; `context_starts`, the
    first token of the context in the example; `contexts`; `places`, arrays of where each token of the window stands in
    the context. With answers also `references`, all of the row, and `spans` (M, 2), first and last token of the first
    answer that the window holds, or twice 0, the first token of all, where it holds none, or UNKNOWN where none of the
    row's stands in its context (`answers_not_found`).

    Raises:
        DataError: there is no room for a question and a context, or the tokenizer puts nothing between two texts.
    """
    joint = Joint.of(tokenizer)
    room = max_seq_length - len(joint.prefix) - len(joint.between) - len(joint.suffix)
    if room < 2:
        raise DataError(f"max_seq_length {max_seq_length} leaves no room for a question and a context")
    ids, offsets = encode(split.column("question"), tokenizer)
    full = np.diff(offsets)
    asked = np.minimum(full, min(most[0], room // 2))
    context_ids, borders, places = encode_with_places(split.column("context"), tokenizer)
    windows = Windows.over(np.diff(borders), room - asked, stride)
    rows, first = windows.rows, borders[windows.rows] + windows.starts
    tokens, lengths = joined_spans(
        [(ids, offsets[rows], asked[rows]), (context_ids, first, windows.lengths)], joint.between
    )
    contexts = split.column("context").to_pylist()
    context_starts = len(joint.prefix) + asked[rows] + len(joint.between)
    columns: Columns = {
        "row": rows,
        "context_starts": context_starts,
        "contexts": [contexts[row] for row in rows],
        "places": [places[start : start + length] for start, length in zip(first, windows.lengths, strict=True)],
    }
    if joint.second_type:
        columns["second_starts"] = context_starts
    cut = {"questions_cut": int((full > asked).sum())}
    if "answers" in split.schema.names:
        own = [places[first:last] for first, last in itertools.pairwise(borders)]
        found, counts = _found(split, contexts, own, most[1])
        columns |= _asked_for(split, found, windows, context_starts)
        cut |= counts
    starts = np.cumsum(lengths) - lengths
    return Examples(tokens, starts, lengths, joint.prefix, joint.suffix, columns, (), cut)


def _asked_for(split: Split, found: Sequence[list[Tokens] | None], windows: Windows, context_starts: Ints) -> Columns:
    """The columns `references` and `spans` of windows, from what `_found` gives for their rows."""
    references = right_texts(split.column("answers"))
    each = zip(windows.rows, windows.starts, windows.lengths, context_starts, strict=True)
    spans = [_span(found[row], start, length, offset) for row, start, length, offset in each]
    return {
        "references": [references[row] for row in windows.rows],
        "spans": np.asarray(spans, dtype=np.int64).reshape(-1, 2),
    }


def _found(
    split: Split, contexts: Sequence[str], places: Sequence[NDArray[np.int32]], most: int
) -> tuple[list[list[Tokens] | None], dict[str, int]]:
    """First and last token of the answers of each row, counted in its context, and None where none was found; counts.

    `places` are those of each context's tokens. An answer of which there is no token isn't found.
    """
    found: list[list[Tokens] | None] = []
    lost = long = 0
    for answers, context, own in zip(split.column("answers").to_pylist(), contexts, places, strict=True):
        texts = answers["text"]
        pairs = zip(texts, answers["answer_start"], strict=True)
        spans = [one for text, start in pairs if (one := _tokens_of(text, nearest(context, text, start), own))]
        lost += len(texts) - len(spans)
        long += sum(last - first >= most for first, last in spans)
        found.append(spans if spans or not texts else None)
    return found, {"answers_not_found": lost, "answers_over_max_answer_tokens": long}


def _tokens_of(answer: str, start: int, places: NDArray[np.int32]) -> Tokens | None:
    """First and last token of an answer that stands at `start`; characters that are in no token don't count."""
    first = int(np.searchsorted(places[:, 1], start, side="right"))
    last = int(np.searchsorted(places[:, 0], start + len(answer), side="left")) - 1
    return (first, last) if start >= 0 and first <= last else None


def _span(answers: list[Tokens] | None, start: int, length: int, offset: int) -> Tokens:
    """First and last token of the first answer that a window holds, counted from the example's first token.

    The window's tokens are `length` from `start` on, and begin `offset` tokens behind the example's first.
    """
    if answers is None:
        return UNKNOWN, UNKNOWN
    inside = ((first, last) for first, last in answers if start <= first and last < start + length)
    return next(((first - start + offset, last - start + offset) for first, last in inside), (0, 0))


def judge_spans(
    logits: NDArray[np.float32], borders: Ints, rows: Ints, examples: Examples, *, max_answer_tokens: int
) -> Columns:
    """From logits (T, 2) of first and last tokens the best answer of each window, and what says that there is none.

    `borders` (M + 1,) say where documents start. Results (M,): `row`; `answers`, the text in the context; `starts`, its
    place in characters; `span_scores`, the sum of both logits, -inf for a window without context; `null_scores`, that
    of the document's first token. With answers also `references`, `nll`, half the sum of both cross-entropies, and
    `targets`, 1, or 0 where nobody knows the place.

    Raises:
        ValueError: there aren't two logits for each token.
    """
    if logits.shape != (int(borders[-1]), 2):
        raise ValueError(f"the head gave logits of shape {logits.shape}, not {(int(borders[-1]), 2)}")
    wide = logits.astype(np.float64)
    outputs: Columns = {"row": examples.columns["row"][rows], "answers": []}
    starts = np.zeros(len(rows), np.int64)
    scores = np.full(len(rows), -np.inf)
    for index, row in enumerate(rows.tolist()):
        places = examples.columns["places"][row]
        begin = int(borders[index] + examples.columns["context_starts"][row])
        first, last, scores[index] = _best(wide[begin : begin + len(places)], max_answer_tokens)
        text, starts[index] = _text(examples.columns["contexts"][row], places, first, last)
        outputs["answers"].append(text)
    null = wide[borders[:-1]].sum(axis=1)
    outputs |= {"starts": starts, "span_scores": scores, "null_scores": null}
    if "references" in examples.columns:
        spans = examples.columns["spans"][rows]
        nll = [_half_nll(wide[begin:end], span) for begin, end, span in zip(borders, borders[1:], spans, strict=False)]
        outputs["references"] = [examples.columns["references"][row] for row in rows]
        outputs["nll"] = np.asarray(nll, np.float64)
        outputs["targets"] = (spans[:, 0] != UNKNOWN).astype(np.int64)
    return outputs


def _best(logits: NDArray[np.float64], most: int) -> tuple[int, int, float]:
    """First token, last token and score of the best of all spans of up to `most` tokens; logits are (tokens, 2)."""
    if not len(logits):
        return 0, -1, -np.inf
    count = len(logits)
    # The end logits of each start in a row: those behind the text can't be chosen.
    ends = np.concatenate([logits[:, 1], np.full(most - 1, -np.inf)])
    scores = logits[:, :1] + np.lib.stride_tricks.sliding_window_view(ends, most)
    first, more = divmod(int(scores.argmax()), most)
    return first, min(first + more, count - 1), float(scores[first, more])


def _text(context: str, places: NDArray[np.int32], first: int, last: int) -> tuple[str, int]:
    """The tokens `first` to `last` as they stand in the context, without white space around; and where."""
    if last < first:
        return "", 0
    start, end = int(places[first, 0]), int(places[last, 1])
    text = context[start:end]
    return text.strip(), start + len(text) - len(text.lstrip())


def _half_nll(logits: NDArray[np.float64], span: Ints) -> float:
    if span[0] == UNKNOWN:
        return 0.0
    shifted = logits - logits.max(axis=0)
    normal = np.log(np.exp(shifted).sum(axis=0))
    return float((normal - shifted[span, [0, 1]]).mean())


def merged_answers(outputs: Columns, num_rows: int, threshold: float) -> Columns:
    """Results of windows as those of their rows: the best answer of all, unless there seems to be none.

    `scores` are that answer's score less the lowest one that says that there is none, as for SQuAD 2.0 (Devlin et al.
    2018, section 4.3); one of more than `threshold` makes it the answer. `nll` and `targets` are summed.
    """
    rows = outputs["row"]
    order = np.lexsort((-outputs["span_scores"], rows))
    best = order[np.searchsorted(rows[order], np.arange(num_rows))]
    null = np.full(num_rows, np.inf)
    np.minimum.at(null, rows, outputs["null_scores"])
    scores = outputs["span_scores"][best] - null
    is_answered = scores > threshold
    merged: Columns = {
        "predictions": [outputs["answers"][b] if yes else "" for b, yes in zip(best, is_answered, strict=True)],
        "scores": scores,
        "starts": np.where(is_answered, outputs["starts"][best], UNKNOWN),
    }
    if "references" in outputs:
        merged["references"] = [outputs["references"][b] for b in best]
        for name in ("nll", "targets"):
            merged[name] = np.bincount(rows, weights=outputs[name], minlength=num_rows)
    return merged

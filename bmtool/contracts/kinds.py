"""The kinds of columns that rows have: what a model reads, what it is to answer, and what stands beside.

text     what a model reads                      target   text that it is to give
words    a list of text                          tags     a label for each word
label    one of a few names                      labels   a list of those that fit, which may be empty
answers  texts that answer a question, pieces of the row's last text, with their places in it; none: there is no answer
messages what was said in turn, a list of {role, content}; the last one answers, and the others are read
number   a finite number
group    kept, for splits; it needs a value      extra    kept; it may be empty
"""

from __future__ import annotations

KINDS = frozenset(
    {"text", "target", "words", "tags", "label", "labels", "answers", "messages", "number", "group", "extra"}
)
#: Kinds with one text a row: it is cleaned, and must hold something.
TEXTS = ("text", "target")
#: Kinds that people read: scrubbed, counted, and compared when copies are looked for.
READABLE = (*TEXTS, "words", "messages")
#: Kinds that hold labels: stored as ids of one vocabulary.
LABELS = ("label", "tags", "labels")
#: Kinds with a list a row; those of PARALLEL are as long as each other.
LISTS = ("words", "tags", "labels")
#: Kinds with more than one value a row.
NESTED = (*LISTS, "answers", "messages")
PARALLEL = ("words", "tags")
#: Kinds that filters judge.
JUDGED = ("text", "messages")
#: Kinds of answers, and what they are when they are judged (`bmtool.contracts.evaluation.AnswerKind`).
ANSWERED_AS = {
    "label": "label",
    "tags": "tags",
    "labels": "labels",
    "number": "number",
    "target": "target",
    "answers": "target",
    "messages": "target",
}
#: Kinds that a model is asked about; the others are answers, or stand beside.
INPUTS = ("text", "words", "messages")

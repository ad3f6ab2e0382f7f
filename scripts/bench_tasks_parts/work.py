"""What building, bmtool and its peers share: the tasks, their data, and what the peers' Trainer makes of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LENGTH, ROWS_A_BATCH, VOCABULARY = 512, 16, 16384

MINI = {"num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4}
MODELS = {
    "BERT 4x256": {"architecture": "bert", **MINI},
    "BART 2+2x256": {"architecture": "bart", **MINI, "num_hidden_layers": 2},
    "GPT 4x256": {"architecture": "gpt", **MINI},
}
TOKENIZERS = {"BERT 4x256": "wordpiece", "BART 2+2x256": "bpe", "GPT 4x256": "bpe"}

#: The settings of dropout that each class of transformers has.
DROPOUT = {
    "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
    "bart": ("dropout", "attention_dropout"),
    "gpt2": ("resid_pdrop", "embd_pdrop", "attn_pdrop"),
}


@dataclass(frozen=True)
class Row:
    """A task, and the file of `scripts/fetch_data` whose rows it learns from."""

    file: str
    task: dict[str, Any]
    model: str = "BERT 4x256"
    keep: tuple[str, ...] = ("text", "label")
    """Columns of the file."""
    columns: dict[str, str] = field(default_factory=dict)
    """bmtool's name: theirs."""
    auto_class: str = "AutoModelForSequenceClassification"
    collator: str = "DataCollatorWithPadding"
    """The field's own for this task; all pad to the longest row of a batch."""
    loss_ratio: float = 1.0
    """The loss of transformers' class times this is bmtool's."""


ROWS = {
    "text_classification": Row("spam.jsonl.gz", {"type": "text_classification"}),
    "pairs": Row(
        "debian_synopsis.jsonl.gz",
        {"type": "text_classification", "pair": True},
        keep=("source", "target", "label"),
        columns={"text": "source", "text_pair": "target"},
    ),
    "text_regression": Row("film_reviews.jsonl", {"type": "text_regression"}, keep=("text", "score"), loss_ratio=0.5),
    "mail_scores": Row("spam.jsonl.gz", {"type": "text_regression"}, keep=("text", "score"), loss_ratio=0.5),
    "token_classification": Row(
        "names_zh.jsonl.gz",
        {"type": "token_classification"},
        keep=("words", "tags"),
        auto_class="AutoModelForTokenClassification",
        collator="DataCollatorForTokenClassification",
    ),
    "question_answering": Row(
        "glosses_qa.jsonl.gz",
        {"type": "question_answering"},
        keep=("question", "context", "answers"),
        auto_class="AutoModelForQuestionAnswering",
    ),
    "mail_subjects": Row(
        "spam.jsonl.gz",
        {"type": "question_answering"},
        keep=("question", "context", "answers"),
        auto_class="AutoModelForQuestionAnswering",
    ),
    "similarity": Row(
        "debian_synopsis.jsonl.gz",
        {"type": "similarity"},
        keep=("source", "target"),
        columns={"text": "source", "text_pair": "target"},
        auto_class="AutoModel",
    ),
    "translation": Row(
        "debian_translation.jsonl.gz",
        {"type": "translation"},
        "BART 2+2x256",
        ("source", "target"),
        auto_class="AutoModelForSeq2SeqLM",
        collator="DataCollatorForSeq2Seq",
    ),
    "summarization": Row(
        "debian_synopsis.jsonl.gz",
        {"type": "summarization"},
        "BART 2+2x256",
        ("source", "target"),
        auto_class="AutoModelForSeq2SeqLM",
        collator="DataCollatorForSeq2Seq",
    ),
    "generation": Row(
        "dialog.jsonl",
        {"type": "generation", "messages": True},
        "GPT 4x256",
        ("messages",),
        auto_class="AutoModelForCausalLM",
        collator="DataCollatorForSeq2Seq",
    ),
}


def texts_of(row: dict[str, Any]) -> list[str]:
    """All texts of a row of any task."""
    plain = [row[name] for name in ("text", "source", "target", "question", "context") if name in row]
    return [*plain, " ".join(row.get("words", ())), *(one["content"] for one in row.get("messages", ()))]


#: How a file's rows become those of a task, where they aren't yet.
Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def half_exchanged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every other row gets the next row's synopsis, and the label that says so."""
    return [
        {**row, "target": rows[(place + place % 2) % len(rows)]["target"], "label": ("fits", "other")[place % 2]}
        for place, row in enumerate(rows)
    ]


def scored(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The label as a number: 1 for spam."""
    return [{**row, "score": float(row["label"] == "spam")} for row in rows]


#: Of a mail; about 512 tokens.
MOST_CHARACTERS = 1800


def asked_for_the_subject(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A mail's subject, its first line, is what is asked for; of mails that mostly need one window."""
    return [
        {
            "context": row["text"],
            "question": "What is the subject?",
            "answers": {"text": [row["text"].partition("\n")[0]], "answer_start": [0]},
        }
        for row in rows
        if row["text"].partition("\n")[0].strip() and len(row["text"]) <= MOST_CHARACTERS
    ]


CHANGES: dict[str, Change] = {
    "pairs": half_exchanged,
    "mail_scores": scored,
    "mail_subjects": asked_for_the_subject,
}

"""What a checkpoint that bmtool didn't make was trained for, as its `config.json` says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a checkpoint's class says about its goal.
_GOALS = {
    "ForSequenceClassification": ("task", "text_classification"),
    "ForTokenClassification": ("task", "token_classification"),
    "ForQuestionAnswering": ("task", "question_answering"),
    "ForMaskedLM": ("objective", "mlm"),
    "ForCausalLM": ("objective", "clm"),
    "LMHeadModel": ("objective", "clm"),
    "BertForPreTraining": ("objective", "mlm_nsp"),
}


def derived_goal(config: Mapping[str, Any]) -> tuple[str | None, dict[str, Any] | None, list[str]]:
    """(`task`, `objective` or None; the goal with its settings, or None; its labels)."""
    architectures = config.get("architectures") or []
    for ending, (kind, name) in _GOALS.items():
        if any(architecture.endswith(ending) for architecture in architectures):
            goal, labels = _with_head(name, config)
            return kind if goal else None, goal, labels
    return None, None, []


def _with_head(name: str, config: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    """What logits mean: `problem_type` says it, or that there is but one, which can only be a number."""
    if name not in ("text_classification", "token_classification"):
        return {"type": name}, []
    # transformers before 5 doesn't write the names of two labels that have none of their own.
    known = config.get("id2label") or {place: f"LABEL_{place}" for place in range(int(config.get("num_labels") or 2))}
    labels = [known[key] for key in sorted(known, key=int)]
    problem = config.get("problem_type") if name == "text_classification" else None
    if problem == "multi_label_classification":
        return {"type": name, "multi_label": True}, labels
    if problem == "regression" or (name == "text_classification" and len(labels) == 1):
        return ({"type": "text_regression"} if len(labels) == 1 else None), []
    return {"type": name}, labels

"""The sections that `init` writes for a task whose columns the table has."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bmtool.registry import BASELINES

if TYPE_CHECKING:
    from collections.abc import Callable

    from bmtool.commands.init.tasks import Match

#: What is built for the first layout that a task takes.
_MODELS = {"encoder": "bert", "decoder": "gpt", "encoder-decoder": "bart"}

#: Baselines that cost next to nothing.
_CHEAP = ("majority", "tfidf", "overlap", "tfidf_retrieval", "copy_source", "lead", "phrase_lookup")


@dataclass(frozen=True)
class Sizes:
    """What the amount of text asks for, as it stands in the file."""

    max_seq_length: int
    vocab_size: int
    pretraining: str
    finetuning: str
    """A setting, such as `num_train_epochs: 20`"""


def sections(match: Match, sources: str, group: str | None, sizes: Sizes, word: Callable[[str], str]) -> list[str]:
    """The lines from `prepare` to `export`; `word` writes a name as a YAML value. Without texts a checkpoint is asked
    for, since words in lists teach no tokenizer."""
    layout = match.task.layouts[0]
    key = f", group: {word(group)}" if group else ""
    rest = f"deduplicate: [exact], split: {{validation: 0.1, test: 0.1{', group: group' if group else ''}}}"
    texts = [word(column.name) for column in match.texts]
    lines = ["prepare:"]
    if texts:
        tokenizer = (
            f"tokenizer: {{type: {'wordpiece' if layout == 'encoder' else 'bpe'}, vocab_size: {sizes.vocab_size}}}"
        )
        text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        why = "equal splits, so that no test text is learned from" if group else "the tokenizer learns from all texts"
        lines += [
            f"  corpus:  # {why}",
            f"    {{sources: {sources}, columns: {{text: {text}{key}}}, {rest},",
            f"     {tokenizer}}}",
        ]
    mapped = ", ".join(f"{ours}: {word(theirs.name)}" for ours, theirs in match.columns.items())
    lines += [f"  rows:\n    {{task: {_task(match)}, sources: {sources}, columns: {{{mapped}{key}}}, {rest}}}"]
    length, start, rate = f"max_seq_length: {sizes.max_seq_length}", "", ""
    if not texts:
        start = "from: ./encoder/, "
    elif layout == "encoder":
        model = "model: {architecture: bert, size: tiny}, objective: mlm"
        lines.append(f"pretrain: {{data: corpus, {model}, {length}, max_tokens: {sizes.pretraining}}}")
        rate = ", head_learning_rate: 2e-3" if match.task.of_kind("label", "labels") else ""
    else:
        start, rate = f"model: {_MODELS[layout]}, tokenizer: corpus, ", ", learning_rate: 1e-3"
    lines.append(f"finetune: {{data: rows, {start}{length}, {sizes.finetuning}{rate}}}")
    baselines = [name for name in _CHEAP if BASELINES.load(name)().can_do(match.task)]
    return [*lines, f"evaluate: {{baselines: [{', '.join(baselines)}]}}", *export()]


def export() -> list[str]:
    """The section that exports, where what it needs is installed."""
    needed = ("onnx", "onnxruntime", "onnxscript")
    return ["export: {formats: [onnx]}"] if all(find_spec(module) for module in needed) else []


def _task(match: Match) -> str:
    settings = [f"{name}: {str(value).lower() if value is True else value}" for name, value in match.settings.items()]
    return match.task.name() if len(settings) == 1 else f"{{{', '.join(settings)}}}"

"""The pass of prepare that gives a corpus its tokenizer: learned from its train texts, or taken from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.artifacts.faults import fault
from bmtool.contracts import TokenizerTrainer
from bmtool.data.dataset import open_dataset
from bmtool.data.tokenizing.extended import add_words, frequent_words
from bmtool.data.tokenizing.tokenizer_settings import WordsFile
from bmtool.data.tokenizing.tokenizers import copy_tokenizer, is_saved, load_tokenizer, save_tokenizer
from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from bmtool.console import Console
    from bmtool.contracts import Job
    from bmtool.data.tokenizing.tokenizer_settings import TokenizerFrom


def make_tokenizer(
    job: Job, sample: Callable[[int], Iterable[str]], trainer: TokenizerTrainer | None, taken: TokenizerFrom | None
) -> None:
    """Write the tokenizer into `tokenizer/`: what `trainer` learns, or the one that is taken.

    `sample` gives train texts of at most so many bytes.

    Raises:
        MissingInputError: what it is to be taken from has none.
        ConfigError: a word to be added can't be one token.
    """
    folder = job.folder / "tokenizer"
    if taken is not None:
        copy_tokenizer(_folder_of(taken, job), folder)
        _add_tokens(taken, folder, sample, job.console)
    elif trainer is not None and not is_saved(folder):
        job.console.say(f"training the tokenizer ({trainer.name()})")
        save_tokenizer(folder, trainer.train(sample(trainer.sample_bytes)), trainer)
    fault("prepare:tokenizer")


def _folder_of(taken: TokenizerFrom, job: Job) -> Path:
    if "tokenizer" not in job.inputs:
        return taken.path()
    folder = open_dataset(job.inputs["tokenizer"].folder).tokenizer_folder
    if folder is None:
        raise MissingInputError(f"tokenizer.from: '{taken.source}' is no corpus, so it has no tokenizer")
    return folder


def _add_tokens(taken: TokenizerFrom, folder: Path, sample: Callable[[int], Iterable[str]], console: Console) -> None:
    wanted = taken.add_tokens
    if wanted is None:
        return
    if isinstance(wanted, int):
        words = frequent_words(sample(TokenizerTrainer.sample_bytes), load_tokenizer(folder), wanted)
        if len(words) < wanted:
            console.say(
                f"add_tokens: {len(words):,} words, fewer than {wanted:,}, are three pieces or more and not rare"
            )
    else:
        words = wanted.read() if isinstance(wanted, WordsFile) else list(wanted)
    added = add_words(folder, words)
    examples = f": {', '.join(words[:5])}{', ...' if len(words) > 5 else ''}" if words else ""
    console.say(f"the tokenizer has {len(added):,} more tokens, for {len(words):,} words{examples}")

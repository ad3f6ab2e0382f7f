"""What pre-training starts from: corpora, and a model that is new or goes on from a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors.torch import load_file

from bmtool.data.tokenizing.extended import added_tokens
from bmtool.errors import ConfigError, MissingInputError
from bmtool.models.building.build import bare_model, new_model, special_ids
from bmtool.models.building.vocabulary import widen
from bmtool.models.families.packed import set_dropout
from bmtool.models.files.checkpoint import open_and_complete, open_config, require_tokenizer
from bmtool.models.heads.parameters import each_once
from bmtool.train.jobs.corpora import learned_from, open_corpora
from bmtool.train.jobs.defaults import GOING_ON_RATE, PRETRAIN_RATE, with_rate
from bmtool.train.states.recovery import Start

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

    from bmtool.contracts import Examples, Job
    from bmtool.stages.pretrain import Config
    from bmtool.train.jobs.corpora import Corpora


#: The optimizer's state beside the weights. Not *.safetensors: transformers would take it for weights.
OPTIMIZER = "optimizer.state"


def open_corpora_for(config: Config, job: Job) -> Corpora:
    """All corpora of the section by the names that the file gives them, the one to train for first."""
    named = {str(config.data): job.inputs["data"]}
    for number, corpus in enumerate(config.mix):
        named[str(corpus.data)] = job.inputs[f"mix:{number}"]
    return open_corpora(named, [corpus.weight for corpus in config.mix], job.console)


def open_model_for(config: Config, job: Job, corpora: Corpora) -> tuple[PreTrainedModel, frozenset[str]]:
    """The checkpoint with its head, or a new model; new weights depend on the seed alone.

    And the names of those that a checkpoint goes on with and doesn't have, as `named_parameters` gives them.
    """
    settings = _new_config(config, corpora)
    if settings is None:
        model, new = _opened(config, job, corpora)
    else:
        model, new = new_model(settings, config.auto_class, seed=job.seed), frozenset[str]()
    set_dropout(model, config.dropout)
    return model, new


def start_of(config: Config, job: Job, corpora: Corpora, new: frozenset[str]) -> Start:
    """That model, to be made again, and the optimizer's state that an earlier run left, where it is taken up."""
    state = _optimizer_state(job) if config.from_state else {}
    return Start(lambda job: open_model_for(config, job, corpora)[0], job, state, config.average_with_start, new)


def rated(config: Config, job: Job, corpora: Corpora) -> tuple[Config, dict[str, str]]:
    """The settings with a learning rate, where a phase has none, and why it is that one."""
    if all(stretch.learning_rate is not None for stretch in config.stretches()):
        return config, {}
    goes_on = config.from_ is not None and not config.from_state
    at_base = GOING_ON_RATE if goes_on else PRETRAIN_RATE
    return with_rate(config, _start_config(config, job, corpora).hidden_size, at_base)


def watched_domains(config: Config, job: Job, corpora: Corpora) -> dict[str, Examples]:
    """The examples whose loss is taken before and after, by corpus; none for a new model of a single corpus."""
    if not config.mix and "from" not in job.inputs:
        return {}
    last = config.stretches()[-1]
    earlier = learned_from(job.inputs["from"], corpora) if "from" in job.inputs else {}
    return corpora.watched(last.objective, last.max_seq_length, earlier)


def bare_model_for(config: Config, job: Job, corpora: Corpora) -> PreTrainedModel:
    """The same model without weights."""
    return bare_model(_start_config(config, job, corpora), config.auto_class)


def _start_config(config: Config, job: Job, corpora: Corpora) -> PretrainedConfig:
    return _new_config(config, corpora) or open_config(job.inputs["from"].folder)


def _opened(config: Config, job: Job, corpora: Corpora) -> tuple[PreTrainedModel, frozenset[str]]:
    """The checkpoint, with a new head if it has none and may, and with rows for tokens that only the corpora have.

    And the names of what is new as a whole.
    """
    added = _added_tokens(config, job, corpora.tokenizer_folder)
    folder = job.inputs["from"].folder
    model, new = open_and_complete(folder, config.auto_class, seed=job.seed, new_head=config.new_head)
    if new:
        job.console.say(f"the checkpoint has no head for this objective; a new one begins: {', '.join(sorted(new))}")
        if config.average_with_start:
            job.console.say("average_with_start leaves that head as it is trained, and averages all other weights")
    elif config.new_head:
        job.console.warn("new_head has no effect: the checkpoint has a head for this objective, which goes on")
    if added:
        before, now = widen(model, added)
        rows = f"{now:,} rows instead of {before:,}" if now > before else f"{now:,} rows, as before"
        job.console.say(f"{len(added):,} new tokens start at the mean of the tokens they were: {rows} of embeddings")
    return model, each_once(model, new)


def _new_config(config: Config, corpora: Corpora) -> PretrainedConfig | None:
    """What a new model is built from; None where a checkpoint goes on."""
    if config.model is None:
        return None
    return config.model.config(
        vocab_size=corpora.tokenizer.get_vocab_size(),
        max_seq_length=config.longest,
        special_ids=special_ids(corpora.tokenizer, corpora.tokenizer_folder),
    )


def _optimizer_state(job: Job) -> dict[str, Tensor]:
    """What `keep_state` left beside the weights.

    Raises:
        MissingInputError: it left nothing.
    """
    path = job.inputs["from"].folder / OPTIMIZER
    if not path.is_file():
        raise MissingInputError(
            f"{path.parent}: no optimizer's state is here, which pretrain.from_state asks for. Train that checkpoint "
            f"with keep_state: true, or leave from_state out"
        )
    return load_file(path)


def _added_tokens(config: Config, job: Job, tokenizer_folder: Path) -> dict[int, list[int]]:
    """The tokens that the corpus's tokenizer has behind all of the checkpoint's: their ids, and what they were before.

    Raises:
        MissingInputError: it is another tokenizer.
        ConfigError: the optimizer's state, which is to be taken up, has no room for them.
    """
    folder = job.inputs["from"].folder
    require_tokenizer(folder)
    added = added_tokens(folder, tokenizer_folder)
    if added is None:
        name = config.data.value if config.data.form == "name" else "CORPUS"
        wanted = config.from_ if config.from_ and config.from_.form != "name" else folder
        raise MissingInputError(
            f"the corpus '{config.data}' was encoded with another tokenizer than the checkpoint's. Prepare it with "
            f"prepare.{name}.tokenizer: {{from: {wanted}}}"
        )
    if added and config.from_state:
        raise ConfigError(f"pretrain.from_state: the state has no room for {len(added):,} new tokens. Leave it out")
    return added

"""Build a transformers model with new weights that depend on the seed alone."""

from __future__ import annotations

import copy
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from bmtool.models.families.family import family_for
from bmtool.models.families.positions import WITHOUT_POSITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import PretrainedConfig, PreTrainedModel

#: What tokenizer_config.json calls the special tokens, and what a model's configuration calls their ids.
_ROLES = ("pad", "unk", "bos", "eos", "cls", "sep", "mask")


def auto_model(auto_class: str) -> Any:
    """The class of transformers called `AutoModelFor...`."""
    import transformers

    return getattr(transformers, auto_class)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no warnings of transformers: what they say is judged, and said, by our own code."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def attention_name(attention: str, config: PretrainedConfig) -> str | None:
    """`packed` to what the family runs batches with, `any` to None; a name of transformers (`sdpa`, `eager`) stays."""
    return {"packed": family_for(config).attention(), "any": None}.get(attention, attention)


def with_labels(config: PretrainedConfig, labels: Sequence[str] | None) -> PretrainedConfig:
    """A copy of the configuration with `id2label` and `label2id` set; without labels a plain copy."""
    config = copy.deepcopy(config)
    if labels is not None:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: place for place, label in enumerate(labels)}
    return config


def new_model(
    config: PretrainedConfig,
    auto_class: str,
    labels: Sequence[str] | None = None,
    seed: int = 0,
    *,
    attention: str = "packed",
) -> PreTrainedModel:
    """A float32 model with new weights; the same configuration and seed give the same weights.

    Raises:
        ConfigError: documents of a batch could see each other in it.
    """
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = auto_model(auto_class).from_config(
            with_labels(config, labels), attn_implementation=attention_name(attention, config), dtype=torch.float32
        )
    _shrink_embeddings(model)
    if attention == "packed":
        family_for(config).check(model)
    return model


def _shrink_embeddings(model: PreTrainedModel) -> None:
    """Start the embeddings of T5 and its like so that logits have a variance of 1, where outputs aren't scaled down.

    transformers starts them at a standard deviation of 1 and, as in T5 1.0, divides what is multiplied with them by the
    root of the width: the same logits. But those weights are large, for Adafactor, whose steps grow with the weight; a
    step of Adam hardly moves them (docs/negative-results.md).
    """
    config: Any = model.config
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    is_t5 = config.model_type in WITHOUT_POSITIONS and head is not None
    if is_t5 and not getattr(config, "scale_decoder_outputs", False):
        with torch.no_grad():
            head.weight.mul_(config.d_model**-0.5)


def bare_model(config: PretrainedConfig, auto_class: str, labels: Sequence[str] | None = None) -> PreTrainedModel:
    """The same model without weights, on torch's meta device: to be counted, not run."""
    with torch.device("meta"):
        return new_model(config, auto_class, labels, attention="any")


def special_ids(tokenizer: Tokenizer, tokenizer_folder: Path) -> Mapping[str, int]:
    """Token ids by role (`pad`, `mask`, ...) as `tokenizer_config.json` names the tokens; {} without that file."""
    path = tokenizer_folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    config = json.loads(path.read_text(encoding="utf-8"))
    ids = {}
    for role in _ROLES:
        token = config.get(f"{role}_token")
        token = token.get("content") if isinstance(token, dict) else token
        place = tokenizer.token_to_id(token) if token else None
        if place is not None:
            ids[role] = place
    return ids

"""Where in a model each parameter stands, from the embeddings up to the head: for rates that differ, and for freezing.

Level 0 are the embeddings, 1 to L the layers, L + 1 is all above them: the last norm, a pooler, the head.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import numpy as np

from bmtool.errors import ConfigError
from bmtool.models.heads.parameters import head_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import nn
    from transformers import PreTrainedModel

_LAYER = re.compile(r"\.(?:layer|layers|h|block)\.(\d+)\.")
_EMBEDDINGS = re.compile(r"(?:^|\.)(?:\w*embed\w*|wte|wpe|shared)\.")


def levels(names: Iterable[str]) -> dict[str, int]:
    """The level of each parameter by its name, such as `bert.encoder.layer.3.output.dense.weight` to 4."""
    found = {name: _LAYER.search(name) for name in names}
    top = 1 + max((int(match[1]) + 1 for match in found.values() if match), default=0)
    return {
        name: int(match[1]) + 1 if match else 0 if _EMBEDDINGS.search(name) else top for name, match in found.items()
    }


def is_hidden(name: str) -> bool:
    """Whether the parameter belongs to a layer, and neither to embeddings nor to what is above the layers."""
    return _LAYER.search(name) is not None


def layers_of(model: nn.Module) -> Iterator[nn.Module]:
    """The model's layers, as modules, in order."""
    for name, module in model.named_modules():
        place = f".{name}."
        match = _LAYER.search(place)
        if match and match.end() == len(place):
            yield module


def layerwise_rates(names: Iterable[str], learning_rate: float, decay: float) -> dict[str, float]:
    """Each parameter's learning rate: `learning_rate` at the top, times `decay` for each level below it.

    ELECTRA (Clark et al. 2020, appendix A.2) took 0.8 for its base size and 0.9 for the large one.
    """
    found = levels(names)
    top = max(found.values(), default=0)
    return {name: learning_rate * decay ** (top - level) for name, level in found.items()}


def parameter_rates(
    model: PreTrainedModel, learning_rate: float, *, decay: float = 1.0, of_head: float | None = None
) -> dict[str, float]:
    """Learning rates by name of the trained parameters that don't get `learning_rate`; the head's own comes last.

    Raises:
        ConfigError: a rate for the head is given, and there is none, as in models that write with their embeddings.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    rates = layerwise_rates(names, learning_rate, decay) if decay < 1 else {}
    if of_head is not None:
        head = head_parameters(model) & set(names)
        if not head:
            raise ConfigError(
                f"finetune.head_learning_rate: a {type(model).__name__} has no head beside its embeddings, "
                f"so there is none to learn at another rate. Leave the setting out"
            )
        rates |= dict.fromkeys(head, of_head)
    return rates


def freeze(model: nn.Module, num_layers: int) -> int:
    """Let the embeddings and the first `num_layers` layers stay as they are; return how many numbers that is.

    Raises:
        ConfigError: the model has fewer layers.
    """
    parameters = dict(model.named_parameters())
    found: Mapping[str, int] = levels(parameters)
    present = max(found.values(), default=1) - 1
    if num_layers > present:
        raise ConfigError(f"frozen_layers is {num_layers}, and the model has {present} layers")
    frozen = [parameter for name, parameter in parameters.items() if found[name] <= num_layers]
    for parameter in frozen:
        parameter.requires_grad = False
    return sum(parameter.numel() for parameter in frozen)


def freeze_backbone(model: PreTrainedModel) -> tuple[int, int]:
    """Let all but the head stay as it is; return how many numbers are trained, and how many aren't."""
    head, counts = head_parameters(model), [0, 0]
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name in head
        counts[name not in head] += parameter.numel()
    return counts[0], counts[1]


def keep_layers(model: PreTrainedModel, num_layers: int) -> list[int]:
    """Leave so many of the model's layers in it, evenly spread from the first to the last; return which, from 0.

    Of twelve, six are 0, 2, 4, 7, 9 and 11, those that DistilBERT was published with.

    Raises:
        ConfigError: the model has no such list of layers, or a shorter one.
    """
    layers, config = list(layers_of(model)), model.config
    if getattr(config, "is_encoder_decoder", False) or len(layers) != config.num_hidden_layers:
        raise ConfigError(f"layers can't be taken out of a '{config.model_type}' model")
    if num_layers > len(layers):
        raise ConfigError(f"{num_layers} layers are asked for, and the model has {len(layers)}")
    places = [int(place) for place in np.linspace(0, len(layers) - 1, num_layers).round()]
    holder = next(module for module in model.modules() if list(module.children()) == layers)
    for number in sorted(set(range(len(layers))) - set(places), reverse=True):
        del cast("nn.ModuleList", holder)[number]
    for number, place in enumerate(places):
        for module in layers[place].modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = number  # type: ignore[assignment]
    config.num_hidden_layers = num_layers
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[place] for place in places]
    return places

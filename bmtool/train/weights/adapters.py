"""Low-rank adapters in the layers of a model, which are trained in place of its matrices, and end up in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bmtool.errors import ConfigError
from bmtool.models.heads.parameters import head_parameters
from bmtool.train.weights.layers import is_hidden

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn
    from transformers import PreTrainedModel


def add_adapters(
    model: PreTrainedModel, *, rank: int, alpha: float, targets: Sequence[str] | None, seed: int
) -> tuple[int, int]:
    """Put adapters beside the layers' matrices, in place; only they and the head are trained from now on.

    An adapter is a matrix (rank, in) of small random numbers and one (out, rank) of zeros: at first it changes nothing
    (Hu et al. 2021, "LoRA", section 4.1). With `targets` only matrices of these last names have one; by default all,
    which came nearest to training all weights (Dettmers et al. 2023, "QLoRA", section 4).

    Returns:
        How many numbers are trained, and how many aren't.

    Raises:
        ConfigError: there is no such matrix in the model's layers.
    """
    import peft

    matrices = _matrices(model)
    known = {name.rpartition(".")[2] for name in matrices}
    strange = sorted(set(targets or ()) - known)
    if strange or not matrices:
        raise ConfigError(
            f"finetune.method.targets: the model's layers have no matrix '{', '.join(strange)}'. "
            f"They have {', '.join(sorted(known)) or 'none'}"
        )
    chosen = [name for name in matrices if targets is None or name.rpartition(".")[2] in targets]
    head = head_parameters(model)
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=chosen,
        fan_in_fan_out=any(type(matrix).__name__ == "Conv1D" for matrix in matrices.values()),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(config, model)
    parameters = dict(model.named_parameters())
    for name in head & parameters.keys():
        parameters[name].requires_grad = True
    counts = [0, 0]
    for parameter in parameters.values():
        counts[not parameter.requires_grad] += parameter.numel()
    return counts[0], counts[1]


def _matrices(model: nn.Module) -> dict[str, nn.Module]:
    """The layers' matrices by name; GPT-2 calls its own Conv1D."""
    return {
        name: module
        for name, module in model.named_modules()
        if is_hidden(f"{name}.") and (isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D")
    }


def merge_adapters(model: PreTrainedModel) -> PreTrainedModel:
    """Add each adapter to its matrix, in place, and leave the plain model of its class.

    Raises:
        ValueError: a sum isn't finite.
    """
    from peft.tuners.lora import LoraLayer

    adapted: dict[str, Any] = {name: part for name, part in model.named_modules() if isinstance(part, LoraLayer)}
    for name, part in adapted.items():
        part.merge(safe_merge=True)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, part.get_base_layer())
    del model.peft_config
    return model

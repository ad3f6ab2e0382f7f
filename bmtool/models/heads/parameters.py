"""Which weights of a model are its head, and which its backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn
    from transformers import PreTrainedModel


def head_parameters(model: PreTrainedModel) -> frozenset[str]:
    """Names of the parameters that belong to the class's head, a pooler of the backbone among them."""
    backbone = place_of_backbone(model)
    names = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    return frozenset(n for n in names if not n.startswith(backbone) or n.startswith(f"{backbone}pooler."))


def place_of_backbone(model: PreTrainedModel) -> str:
    """What the names of the backbone's parameters begin with: nothing where the model is its own backbone."""
    return "" if model.base_model is model else f"{model.base_model_prefix}."


def each_once(model: nn.Module, names: Collection[str]) -> frozenset[str]:
    """The names that `named_parameters` gives the named parameters: of tied ones the first alone."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    wanted = {id(parameters[name]) for name in names}
    return frozenset(name for name, parameter in model.named_parameters() if id(parameter) in wanted)


def label_parameters(model: PreTrainedModel) -> set[str]:
    """Head parameters with one row a label."""
    parameters = dict(model.named_parameters())
    rows = model.config.num_labels
    return {name for name in head_parameters(model) if name in parameters and parameters[name].shape[0] == rows}


def begin_biases(model: PreTrainedModel, new: Collection[str], biases: NDArray[np.float64]) -> None:
    """Give the biases of the labels (C,) these values, if the model has some and they are new."""
    import torch

    parameters = dict(model.named_parameters())
    found = [name for name in parameters if name in label_parameters(model) and parameters[name].ndim == 1]
    if found and found[-1] in new:  # a pooler as wide as there are labels comes before
        with torch.no_grad():
            parameters[found[-1]].copy_(torch.from_numpy(biases))

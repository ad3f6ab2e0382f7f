"""Several plain models that have one encoder: each keeps a head of its own, and is saved and used by itself.

Shape letters: K tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig, PreTrainedModel


class SeveralHeads(nn.Module):
    """A model a task. All but the heads, and a pooler of the backbone, are the same modules in each."""

    def __init__(self, models: Mapping[str, PreTrainedModel], *, learns_weights: bool = False) -> None:
        """Share the backbone of the first model; with `learns_weights` there is a number a task that weighs its loss.

        Raises:
            ConfigError: the heads stand on backbones of different classes.
        """
        super().__init__()
        self.names = tuple(models)
        first, *others = models.values()
        for name, other in zip(self.names[1:], others, strict=True):
            _share(first, other, f"{self.names[0]} and {name}")
        # By number: `embeddings` is a good name for a dataset, and levels of layers are told by the names of weights.
        self.tasks = nn.ModuleList(models.values())
        self.log_variances: nn.Parameter | None = None
        if learns_weights:
            device = next(first.parameters()).device
            self.log_variances = nn.Parameter(torch.zeros(len(models), device=device))

    def of(self, name: str) -> PreTrainedModel:
        """The model of one task."""
        model: Any = self.tasks[self.names.index(name)]
        return model  # type: ignore[no-any-return]

    @property
    def config(self) -> PretrainedConfig:
        """Of the first model; they differ in their labels alone."""
        return self.of(self.names[0]).config

    @property
    def base_model(self) -> nn.Module:
        """The shared backbone, with the first model's pooler if it has one."""
        return self.of(self.names[0]).base_model

    @property
    def base_model_prefix(self) -> str:
        """Where the backbone's weights are by name; those in other places are heads."""
        first = self.of(self.names[0])
        return "tasks.0" if first.base_model is first else f"tasks.0.{first.base_model_prefix}"


def _share(first: PreTrainedModel, other: PreTrainedModel, names: str) -> None:
    """Put the first model's backbone into the other, but for the pooler, which is a part of the head."""
    ours, theirs = first.base_model, other.base_model
    if type(ours) is not type(theirs):
        raise ConfigError(
            f"finetune.data: {names} can't share an encoder: the head of one stands on a {type(ours).__name__}, and "
            f"that of the other on a {type(theirs).__name__}. Fine-tune them apart"
        )
    for name, child in ours.named_children():
        if name != "pooler":
            setattr(theirs, name, child)
    for name, parameter in ours.named_parameters(recurse=False):
        setattr(theirs, name, parameter)
    other.tie_weights()

"""Which model families can be packed, and where each one keeps its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


def _bert(model: Any, rows: Tensor) -> Tensor:
    return model.cls.predictions.transform(rows)  # type: ignore[no-any-return]


def _roberta(model: Any, rows: Tensor) -> Tensor:
    from torch.nn.functional import gelu

    return model.lm_head.layer_norm(gelu(model.lm_head.dense(rows)))  # type: ignore[no-any-return]


def _electra(model: Any, rows: Tensor) -> Tensor:
    return model.generator_predictions(rows)  # type: ignore[no-any-return]


def _distilbert(model: Any, rows: Tensor) -> Tensor:
    return model.vocab_layer_norm(model.activation(model.vocab_transform(rows)))  # type: ignore[no-any-return]


def _as_they_are(model: Any, rows: Tensor) -> Tensor:
    del model
    return rows


@dataclass(frozen=True)
class Family:
    """What is special about one model type of transformers."""

    features: Callable[[Any, Tensor], Tensor]
    """Hidden states (P, D) to what the matrix of token logits is multiplied with."""
    pooled: str | None = None
    """For encoders the submodule whose output the class's own pooling reads; decoders `score` the last token."""
    first_position: Callable[[Any], int] = lambda _: 0
    """The position id of a document's first token, from the configuration."""

    @property
    def is_decoder(self) -> bool:
        """Whether tokens see only what is before them."""
        return self.pooled is None


#: Each of them is in tests/models/test_packed.py: packed equals each document alone.
FAMILIES = {
    "bert": Family(_bert, pooled="bert.encoder"),
    "roberta": Family(_roberta, pooled="roberta", first_position=lambda config: int(config.pad_token_id) + 1),
    "electra": Family(_electra, pooled="electra"),
    "distilbert": Family(_distilbert, pooled="distilbert"),
    "gpt2": Family(_as_they_are),
    "llama": Family(_as_they_are),
}


def family_of(model: nn.Module) -> Family:
    """The model's family.

    Raises:
        ConfigError: documents of a packed batch could see each other in it, or it isn't tested.
    """
    config: Any = model.config
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise ConfigError(
            f"a model of type '{config.model_type}' can't be trained on packed batches. "
            f"Use one of {', '.join(sorted(FAMILIES))}"
        )
    if getattr(config, "is_decoder", False) and not family.is_decoder:
        raise ConfigError(f"a '{config.model_type}' that is used as a decoder can't be packed. Use 'gpt2' instead")
    return family

"""How each model family of transformers runs a batch, and where it keeps its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bmtool.models.families.batches import segment_means
from bmtool.models.families.encoder_decoder import EncoderDecoder
from bmtool.models.families.one_row import OneRow, first_tokens
from bmtool.models.families.padded_rows import PaddedRows
from bmtool.models.families.two_rows import TwoRows

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bmtool.contracts import Batch
    from bmtool.models.heads.language_heads import LanguageHead


class Family(Protocol):
    """Runs a batch of N documents and T tokens so that documents never see each other; answers come in its order."""

    pads: ClassVar[bool]
    """Whether documents are padded to a common length."""

    @property
    def is_decoder(self) -> bool:
        """Whether it is known that tokens see only what is before them."""

    def attention(self) -> str | None:
        """The name of the attention that it needs; None: what transformers chooses."""

    def check(self, model: nn.Module) -> None:
        """Make sure that documents can't see each other.

        Raises:
            ConfigError: they could.
        """

    def alone(self, backbone: Any, /) -> nn.Module | None:
        """The module of the last layer from which on tokens that nobody asks for are left out; None: none are."""

    def states(self, model: nn.Module, batch: Batch) -> Tensor:
        """The backbone's last hidden states, (T, D)."""

    def document_logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """The class's own document head: (N, C)."""

    def token_logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """The class's own token head: (T, C)."""

    def language_head(self, model: nn.Module, batch: Batch, positions: Tensor) -> LanguageHead:
        """The language model's head at `positions` (P,), ascending."""

    def pair_heads(self, model: nn.Module, batch: Batch, positions: Tensor) -> tuple[LanguageHead, Tensor]:
        """The same, and for each document logits of whether its text B follows its text A, (N, 2).

        Raises:
            ConfigError: the model has no such head.
        """


def _bert(model: Any, rows: Tensor) -> Tensor:
    return model.cls.predictions.transform(rows)  # type: ignore[no-any-return]


def _bert_pairs(model: Any, rows: Tensor) -> Tensor:
    return model.cls.seq_relationship(model.bert.pooler(rows[:, None]))  # type: ignore[no-any-return]


def _roberta(model: Any, rows: Tensor) -> Tensor:
    from torch.nn.functional import gelu

    return model.lm_head.layer_norm(gelu(model.lm_head.dense(rows)))  # type: ignore[no-any-return]


def _attention_output(backbone: Any) -> Any:
    """In the last layer of BERT and its like: from attention's output and the layer's input on, tokens are alone."""
    return backbone.encoder.layer[-1].attention.output


def _electra(model: Any, rows: Tensor) -> Tensor:
    return model.generator_predictions(rows)  # type: ignore[no-any-return]


def _distilbert(model: Any, rows: Tensor) -> Tensor:
    return model.vocab_layer_norm(model.activation(model.vocab_transform(rows)))  # type: ignore[no-any-return]


def _modernbert(model: Any, rows: Tensor) -> Tensor:
    return model.head(rows)  # type: ignore[no-any-return]


def _first_or_mean(config: Any, states: Tensor, batch: Batch) -> Tensor:
    """ModernBERT's `classifier_pooling`: `cls`, or the mean over all tokens."""
    if config.classifier_pooling != "mean":
        return first_tokens(config, states, batch)
    return segment_means(states, batch.cu_seq_lens)


def _as_they_are(model: Any, rows: Tensor) -> Tensor:
    del model
    return rows


_ROBERTA = OneRow(_roberta, pooled="roberta", alone=_attention_output)
_DECODER = OneRow(_as_they_are)

#: Each of them is in tests/models/families/test_packed.py: packed equals each document alone. All others run padded.
FAMILIES = {
    "bert": OneRow(_bert, pooled="bert.encoder", pairs=_bert_pairs, alone=_attention_output),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "modernbert": OneRow(_modernbert, pooled="model", pool=_first_or_mean),
    "electra": OneRow(_electra, pooled="electra", alone=_attention_output),
    "distilbert": OneRow(_distilbert, pooled="distilbert"),
    "gpt2": _DECODER,
    "llama": _DECODER,
    "qwen3": _DECODER,
}

#: Encoder-decoders, in tests/models/families/test_two_rows.py: packed equals each pair alone. All others run padded,
#: such as T5, whose attention adds a bias that depends on distances in the row.
WRITERS: dict[str, EncoderDecoder] = {"bart": TwoRows(), "mbart": TwoRows()}


def family_for(config: Any) -> Family:
    """The family of models with this configuration."""
    if getattr(config, "is_encoder_decoder", False):
        return WRITERS.get(config.model_type, EncoderDecoder())
    return FAMILIES.get(config.model_type, PaddedRows())


def family_of(model: nn.Module) -> Family:
    """The model's family."""
    return family_for(model.config)

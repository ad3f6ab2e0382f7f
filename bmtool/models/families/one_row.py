"""A family whose documents run packed: all tokens of a batch in one row, and attention that stays inside documents.

Shape letters: C labels, D hidden width, N documents, P positions, T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from bmtool.errors import ConfigError
from bmtool.models.attention.documents import ATTENTION, register
from bmtool.models.attention.self_attention import joined_projections
from bmtool.models.families.positions import first_position
from bmtool.models.heads.head_outputs import logits_of
from bmtool.models.heads.language_heads import LanguageHead, LinearHead
from bmtool.models.kernels.products import fast_products

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from bmtool.contracts import Batch


def first_tokens(config: Any, states: Tensor, batch: Batch) -> Tensor:
    """Hidden states (T, D) to each document's first one, (N, D)."""
    del config
    return states.index_select(0, _first_rows(batch))


def _first_rows(batch: Batch) -> Tensor:
    return batch.cu_seq_lens[:-1].long()


@dataclass(frozen=True)
class OneRow:
    """What is special about one model type of transformers that can be packed."""

    features: Callable[[Any, Tensor], Tensor]
    """Hidden states (P, D) to what the matrix of token logits is multiplied with."""
    pooled: str | None = None
    """For encoders the submodule whose output the class's own pooling reads; decoders `score` the last token."""
    pool: Callable[[Any, Tensor, Batch], Tensor] = first_tokens
    """From the configuration and hidden states (T, D) to what the class makes of each document, (N, D)."""
    pairs: Callable[[Any, Tensor], Tensor] | None = None
    """The first tokens' states (N, D) to logits of whether text B follows text A, (N, 2)."""
    alone: Callable[[Any], nn.Module | None] = lambda _: None
    """From the backbone to the module of its last layer from which on tokens don't see each other, if it takes nothing
    but tensors (1, T, D): tokens that nobody asks for are left out there."""

    pads: ClassVar = False

    @property
    def is_decoder(self) -> bool:
        """Whether tokens see only what is before them."""
        return self.pooled is None

    def attention(self) -> str:
        """Our own."""
        register()
        return ATTENTION

    def check(self, model: nn.Module) -> None:
        """Refuse a model in which documents would see each other."""
        require_own_attention(model)
        config: Any = model.config
        if getattr(config, "is_decoder", False) and not self.is_decoder:
            raise ConfigError(f"a '{config.model_type}' that is used as a decoder can't be packed. Use 'gpt2' instead")

    def states(self, model: nn.Module, batch: Batch) -> Tensor:
        """The backbone's last hidden states, (T, D)."""
        self.check(model)
        states: Tensor = self._run(model.base_model, model, batch).last_hidden_state
        return states.squeeze(0)

    def states_at(self, model: nn.Module, batch: Batch, rows: Tensor) -> Tensor:
        """The last hidden states of some tokens, `rows` (P,): (P, D)."""
        if self.alone(model.base_model) is None:
            return self.states(model, batch).index_select(0, rows)
        self.check(model)
        states: Tensor = self._run(model.base_model, model, batch, rows).last_hidden_state
        return states.squeeze(0)

    def _run(self, part: Any, model: nn.Module, batch: Batch, rows: Tensor | None = None) -> Any:
        """What a part of the model gives; with `rows` (P,) only those of the last hidden states are computed.

        Where a seventh of the tokens is predicted, that spares two thirds of the last layer: 12 % of the arithmetic of
        BERT 4x256, and a step took 11 % less CPU time in float32, 8 % in bfloat16. Attention reads `asked_rows`.
        """
        inputs = self._inputs(model, batch)
        with joined_projections(part), fast_products(part):
            place = self.alone(model.base_model)
            if rows is None or place is None:
                return part(**inputs)

            def chosen(_: nn.Module, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                return tuple(tensor.index_select(1, rows) for tensor in tensors)

            hook = place.register_forward_pre_hook(chosen)
            try:
                return part(**inputs, asked_rows=rows)
            finally:
                hook.remove()

    def document_logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """The class's own document head: (N, C).

        An encoder's hidden states are pooled by document, and go through the class's pooler and classifier. A decoder's
        score is read at each document's last token that isn't padding, as `ForSequenceClassification` classes do.
        """
        if self.pooled is None:
            decoder: Any = model
            rows = _last_tokens(batch, decoder.config.pad_token_id)
            return decoder.score(self.states(model, batch).index_select(0, rows))  # type: ignore[no-any-return]
        self.check(model)
        firsts = None if self.alone(model.base_model) is None else _first_rows(batch)

        def one_row_a_document(_: nn.Module, __: Any, output: Any) -> Any:
            states = output.last_hidden_state.squeeze(0)
            pooled = self.pool(model.config, states, batch) if firsts is None else states
            output.last_hidden_state = pooled.unsqueeze(1)
            return output

        hook = model.get_submodule(self.pooled).register_forward_hook(one_row_a_document)
        try:
            logits: Tensor = self._run(model, model, batch, firsts).logits
        finally:
            hook.remove()
        return logits

    def document_rows(self, model: nn.Module, batch: Batch) -> Tensor:
        """What the class's own document head reads of each document: (N, D)."""
        if self.pooled is None:
            decoder: Any = model
            return self.states(model, batch).index_select(0, _last_tokens(batch, decoder.config.pad_token_id))
        if self.alone(model.base_model) is not None:
            return self.states_at(model, batch, _first_rows(batch))
        return self.pool(model.config, self.states(model, batch), batch)

    def logits_from(self, model: nn.Module, rows: Tensor) -> Tensor:
        """The class's own document head on `rows` (N, D), as `document_rows` gives them: (N, C). No layer is run."""
        from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions as Output

        anything: Any = model
        if self.pooled is None:
            return anything.score(rows)  # type: ignore[no-any-return]
        part = model.get_submodule(self.pooled)
        part.forward = lambda *_, **__: Output(last_hidden_state=rows.unsqueeze(1))
        try:
            logits: Tensor = anything(input_ids=torch.zeros(len(rows), 1, dtype=torch.long, device=rows.device)).logits
        finally:
            del part.forward
        return logits

    def token_logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """The class's own token head: (T, C)."""
        self.check(model)
        return logits_of(self._run(model, model, batch)).squeeze(0)

    def language_head(self, model: nn.Module, batch: Batch, positions: Tensor) -> LanguageHead:
        """The head at `positions` (P,) alone."""
        return self._head(model, self.states_at(model, batch, positions))

    def pair_heads(self, model: nn.Module, batch: Batch, positions: Tensor) -> tuple[LanguageHead, Tensor]:
        """The language head at `positions` (P,), and of each document whether its text B follows text A, (N, 2)."""
        if self.pairs is None or not type(model).__name__.endswith("ForPreTraining"):
            raise no_pairs(model)
        states = self.states_at(model, batch, torch.cat([positions, _first_rows(batch)]))
        return self._head(model, states[: len(positions)]), self.pairs(model, states[len(positions) :])

    def _head(self, model: nn.Module, states: Tensor) -> LinearHead:
        head: Any = model.get_output_embeddings()  # type: ignore[operator]
        return LinearHead(self.features(model, states), head.weight, head.bias)

    def _inputs(self, model: nn.Module, batch: Batch) -> dict[str, Any]:
        """What the class takes; a causal batch makes an encoder's attention, which is ours, look back only."""
        first = first_position(model.config)
        special: dict[str, Any] = {} if batch.token_type_ids is None else {"token_type_ids": batch.token_type_ids}
        if batch.is_causal and not self.is_decoder:
            special["is_causal"] = True
        return special | {
            "input_ids": batch.input_ids,
            "position_ids": batch.position_ids + first if first else batch.position_ids,
            "cu_seq_lens_q": batch.cu_seq_lens,
            "cu_seq_lens_k": batch.cu_seq_lens,
            "max_length_q": batch.max_length,
            "max_length_k": batch.max_length,
            "use_cache": False,
        }


def require_own_attention(model: nn.Module) -> None:
    """Refuse a model with another attention than ours.

    Raises:
        ConfigError: it has.
    """
    config: Any = model.config
    attention = config._attn_implementation  # noqa: SLF001  transformers gives no public name for it
    if attention != ATTENTION:
        raise ConfigError(
            f"the model runs with attention '{attention}', in which packed documents see each other; "
            f"open it with bmtool.models.files.checkpoint.open_model(..., attention='packed')"
        )


def no_pairs(model: nn.Module) -> ConfigError:
    """The error for a model that can't say whether one text follows another."""
    config: Any = model.config
    return ConfigError(
        f"a {type(model).__name__} ('{config.model_type}') has no head for pairs of texts, which objective mlm_nsp "
        f"needs. Use a BertForPreTraining, or objective mlm"
    )


def _last_tokens(batch: Batch, pad_token_id: int | None) -> Tensor:
    """(N,) where each document's last token is that isn't padding; its first token if all are."""
    starts, ends = batch.cu_seq_lens[:-1].long(), batch.cu_seq_lens[1:].long()
    if pad_token_id is None:
        return ends - 1
    places = torch.arange(batch.num_tokens, device=ends.device)
    seen = torch.where(batch.input_ids[0] == pad_token_id, -1, places).cummax(0).values
    return torch.maximum(seen[ends - 1], starts)

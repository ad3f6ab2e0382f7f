"""Compiled layers give what the layers give, from one graph for each kind of them, whatever batches look like."""

import sys
from pathlib import Path

import pytest
import torch
from bmtool.models.attention.documents import _attend_cuda as attend_by_varlen
from bmtool.models.families.packed import document_logits, hidden_states, lm_loss_at
from bmtool.models.kernels.compiled import CompiledLayers, interpreted
from bmtool.train.weights.compiling import compiled_layers
from bmtool.train.weights.layers import layers_of
from torch._subclasses.fake_tensor import FakeTensorMode

sys.path.insert(0, str(Path(__file__).parents[2]))
from packing import LABELS, PACKED, make_batch, make_pair

#: As many tokens as numbers to a token at first (62 and two special ones); windows longer and shorter than documents.
RAGGED = [[62], [30, 7, 1], [2] * 20, [5, 5, 9, 13, 1, 20], [1], [3, 2]]

#: In their last layer tokens are left out that nobody asks for.
LAST_IS_ODD = ("bert", "roberta", "xlm-roberta", "electra")

# torch asks it of itself while it traces, and hides its own warning where it would be shown.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")


@pytest.fixture(autouse=True)
def _nothing_compiled():
    torch.compiler.reset()


def traced(model):
    """Traced as always, but run by torch's own operators: that takes no compiler, and little time."""
    return CompiledLayers(compiled_layers(model), backend="eager")


def after_backward(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", PACKED)
def test_compiled_layers_give_the_same_and_are_compiled_at_the_first_batch_alone(family):
    model, _ = make_pair(family, "AutoModel")
    layers = traced(model)
    kinds = 2 if family == "modernbert" else 1  # its layers are local or global
    graphs = []

    for lengths in RAGGED:
        batch = make_batch(lengths)
        plain = hidden_states(model, batch)
        expected = after_backward(model, plain.square().mean())
        with layers.in_use():
            compiled = hidden_states(model, batch)
        found = after_backward(model, compiled.square().mean())
        graphs.append(layers.num_graphs)

        assert (compiled - plain).abs().max() < 1e-5
        assert found.keys() == expected.keys()
        assert all((found[name] - expected[name]).abs().max() < 1e-4 for name in found)

    assert len(layers) == len(list(layers_of(model))) - (family in LAST_IS_ODD)
    assert graphs == [kinds] * len(RAGGED)


@pytest.mark.parametrize("family", ["bert", "electra", "llama"])
def test_what_is_asked_of_the_last_layer_makes_no_other_graph(family):
    model, _ = make_pair(family, "AutoModelForSequenceClassification", LABELS)
    layers = traced(model)

    for lengths in RAGGED:
        batch = make_batch(lengths)
        plain = document_logits(model, batch)
        with layers.in_use():
            compiled = document_logits(model, batch)
            hidden_states(model, batch)

        assert (compiled - plain).abs().max() < 1e-5

    assert layers.num_graphs == 1


def test_one_hidden_token_or_many_make_no_other_graph():
    model, _ = make_pair("bert", "AutoModelForMaskedLM")
    layers = traced(model)
    batch = make_batch()

    for positions in ([0], list(range(30)), [3, 4]):
        places, labels = torch.tensor(positions), torch.full((len(positions),), 7)
        plain = lm_loss_at(model, batch, places, labels)
        with layers.in_use():
            compiled = lm_loss_at(model, batch, places, labels)

        assert compiled.item() == pytest.approx(plain.item(), rel=1e-5)

    assert layers.num_graphs == 1


def test_the_kernel_of_a_gpu_is_one_operation_of_a_graph_that_serves_all_batches():
    """Traced with tensors that have shapes and no numbers: the kernel itself runs on a GPU alone."""

    class Attention(torch.nn.Module):
        def forward(self, states, borders, longest):
            query = states.view(1, -1, 4, 16).transpose(1, 2)
            key = query[:, :2]  # shared by two heads each
            return attend_by_varlen(
                query, key, key, (borders, borders), (longest, longest), causal=True, window=8, scale=0.25
            )

    layer = Attention()
    layers = CompiledLayers([layer], backend="eager")
    shapes = []

    with FakeTensorMode(allow_non_fake_inputs=True), layers.in_use():
        for tokens, count, longest in ((64, 4, 64), (33, 1, 33), (100, 9, 50), (16, 16, 1)):
            states = torch.randn(1, tokens, 64, dtype=torch.bfloat16, requires_grad=True)
            shapes.append(tuple(layer(states, torch.zeros(count + 1, dtype=torch.int32), longest).shape))

    assert shapes == [(1, tokens, 4, 16) for tokens in (64, 33, 100, 16)]
    assert layers.num_graphs == 1


def test_layers_run_compiled_only_while_they_are_in_use():
    model, _ = make_pair("gpt2", "AutoModel")
    layers = traced(model)
    every = set(model.modules())

    with layers.in_use():
        outside = list(interpreted(model))
    afterwards = set(interpreted(model))

    assert every - set(outside) == {module for layer in model.h for module in layer.modules()}
    assert len(outside) == len(set(outside))
    assert afterwards == every
    hidden_states(model, make_batch())
    assert layers.num_graphs == 0


def test_layers_that_were_given_up_run_as_they_are():
    model, _ = make_pair("gpt2", "AutoModel")
    layers = traced(model)

    layers.give_up()
    with layers.in_use():
        hidden_states(model, make_batch())

    assert (len(layers), layers.num_graphs) == (0, 0)

"""Optimizers: rates by parameter, no decay of vectors, Muon for the matrices inside layers, state that comes back."""

import pytest
import torch
from bmtool.architectures.bert import Bert
from bmtool.architectures.gpt import Gpt
from bmtool.errors import ConfigError, DataError
from bmtool.models.building.build import new_model
from bmtool.train.machine.world import World
from bmtool.train.optim import new_optimizer
from bmtool.train.weights.layers import freeze, layerwise_rates, levels
from bmtool.train.weights.whole import WholeWeights

SMALL = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "dropout": 0}


def model_of(kind):
    architecture, auto_class = {
        "bert": (Bert(**SMALL), "AutoModelForMaskedLM"),
        "gpt": (Gpt(**SMALL), "AutoModelForCausalLM"),
    }[kind]
    special = {"pad": 0, "bos": 0, "eos": 0}
    return new_model(architecture.config(vocab_size=50, max_seq_length=16, special_ids=special), auto_class)


def found(optimizer, masters, key):
    groups = {id(p): group for group in optimizer.groups for p in group["params"]}
    return {name: groups[id(p)][key] for name, p in masters.items()}


def test_parameters_have_their_own_rates_and_vectors_no_decay():
    shapes = {"a.weight": (2, 2), "a.bias": (2,), "h.weight": (2, 2)}
    masters = {name: torch.zeros(shape) for name, shape in shapes.items()}

    optimizer = new_optimizer("adamw", masters, learning_rate=1.0, weight_decay=0.1, rates={"h.weight": 5.0})
    optimizer.set_rate(0.5)

    assert found(optimizer, masters, "lr") == {"a.weight": 0.5, "a.bias": 0.5, "h.weight": 2.5}
    assert found(optimizer, masters, "weight_decay") == {"a.weight": 0.1, "a.bias": 0.0, "h.weight": 0.1}


@pytest.mark.parametrize("kind", ["bert", "gpt"])
def test_muon_takes_the_matrices_of_the_layers_and_adamw_the_rest(kind):
    masters = dict(model_of(kind).named_parameters())

    muon, adamw = new_optimizer("muon", masters, learning_rate=1e-3, weight_decay=0.1).parts

    names = {id(p): name for name, p in masters.items()}
    hidden = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    rest = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert hidden | rest == set(masters)
    assert not hidden & rest
    assert all(masters[name].ndim == 2 and "embed" not in name and "wte" not in name for name in hidden)
    assert len(hidden) == {"bert": 12, "gpt": 8}[kind]


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_state_that_is_taken_up_goes_on_with_the_same_bits(kind):
    def start():
        model = model_of("bert")
        masters = dict(model.named_parameters())
        return masters, new_optimizer(kind, masters, learning_rate=1e-2, weight_decay=0.1)

    def go(masters, optimizer, steps):
        for step in steps:
            for place, parameter in enumerate(masters.values()):
                values = torch.arange(parameter.numel(), dtype=torch.float32).view_as(parameter)
                parameter.grad = torch.sin(values * (1 + step) + place)
            optimizer.step()

    whole, optimizer = start()
    go(whole, optimizer, range(5))
    first, optimizer = start()
    go(first, optimizer, range(3))
    saved = optimizer.state_tensors(first)
    second, resumed = start()
    with torch.no_grad():
        for name, parameter in second.items():
            parameter.copy_(first[name])
    resumed.load_state(second, saved)
    go(second, resumed, range(3, 5))

    assert all(torch.equal(parameter, second[name]) for name, parameter in whole.items())


def test_the_state_of_another_model_is_refused():
    masters = {"a.weight": torch.zeros(2, 2)}
    optimizer = new_optimizer("adamw", masters, learning_rate=1.0, weight_decay=0.1)

    with pytest.raises(DataError, match=r"has a parameter 'b\.weight'"):
        optimizer.load_state(masters, {"exp_avg.b.weight": torch.zeros(2, 2)})


def test_an_unknown_optimizer_is_an_error():
    with pytest.raises(ValueError, match="unknown optimizer 'sgd'"):
        new_optimizer("sgd", {}, learning_rate=1.0, weight_decay=0.1)


def test_levels_go_from_the_embeddings_up_to_the_head():
    bert, gpt = (levels(dict(model_of(kind).named_parameters())) for kind in ("bert", "gpt"))

    assert bert["bert.embeddings.word_embeddings.weight"] == bert["bert.embeddings.LayerNorm.bias"] == 0
    assert bert["bert.encoder.layer.1.output.dense.weight"] == 2
    assert bert["cls.predictions.transform.dense.weight"] == 3
    assert (gpt["transformer.wte.weight"], gpt["transformer.wpe.weight"], gpt["transformer.ln_f.weight"]) == (0, 0, 3)
    assert gpt["transformer.h.0.attn.c_attn.weight"] == 1


def test_embeddings_that_encoder_and_decoder_share_are_embeddings():
    assert levels(["model.shared.weight", "shared.weight", "model.encoder.layers.0.fc1.weight"]) == {
        "model.shared.weight": 0,
        "shared.weight": 0,
        "model.encoder.layers.0.fc1.weight": 1,
    }


def test_rates_fall_layer_by_layer():
    rates = layerwise_rates(dict(model_of("bert").named_parameters()), 1.0, 0.5)

    assert rates["cls.predictions.bias"] == 1.0
    assert rates["bert.encoder.layer.1.output.dense.weight"] == 0.5
    assert rates["bert.embeddings.position_embeddings.weight"] == 0.125


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_frozen_keeps_every_bit(dtype):
    model = model_of("bert")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}

    count = freeze(model, 1)
    weights = WholeWeights.of(model, dtype, World())
    with torch.no_grad():
        for master in weights.masters.values():
            master += 1
    weights.publish()
    weights.give_back()

    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert sum(before[name].numel() for name in frozen) == count
    assert any("layer.0" in name for name in frozen)
    assert not any("layer.1" in name for name in frozen)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, before[name] + (name not in frozen)), name


def test_more_layers_than_there_are_can_not_be_frozen():
    with pytest.raises(ConfigError, match="frozen_layers is 3, and the model has 2 layers"):
        freeze(model_of("gpt"), 3)


def test_the_state_of_another_optimizer_is_refused_and_an_old_one_forgotten():
    masters = dict(model_of("bert").named_parameters())
    muon = new_optimizer("muon", masters, learning_rate=1.0, weight_decay=0.1)
    for parameter in masters.values():
        parameter.grad = torch.ones_like(parameter)
    muon.step()
    kept = muon.state_tensors(masters)

    adamw = new_optimizer("adamw", masters, learning_rate=1.0, weight_decay=0.1)
    with pytest.raises(DataError, match="is of another optimizer"):
        adamw.load_state(masters, kept)
    muon.load_state(masters, {})

    assert muon.state_tensors(masters) == {}

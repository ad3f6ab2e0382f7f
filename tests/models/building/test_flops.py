"""Counted arithmetic equals what torch counts where nothing is wasted."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from bmtool.architectures.bart import Bart
from bmtool.architectures.bert import Bert
from bmtool.architectures.gpt import Gpt
from bmtool.architectures.t5 import T5
from bmtool.contracts import Batch, Examples
from bmtool.data.tokens import InMemoryTokens
from bmtool.models.building.build import new_model
from bmtool.models.building.flops import Work
from bmtool.models.goals.embeddings import pack_rows
from bmtool.models.goals.spans import pack_spans
from bmtool.models.heads.several_heads import SeveralHeads
from bmtool.train.machine.peak import FILE, matmul_peak
from bmtool.train.weights.adapters import add_adapters
from bmtool.train.weights.layers import freeze
from torch.utils.flop_counter import FlopCounterMode

CLASSIFIER = "AutoModelForSequenceClassification"
SMALL = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2, "dropout": 0}


def batch_of(*lengths, targets=0):
    borders = torch.tensor(np.cumsum([0, *lengths]), dtype=torch.int32)
    ids = torch.ones(1, int(borders[-1]), dtype=torch.int64)
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    return Batch(ids, positions, borders, max(lengths), np.arange(len(lengths)), {}, {"mlm": targets})


def make(architecture, auto_class):
    special = {"pad": 0, "bos": 0, "eos": 0}
    config = architecture.config(vocab_size=60, max_seq_length=64, special_ids=special)
    return new_model(config, auto_class, attention="eager")


def test_one_text_of_an_encoder_takes_what_torch_counts():
    model = make(Bert(**SMALL), "AutoModelForMaskedLM")
    ids = torch.ones(1, 16, dtype=torch.int64)

    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids).logits.sum().backward()

    # The embeddings' gradient is no product of matrices, and the first layer's input has none that is one.
    assert Work.of(model).of_batch(batch_of(16, targets=16)) == pytest.approx(counter.get_total_flops(), rel=0.01)


def backward_too(model, ids):
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids).logits.sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("frozen_layers", [0, 1, 2])
def test_below_the_first_weight_that_is_trained_there_is_no_way_back(frozen_layers):
    model = make(Bert(**SMALL), "AutoModelForMaskedLM")
    freeze(model, frozen_layers)

    counted = Work.of(model).of_batch(batch_of(16, targets=16))

    # Keys and values of the first layer that learns are taken to be behind its query, and are beside it.
    assert counted == pytest.approx(backward_too(model, torch.ones(1, 16, dtype=torch.int64)), rel=0.05)


def test_with_adapters_no_gradient_of_the_matrices_themselves_is_needed():
    whole, adapted = (make(Bert(**SMALL), "AutoModelForMaskedLM") for _ in range(2))
    pytest.importorskip("peft")
    add_adapters(adapted, rank=4, alpha=8, targets=None, seed=0)

    counted = Work.of(adapted).of_batch(batch_of(16, targets=16))

    assert counted == pytest.approx(backward_too(adapted, torch.ones(1, 16, dtype=torch.int64)), rel=0.06)
    assert counted < Work.of(whole).of_batch(batch_of(16, targets=16))


def test_forward_alone_is_a_third():
    model = make(Bert(**SMALL), "AutoModelForMaskedLM")
    batch = batch_of(16, targets=16)

    assert Work.of(model, trains=False).of_batch(batch) == pytest.approx(Work.of(model).of_batch(batch) / 3)


def test_where_all_tokens_are_read_none_is_left_out_of_the_last_layer():
    model = make(Bert(**SMALL), "AutoModel")
    batch = replace(batch_of(16, targets=1), reads_all=True)

    with FlopCounterMode(display=False) as counter:
        model(input_ids=batch.input_ids).last_hidden_state.sum().backward()

    assert Work.of(model).of_batch(batch) == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize("module", ["embeddings", "spans"])
def test_vectors_and_answers_in_texts_read_all_tokens(module):
    columns = {"second_starts": np.array([2, 2])}
    examples = Examples(InMemoryTokens(np.arange(8)), np.array([0, 4]), np.array([4, 4]), (), (), columns)
    pack = {"embeddings": pack_rows, "spans": pack_spans}[module]

    assert pack(examples, np.arange(2)).reads_all


def test_of_several_heads_a_batch_takes_that_of_its_own_task():
    alone = {name: make(Bert(**SMALL), auto) for name, auto in {"a": "AutoModelForMaskedLM", "b": CLASSIFIER}.items()}
    together = Work.of(SeveralHeads(alone))

    for name, model in alone.items():
        batch = replace(batch_of(16, targets=16), task=name)
        assert together.of_batch(batch) == Work.of(model).of_batch(batch)


def test_where_no_token_runs_nothing_is_counted():
    assert Work.of(make(Bert(**SMALL), CLASSIFIER)).of_batch(batch_of(0, 0, targets=2)) == 0


def test_what_of_the_last_layer_only_targets_need_counts_for_them():
    work = Work.of(make(Bert(**SMALL), "AutoModelForMaskedLM"))

    # Keys and values, the query, and the other layer; then the output of attention, two matrices of four widths, and
    # the head.
    assert work.per_token == 6 * (3 + 12) * 32**2
    assert work.per_target == 6 * ((1 + 8) * 32**2 + 32**2 + 32 * 60)


def test_attention_grows_with_the_squares_of_lengths_and_a_decoder_sees_half():
    bert, gpt = (
        Work.of(make(Bert(**SMALL), "AutoModelForMaskedLM")),
        Work.of(make(Gpt(**SMALL), "AutoModelForCausalLM")),
    )

    more = bert.of_batch(batch_of(20)) - bert.of_batch(batch_of(10, 10))
    assert more == pytest.approx(2 * 3 * 4 * 32 * (400 - 200))
    assert gpt.per_pair == bert.per_pair / 2
    assert gpt.per_token == 6 * 24 * 32**2


def test_a_window_bounds_what_a_token_sees():
    work = Work(per_token=0, per_target=0, per_pair=1, windows=(None, 8))

    assert work.of_batch(batch_of(10, 4)) == (100 + 16) + (80 + 16)


def test_the_peak_is_measured_once(tmp_path):
    cpu = torch.device("cpu")

    first = matmul_peak(cpu, torch.float32, tmp_path)

    assert first > 1e9
    assert matmul_peak(cpu, torch.float32, tmp_path) == first
    assert list(json.loads((tmp_path / FILE).read_text()).values()) == [first]
    state = torch.get_rng_state()
    matmul_peak(cpu, torch.float32, None)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("architecture", [T5(**SMALL), Bart(**SMALL)], ids=["t5", "bart"])
def test_a_source_runs_through_the_encoder_and_a_target_through_the_decoder(architecture):
    model = make(architecture, "AutoModelForSeq2SeqLM")
    ids = torch.ones(1, 16, dtype=torch.int64)
    types = torch.tensor([[0] * 16 + [1] * 17])  # the target's end is predicted, and not read

    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, decoder_input_ids=ids).logits.sum().backward()

    counted = Work.of(model).of_batch(replace(batch_of(33, targets=16), token_type_ids=types))
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.05)

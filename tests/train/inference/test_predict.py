"""Results come in the order of the examples, whatever batches they were in."""

import numpy as np
import pytest
import torch
from bmtool.architectures.bert import Bert
from bmtool.data.dataset import open_dataset
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.models.building.build import new_model
from bmtool.objectives.mlm import Mlm
from bmtool.train.inference import predict
from bmtool.train.inference.predict import StoppedHalfwayError, join, run_goal


@pytest.fixture
def examples(corpus):
    dataset = open_dataset(corpus.folder)
    return Mlm().examples(dataset["train"], load_tokenizer(dataset.tokenizer_folder), 16)


@pytest.fixture
def model():
    config = Bert(hidden_size=32, num_attention_heads=2).config(vocab_size=200, max_seq_length=64, special_ids={})
    return new_model(config, "AutoModelForMaskedLM", seed=0)


@pytest.mark.parametrize(("batch_tokens", "window"), [(16, 8192), (100, 7), (4096, 8192)])
def test_neither_batches_nor_windows_change_results(examples, model, monkeypatch, batch_tokens, window):
    expected = run_goal(model, Mlm(), examples, 512)
    monkeypatch.setattr(predict, "WINDOW_EXAMPLES", window)

    outputs = run_goal(model, Mlm(), examples, batch_tokens)

    assert np.array_equal(outputs["document"], examples.columns["document"])
    assert np.array_equal(outputs["targets"], expected["targets"])
    assert np.allclose(outputs["nll"], expected["nll"], atol=1e-4)


def test_the_model_stays_in_its_mode(examples, model):
    model.train()

    run_goal(model, Mlm(), examples, 512)

    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_a_stop_request_ends_it(examples, model):
    with pytest.raises(StoppedHalfwayError):
        run_goal(model, Mlm(), examples, 64, stop=type("Stop", (), {"reason": "SIGTERM"}))


def test_pieces_of_arrays_and_lists_are_joined():
    joined = join([{"a": np.array([1]), "b": [np.array([1, 2])]}, {"a": np.array([2]), "b": [np.array([3])]}])

    assert joined["a"].tolist() == [1, 2]
    assert [row.tolist() for row in joined["b"]] == [[1, 2], [3]]
    assert join([]) == {}


def test_all_examples_are_run_without_gradients(examples, model):
    outputs = run_goal(model, Mlm(), examples, 128)

    assert len(outputs["nll"]) == len(examples)
    assert np.isfinite(outputs["nll"]).all()
    assert torch.is_grad_enabled()

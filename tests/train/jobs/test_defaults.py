"""A rate that is left out follows from the model's width, and the size of a batch from the rows."""

import numpy as np
import pytest
from bmtool.config.model import validate
from bmtool.stages.finetune import Config
from bmtool.train.jobs.defaults import FINETUNE_RATE, GOING_ON_RATE, PRETRAIN_RATE, rate_for, with_batches, with_rate


def config(**changes):
    return validate(Config, {"data": "stars", "num_train_epochs": 1, **changes})


@pytest.mark.parametrize(
    ("width", "at_base", "rate"),
    [
        (768, FINETUNE_RATE, 1e-4),
        (384, FINETUNE_RATE, 2e-4),
        (128, FINETUNE_RATE, 6e-4),
        (64, FINETUNE_RATE, 6e-4),
        (768, PRETRAIN_RATE, 3.3e-4),
        (256, PRETRAIN_RATE, 9.9e-4),
        (128, PRETRAIN_RATE, 1.98e-3),
        (1024, PRETRAIN_RATE, 2.47e-4),
        (128, GOING_ON_RATE, 3e-4),
    ],
)
def test_the_rate_goes_down_with_the_width(width, at_base, rate):
    assert rate_for(width, at_base) == rate


def test_a_rate_that_is_left_out_is_chosen_with_its_reason_and_one_that_is_set_stays():
    chosen, told = with_rate(config(), 384, FINETUNE_RATE)
    given, untold = with_rate(config(learning_rate=7e-4), 384, FINETUNE_RATE)

    assert (chosen.rate, told) == (2e-4, {"learning rate": "0.0002 (by the model's width of 384)"})
    assert (given.rate, untold) == (7e-4, {})


@pytest.mark.parametrize(
    ("lengths", "max_seq_length", "tokens"),
    [
        ([[20] * 9], 128, 640),
        ([[20] * 9, [40] * 9], 128, 960),  # of two tasks: of all their rows
        ([[4] * 9], 128, 512),  # no fewer
        ([[128] * 9], 128, 2048),  # no more
        ([[4] * 9], 600, 600),  # a text of full length has room
        ([[4] * 999 + [900]], 512, 900),  # and an example that has two of them
    ],
)
def test_a_batch_has_room_for_32_examples_of_mean_length(lengths, max_seq_length, tokens):
    chosen, _ = with_batches(config(max_seq_length=max_seq_length), [np.array(one) for one in lengths], 32)

    assert chosen.batch_tokens == tokens


def test_the_size_of_a_batch_is_told_with_its_reason_and_one_that_is_set_stays():
    lengths = [np.full(9, 20)]
    _, told = with_batches(config(), lengths, 32)
    given, untold = with_batches(config(per_device_batch_tokens=4096), lengths, 32)

    assert told == {"batches": "640 tokens (about 32 train examples of 20 tokens in the mean)"}
    assert (given.batch_tokens, untold) == (4096, {})

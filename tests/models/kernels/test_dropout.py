"""Dropout by bits is torch's: as many zeros, as large a mean, one mask for values and gradients, and its generator."""

import pytest
import torch
from bmtool.models.kernels.dropout import dropout_by_bits
from torch.nn import functional as F

NUMBER = 100_003  # no multiple of 4
DTYPES = [torch.float32, torch.bfloat16]


def drawn(ratio, dtype, seed=0):
    values = torch.full((1, NUMBER), 2.0, dtype=dtype, requires_grad=True)
    torch.manual_seed(seed)
    with dropout_by_bits():
        result = F.dropout(values, ratio, training=True)
    result.sum().backward()
    return result.detach(), values.grad


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_as_many_are_zero_as_are_asked_for_and_the_mean_stays(dtype, ratio):
    result, _ = drawn(ratio, dtype)

    assert result.dtype == dtype
    assert (result == 0).float().mean() == pytest.approx(ratio, abs=0.006)
    assert result[result != 0].unique().float() == pytest.approx(2 / (1 - ratio), rel=0.004)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_go_through_what_is_kept_alone(dtype):
    result, gradient = drawn(0.3, dtype)

    assert torch.equal(gradient * 2, result)


def test_the_mask_is_a_function_of_the_seed():
    assert torch.equal(drawn(0.1, torch.float32, 3)[0], drawn(0.1, torch.float32, 3)[0])
    assert not torch.equal(drawn(0.1, torch.float32, 3)[0], drawn(0.1, torch.float32, 4)[0])


def test_all_are_dropped_or_none():
    assert drawn(1.0, torch.float32)[0].count_nonzero() == 0
    assert torch.equal(drawn(0.0, torch.float32)[0], torch.full((1, NUMBER), 2.0))


def test_modules_draw_the_same_and_nothing_is_dropped_in_evaluation():
    values, module = torch.ones(1, NUMBER), torch.nn.Dropout(0.1)

    with dropout_by_bits():
        torch.manual_seed(5)
        result = module(values)
        torch.manual_seed(5)
        expected = F.dropout(values, 0.1, training=True)
        unchanged = module.eval()(values)

    assert torch.equal(result, expected)
    assert torch.equal(unchanged, values)


def test_behind_it_torch_draws_as_before():
    torch.manual_seed(0)
    before = F.dropout(torch.ones(NUMBER), 0.1, training=True)
    drawn(0.1, torch.float32)

    torch.manual_seed(0)

    assert torch.equal(F.dropout(torch.ones(NUMBER), 0.1, training=True), before)

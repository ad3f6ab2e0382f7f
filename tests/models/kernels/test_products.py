"""Products by oneDNN give what torch's own do."""

import pytest
import torch
import torch.nn.functional as F
from bmtool.models.kernels import products

needs_operator = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this torch has no mkldnn::_linear_pointwise"
)


def chosen(monkeypatch, library, min_operations=1):
    monkeypatch.setattr(products, "pick_library", lambda: (library, "for this test"))
    monkeypatch.setattr(products, "MIN_OPERATIONS", min_operations)


def gradients(function, x, weight, bias):
    leaves = [one.detach().requires_grad_() for one in (x, weight, bias) if one is not None]
    result = function(*leaves, *([None] if bias is None else []))
    factors = torch.linspace(-1, 1, result.numel()).view_as(result)
    return result, torch.autograd.grad((result * factors).sum(), leaves)


@needs_operator
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("shape", [(37,), (1, 37), (3, 19)])
@pytest.mark.parametrize("layout", ["rows", "columns", "every second", "part of rows"])
def test_values_and_gradients_are_those_of_torch(monkeypatch, has_bias, shape, layout):
    chosen(monkeypatch, "oneDNN")
    torch.manual_seed(0)
    x, bias = torch.randn(*shape, 24), torch.randn(40) if has_bias else None
    weight = {
        "rows": torch.randn(40, 24),
        "columns": torch.randn(24, 40).t(),
        "every second": torch.randn(40, 48)[:, ::2],
        "part of rows": torch.randn(40, 48)[:, :24],
    }[layout]

    ours, of_ours = gradients(products.linear, x, weight, bias)
    theirs, of_theirs = gradients(F.linear, x, weight, bias)

    assert type(ours.grad_fn).__name__ != type(theirs.grad_fn).__name__
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    for one, other in zip(of_ours, of_theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=3e-5)


@needs_operator
def test_a_gradient_that_is_one_number_everywhere_is_read_as_it_is(monkeypatch):
    chosen(monkeypatch, "oneDNN")
    x, weight = torch.randn(5, 7, requires_grad=True), torch.randn(3, 7)

    products.linear(x, weight, None).sum().backward()

    torch.testing.assert_close(x.grad, weight.sum(0).expand(5, 7))


@needs_operator
def test_frozen_weights_get_no_gradient(monkeypatch):
    chosen(monkeypatch, "oneDNN")
    layer = torch.nn.Linear(6, 4).requires_grad_(requires_grad=False)
    x = torch.randn(5, 6, requires_grad=True)

    products.linear(x, layer.weight, layer.bias).sum().backward()

    assert x.grad is not None
    assert layer.weight.grad is None
    assert layer.bias.grad is None


@pytest.mark.parametrize(
    ("library", "min_operations", "dtype"),
    [("torch", 1, torch.float32), ("oneDNN", 2**27, torch.float32), ("oneDNN", 1, torch.bfloat16)],
)
def test_other_products_stay_with_torch_to_the_bit(monkeypatch, library, min_operations, dtype):
    chosen(monkeypatch, library, min_operations)
    x, weight, bias = torch.randn(9, 24).to(dtype), torch.randn(40, 24).to(dtype), torch.randn(40).to(dtype)

    assert products.linear(x, weight, bias).equal(F.linear(x, weight, bias))
    assert products.weight_gradient(x, x).equal(x.t() @ x)


@pytest.mark.parametrize(("maker", "library"), [("AuthenticAMD", "oneDNN"), ("GenuineIntel", "torch"), ("", "torch")])
@needs_operator
def test_the_maker_of_the_processor_decides(monkeypatch, maker, library):
    monkeypatch.setattr(products, "told_by_processor", lambda _: maker)

    assert products.pick_library.__wrapped__()[0] == library


@needs_operator
def test_the_model_is_left_as_it_was(monkeypatch):
    chosen(monkeypatch, "oneDNN")
    model = torch.nn.Sequential(torch.nn.Linear(4, 4))

    with products.fast_products(model):
        assert "forward" in model[0].__dict__

    assert "forward" not in model[0].__dict__

"""What attention inside short documents changes for the process is as it was when it is done."""

import threading

import pytest
import torch
from bmtool.models.attention.short_documents import Layout, Span, _by_onednn, attend

settings = torch.backends.mkldnn.matmul


def test_a_product_that_fails_leaves_torch_s_setting_as_it_was():
    before = settings.fp32_precision
    layout = Layout.of([Span(0, 5, 0, 5)], 5, 5, heads=2, causal=False, padding=0)
    states = torch.zeros(5, 24, dtype=torch.bfloat16)

    for _ in range(2):
        with pytest.raises(TypeError):
            attend(states, states, layout, 8, "no scale")

    assert settings.fp32_precision == before


def test_threads_whose_products_overlap_leave_torch_s_setting_as_it_was():
    before = settings.fp32_precision
    is_inside, may_leave = threading.Event(), threading.Event()

    def multiply():
        with _by_onednn(is_wanted=True):
            is_inside.set()
            may_leave.wait()

    other = threading.Thread(target=multiply)
    with _by_onednn(is_wanted=True):
        other.start()
        got_in_meanwhile = is_inside.wait(0.2)
    may_leave.set()
    other.join()

    assert not got_in_meanwhile
    assert settings.fp32_precision == before

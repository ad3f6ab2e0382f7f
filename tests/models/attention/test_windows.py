"""Local attention: whatever a document's length, each token sees its window, and cost grows with the length alone."""

import pytest
import torch
from bmtool.models.attention.documents import attend_by_blocks, packed_attention
from bmtool.models.attention.windows import WHOLE_TOKENS, document_blocks
from hypothesis import given, settings
from hypothesis import strategies as st


def make_states(tokens, *, heads=2, key_heads=2, width=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, count, tokens, width) for count in (heads, key_heads, key_heads)]
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def by_mask(query, key, value, borders, causal, window, scale):
    """The definition, with a T x T mask."""
    tokens = query.shape[2]
    owner = torch.repeat_interleave(torch.arange(len(borders) - 1), torch.tensor(borders).diff())
    distance = torch.arange(tokens)[:, None] - torch.arange(tokens)[None]
    seen = (owner[:, None] == owner[None]) & (distance.abs() <= (tokens if window is None else window))
    seen &= (distance >= 0) | (not causal)
    shared = query.shape[1] // key.shape[1]
    scores = query @ key.repeat_interleave(shared, 1).mT * scale
    attention = torch.softmax(scores.masked_fill(~seen, -torch.inf), dim=-1)
    return (attention @ value.repeat_interleave(shared, 1)).transpose(1, 2)


def assert_as_by_mask(lengths, causal, window, *, key_heads=2):
    borders = [0, *torch.tensor(lengths).cumsum(0).tolist()]
    ours, theirs = (make_states(borders[-1], key_heads=key_heads) for _ in range(2))

    out, _ = packed_attention(*ours, torch.tensor(borders, dtype=torch.int32), causal, window, 0.3)
    wanted = by_mask(*theirs, borders, causal, window, 0.3)

    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    out.backward(direction)
    wanted.backward(direction)
    assert (out - wanted).abs().max() < 1e-5
    for mine, reference in zip(ours, theirs, strict=True):
        assert (mine.grad - reference.grad).abs().max() < 1e-4


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [0, 3, 64, 250, None])
def test_attention_is_what_a_mask_of_all_pairs_gives(causal, window):
    assert_as_by_mask([1, 7, 7, 64, 65, WHOLE_TOKENS, WHOLE_TOKENS + 1, 600, 600], causal, window)


@pytest.mark.parametrize(
    ("causal", "window", "key_heads"), [(False, 64, 2), (True, 3, 1), (True, None, 1), (False, None, 2)]
)
def test_the_way_that_float32_takes_on_a_gpu_gives_the_same(causal, window, key_heads):
    borders = torch.tensor([0, 7, 14, 90, 520, 900], dtype=torch.int32)
    ours, theirs = (make_states(900, key_heads=key_heads) for _ in range(2))

    out = attend_by_blocks(*ours, borders, causal, window, 0.3)
    wanted, _ = packed_attention(*theirs, borders, causal, window, 0.3)

    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    out.backward(direction)
    wanted.backward(direction)
    assert (out - wanted).abs().max() < 1e-5
    for mine, reference in zip(ours, theirs, strict=True):
        assert (mine.grad - reference.grad).abs().max() < 1e-4


@pytest.mark.parametrize("window", [None, 5, 200])
def test_heads_share_keys_and_values(window):
    assert_as_by_mask([4, 4, 30, 400], True, window, key_heads=1)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 900), min_size=1, max_size=4), causal=st.booleans(), window=st.integers(0, 400))
def test_every_query_is_in_one_block_with_all_keys_that_it_sees(lengths, causal, window):
    borders = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()])
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    times = torch.zeros(int(borders[-1]), dtype=torch.int64)

    for block in document_blocks(borders, causal=causal, window=window):
        for number in range(block.count):
            first = block.start + number * block.step
            keys = range(first - block.before, first - block.before + block.keys)
            times[first : first + block.queries] += 1
            assert len(set(owner[list(keys)].tolist())) == 1
            for query in (first, first + block.queries - 1):
                start, end = borders[owner[query]], borders[owner[query] + 1]
                assert keys[0] <= max(start, query - window)
                assert keys[-1] >= min(end - 1, query if causal else query + window)

    assert (times == 1).all()


@pytest.mark.parametrize("causal", [False, True])
def test_work_and_memory_grow_with_the_length_of_a_document(causal):
    def area(length):
        blocks = document_blocks(torch.tensor([0, length]), causal=causal, window=64)
        return sum(block.count * block.queries * block.keys for block in blocks)

    assert area(8192) < 2.1 * area(4096)
    assert area(8192) < 8192**2 / 20

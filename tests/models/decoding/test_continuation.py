"""Prompts that are answered together: of about one length, and not too many."""

import torch
from bmtool.models.decoding.continuation import _alike, _padded


def test_prompts_of_like_lengths_are_together_and_every_one_is_in_one_part():
    lengths = [9, 1, 8, 30, 2, 31, 8]

    parts = list(_alike(lengths, 100))

    assert sorted(document for part in parts for document in part) == list(range(len(lengths)))
    for part in parts:
        longest = max(lengths[document] for document in part)
        assert lengths[part[-1]] == longest
        assert sum(lengths[document] for document in part) >= 0.5 * longest * len(part)
    assert len(parts) == 3


def test_no_more_are_together_than_are_allowed():
    assert [len(part) for part in _alike([5] * 7, 3)] == [3, 3, 1]


def test_padding_is_on_the_left_and_masked():
    padded = _padded([torch.tensor([7]), torch.tensor([8, 9])], 0)

    assert padded["input_ids"].tolist() == [[0, 7], [8, 9]]
    assert padded["attention_mask"].tolist() == [[0, 1], [1, 1]]

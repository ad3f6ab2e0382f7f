"""Noise hides tokens at the places it is given, and leaves the batch that it was made of as it was."""

import sys
from pathlib import Path

import numpy as np
import torch
from bmtool.models.goals.noise import hidden

sys.path.insert(0, str(Path(__file__).parents[2]))
from packing import make_batch


def test_about_the_share_asked_for_is_hidden_and_only_there():
    batch, positions = make_batch(), np.arange(10, 50)
    before = batch.input_ids.clone()

    found = hidden(batch, positions, 0.5, 999, np.random.default_rng(0)).input_ids[0]

    changed = torch.nonzero(found == 999)[:, 0].numpy()
    assert 10 <= len(changed) <= 30
    assert set(changed) <= set(positions)
    assert torch.equal(batch.input_ids, before)
    assert torch.equal(found[:10], before[0, :10])


def test_without_a_mask_tokens_are_replaced_by_others_of_these_texts():
    batch, positions = make_batch(), np.arange(5, 30)

    found = hidden(batch, positions, 0.9, None, np.random.default_rng(0)).input_ids[0]

    assert not torch.equal(found, batch.input_ids[0])
    assert set(found[5:30].tolist()) <= set(batch.input_ids[0, 5:30].tolist())


def test_no_noise_changes_nothing():
    batch = make_batch()

    assert torch.equal(hidden(batch, np.arange(5), 0.0, 7, np.random.default_rng(0)).input_ids, batch.input_ids)
    nowhere = np.zeros(0, np.int64)
    assert torch.equal(hidden(batch, nowhere, 0.5, None, np.random.default_rng(0)).input_ids, batch.input_ids)

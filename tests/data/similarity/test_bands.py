"""Bands of sketches."""

from __future__ import annotations

import numpy as np
from bmtool.data.similarity.bands import BANDS, Sketches, band_keys
from bmtool.data.similarity.fingerprints import VALUES, WORDLESS


class Held:
    def __init__(self, sketches):
        self.sketches = sketches

    def __len__(self):
        return len(self.sketches)

    def load(self):
        return self.sketches


def test_two_bands_share_one_value_at_most_and_each_value_is_in_two():
    shared = [len(set(a) & set(b)) for i, a in enumerate(BANDS.tolist()) for b in BANDS[:i].tolist()]

    assert max(shared) == 1
    assert np.bincount(BANDS.ravel()).tolist() == [2] * VALUES


def test_keys_are_equal_where_all_values_of_a_band_are():
    rng = np.random.default_rng(0)
    sketches = rng.integers(2**16, size=(400, VALUES)).astype(np.uint16)
    for row in range(200):
        same = rng.random(VALUES) < 0.9
        sketches[200 + row, same] = sketches[row, same]
    keys = np.empty((len(BANDS), 400), np.uint64)

    band_keys(sketches, BANDS, keys)

    agree = np.array(
        [[(sketches[row, band] == sketches[200 + row, band]).all() for row in range(200)] for band in BANDS]
    )
    assert 0 < agree.sum() < agree.size
    assert ((keys[:, :200] == keys[:, 200:]) == agree).all()


def test_a_text_without_words_and_a_row_left_out_have_key_zero():
    sketches = np.arange(3 * VALUES, dtype=np.uint16).reshape(3, VALUES)
    sketches[1] = WORDLESS

    keys = Sketches([Held(sketches)]).keys(BANDS, np.array([True, True, False]))

    assert (keys[:, 0] != 0).all()
    assert (keys[:, 1:] == 0).all()


def test_rows_come_from_their_units_in_order():
    sketches = np.arange(7 * VALUES, dtype=np.uint16).reshape(7, VALUES)
    held = Sketches([Held(part) for part in np.split(sketches, [0, 2, 2, 5])])

    assert len(held) == 7
    assert (held.rows(np.array([0, 1, 4, 6])) == sketches[[0, 1, 4, 6]]).all()
    assert [start for start, _ in held.parts()] == [0, 2, 5]

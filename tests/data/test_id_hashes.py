"""xxh3 of many ids at once is that of each alone."""

from __future__ import annotations

import numpy as np
import pytest
import xxhash
from bmtool.data.id_hashes import ID_BYTES, hash_ids


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**63 - 1])
def test_each_hash_is_that_of_xxhash(seed):
    drawn = np.random.default_rng(seed).integers(0, 256, (2000, ID_BYTES), np.uint8)
    values = [bytes(ID_BYTES), b"\xff" * ID_BYTES, *(row.tobytes() for row in drawn)]

    found = hash_ids(np.frombuffer(b"".join(values), np.uint8), seed)

    assert found.tolist() == [xxhash.xxh3_64_intdigest(value, seed) for value in values]


def test_no_value_has_no_hash():
    assert hash_ids(np.zeros(0, np.uint8), 3).shape == (0,)

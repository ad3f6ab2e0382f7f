"""Windows over long texts: nothing is lost, and each token is judged where it has most context."""

import numpy as np
import pytest
from bmtool.data.examples.overlapping import Windows


@pytest.mark.parametrize("overlap", [0, 1, 3, 7, 50])
@pytest.mark.parametrize("room", [1, 2, 7, 12])
def test_every_token_is_in_one_window_or_two_and_judged_where_it_has_most_context(room, overlap):
    full = np.asarray([0, 1, room, room + 1, 40, 2 * room])

    windows = Windows.over(full, np.full(len(full), room), overlap)

    def context(window, place):
        start, end = windows.starts[window], windows.starts[window] + windows.lengths[window]
        if not start <= place < end:
            return -1
        is_last = end == full[windows.rows[window]]
        return min(np.inf if start == 0 else place - start, np.inf if is_last else end - 1 - place)

    assert windows.rows[windows.firsts].tolist() == list(range(len(full)))
    assert windows.lengths.max() <= room
    rows, places = np.repeat(np.arange(len(full)), full), np.concatenate([np.arange(one) for one in full])
    judged = windows.best_for(rows, places)
    assert (np.diff(judged) >= 0).all()
    for row, place, window in zip(rows, places, judged, strict=True):
        contexts = [context(one, place) for one in np.flatnonzero(windows.rows == row)]
        assert 1 <= sum(one >= 0 for one in contexts) <= 2
        assert context(window, place) == max(contexts) >= 0


def test_neighbours_share_as_many_tokens_as_asked_for():
    windows = Windows.over(np.asarray([20]), np.asarray([8]), 3)

    assert windows.starts.tolist() == [0, 5, 10, 15]
    assert windows.lengths.tolist() == [8, 8, 8, 5]

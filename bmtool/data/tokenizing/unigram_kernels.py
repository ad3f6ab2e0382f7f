"""What is compiled of learning Unigram pieces: how often each is used, and the best cut of each piece."""

from __future__ import annotations

import numpy as np

from bmtool.data.compiled import nb

#: Longest piece: SentencePiece's default.
MAX_PIECE_CHARS = 16

#: Longer words are learned from in parts: probabilities of so many characters still fit into a double.
MAX_WORD_CHARS = 32

#: No piece is less likely than e^-20.
LEAST = -20.0

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@nb.njit(nogil=True, cache=True)
def expect(  # type: ignore[no-untyped-def]
    text, offsets, counts, probabilities, keys, children, accepts, expected
):
    """Add to `expected` how often each piece is used, over all ways to write each word (forward and backward)."""
    last = np.uint64(len(keys) - 1)
    forward = np.empty(4 * MAX_WORD_CHARS + 1)
    backward = np.empty(4 * MAX_WORD_CHARS + 1)
    edges = np.empty((4 * MAX_WORD_CHARS * MAX_PIECE_CHARS, 3), np.int32)
    for word in range(len(counts)):
        first = offsets[word]
        size = offsets[word + 1] - first
        forward[: size + 1] = 0.0
        backward[: size + 1] = 0.0
        forward[0] = 1.0
        backward[size] = 1.0
        num_edges = 0
        for start in range(size):
            if forward[start] == 0.0:
                continue
            node = 0
            for end in range(start, size):
                key = (np.uint64(node) << np.uint64(8) | np.uint64(text[first + end])) + np.uint64(1)
                slot = ((key * _GOLDEN) >> np.uint64(40)) & last
                while keys[slot] != 0 and keys[slot] != key:
                    slot = (slot + np.uint64(1)) & last
                if keys[slot] == 0:
                    break
                node = children[slot]
                piece = accepts[node]
                if piece >= 0:
                    forward[end + 1] += forward[start] * probabilities[piece]
                    edges[num_edges, 0] = start
                    edges[num_edges, 1] = end + 1
                    edges[num_edges, 2] = piece
                    num_edges += 1
        share = counts[word] / forward[size]
        for edge in range(num_edges - 1, -1, -1):
            start, end, piece = edges[edge, 0], edges[edge, 1], edges[edge, 2]
            through = probabilities[piece] * backward[end]
            backward[start] += through
            expected[piece] += share * forward[start] * through


@nb.njit(nogil=True, cache=True)
def best_cuts(  # type: ignore[no-untyped-def]
    text, offsets, counts, scores, keys, children, accepts, whole_too, used, best_scores, chosen
):
    """Add to `used` the pieces of the likeliest way to write each word, and give its score.

    Without `whole_too` a word isn't written by the piece that is equal to it. `chosen` (W, c) gets the first c pieces,
    from the end.
    """
    last = np.uint64(len(keys) - 1)
    best = np.empty(4 * MAX_WORD_CHARS + 1)
    back = np.empty((4 * MAX_WORD_CHARS + 1, 2), np.int64)
    for word in range(len(counts)):
        first = offsets[word]
        size = offsets[word + 1] - first
        best[: size + 1] = -np.inf
        best[0] = 0.0
        for start in range(size):
            if best[start] == -np.inf:
                continue
            node = 0
            for end in range(start, size):
                key = (np.uint64(node) << np.uint64(8) | np.uint64(text[first + end])) + np.uint64(1)
                slot = ((key * _GOLDEN) >> np.uint64(40)) & last
                while keys[slot] != 0 and keys[slot] != key:
                    slot = (slot + np.uint64(1)) & last
                if keys[slot] == 0:
                    break
                node = children[slot]
                piece = accepts[node]
                if piece < 0 or (not whole_too and start == 0 and end == size - 1):
                    continue
                score = best[start] + scores[piece]
                if score > best[end + 1]:
                    best[end + 1] = score
                    back[end + 1, 0] = start
                    back[end + 1, 1] = piece
        best_scores[word] = best[size]
        end = size
        n = 0
        while end > 0 and best[size] > -np.inf:
            used[back[end, 1]] += counts[word]
            if n < chosen.shape[1]:
                chosen[word, n] = back[end, 1]
            n += 1
            end = back[end, 0]

import itertools
import math

import numpy as np
from bmtool.data.tokenizing.unigram import _digamma, _seeds, _trie, _words, learn_pieces
from bmtool.data.tokenizing.unigram_kernels import best_cuts, expect

PIECES = ["▁", "a", "b", "c", "ab", "▁a", "bc", "abc"]
SCORES = np.log(np.array([0.2, 0.1, 0.1, 0.1, 0.15, 0.15, 0.1, 0.1]))


def ways(word):
    """All ways to write a word with PIECES, as lists of their numbers."""
    if not word:
        return [[]]
    return [
        [number, *rest]
        for number, piece in enumerate(PIECES)
        if word.startswith(piece)
        for rest in ways(word[len(piece) :])
    ]


def likelihood(way):
    return math.exp(sum(SCORES[number] for number in way))


def test_expected_counts_are_those_of_all_ways_to_write_a_word():
    words = _words([("▁abc", 3), ("▁ab", 2), ("▁", 1)])
    expected = np.zeros(len(PIECES))

    expect(words.text, words.offsets, words.counts, np.exp(SCORES), *_trie(PIECES), expected)

    right = np.zeros(len(PIECES))
    for word, count in (("▁abc", 3), ("▁ab", 2), ("▁", 1)):
        total = sum(map(likelihood, ways(word)))
        for way in ways(word):
            np.add.at(right, way, count * likelihood(way) / total)
    np.testing.assert_allclose(expected, right)


def test_the_best_way_is_the_likeliest_of_all_with_or_without_the_whole_word():
    words = _words([("▁abc", 1), ("abc", 1), ("ab", 1)])

    for whole in (True, False):
        used, best, chosen = np.zeros(len(PIECES)), np.zeros(3), np.full((3, 8), -1)
        best_cuts(words.text, words.offsets, words.counts, SCORES, *_trie(PIECES), whole, used, best, chosen)
        for row, word in enumerate(("▁abc", "abc", "ab")):
            allowed = [way for way in ways(word) if whole or len(way) > 1]
            right = max(allowed, key=likelihood)
            assert [one for one in chosen[row].tolist()[::-1] if one >= 0] == right
            assert math.isclose(best[row], math.log(likelihood(right)))


def test_seeds_are_the_repeated_substrings_that_are_not_always_part_of_a_longer_one():
    parts = [("▁abcab", 1), ("▁abd", 2), ("▁x", 1)]

    pieces, frequencies = _seeds(parts, ["▁", "a", "b", "c", "d", "x"], 100)

    counted = {}
    for word, count in parts:
        for start, end in itertools.combinations(range(len(word) + 1), 2):
            counted[word[start:end]] = counted.get(word[start:end], 0) + count
    right = {
        piece
        for piece, count in counted.items()
        if len(piece) > 1
        and count > 1
        and not any(len(one) == len(piece) + 1 and one.startswith(piece) and counted[one] == count for one in counted)
    }
    assert set(pieces[6:]) == right
    assert dict(zip(pieces, frequencies.tolist(), strict=True)) == {piece: counted[piece] for piece in pieces}


def test_pieces_are_as_many_as_wanted_likeliest_first_and_hold_the_alphabet():
    words = {
        f"▁{a}{b}{c}": 1 + (7 * i) % 5 for i, (a, b, c) in enumerate(itertools.product("abcdefg", "hijk", "lmnop"))
    }

    pieces = learn_pieces(words, 40, max_alphabet=30)

    assert len(pieces) == 40
    assert {piece for piece, _ in pieces} >= set("▁abcdefghijklmnop")
    assert [score for _, score in pieces] == sorted((score for _, score in pieces), reverse=True)
    assert pieces == learn_pieces(dict(reversed(words.items())), 40, max_alphabet=30)


def test_frequent_words_become_pieces_and_rare_characters_none():
    pieces = dict(learn_pieces({"▁banana": 50, "▁bandana": 40, "▁x": 30, "▁☃": 1}, 20, max_alphabet=6))

    assert {"▁banana", "▁bandana"} <= set(pieces)
    assert "☃" not in pieces


def test_a_long_run_is_learned_from_in_parts():
    assert len(learn_pieces({"▁" + "ab" * 5000: 1}, 10, max_alphabet=5)) <= 10


def test_no_words_give_no_pieces():
    assert learn_pieces({}, 10, max_alphabet=5) == []


def test_digamma_is_that_of_the_recurrence_and_of_one():
    assert math.isclose(_digamma(1.0), -0.5772156649015329, rel_tol=1e-7)
    assert math.isclose(_digamma(0.5) + 2, _digamma(1.5), rel_tol=1e-7)

"""Noise in texts: spans as T5's own code draws them, lengths as Poisson's, sentences that change places."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from bmtool.data.examples.noise import (
    Spans,
    noise_counts,
    replaced_spans,
    sentence_ends_of,
    shuffled_sentences,
    spans_apart,
    spans_of_poisson,
)
from bmtool.tokenizers.bpe import Bpe


def random_spans_noise_mask(length, noise_density, rng, mean_noise_span_length=3.0):
    """T5's function of this name (text-to-text-transfer-transformer, t5/data/preprocessors.py), in numpy."""
    orig_length = length
    length = max(length, 2)
    num_noise_tokens = int(np.round(np.float32(length) * np.float32(noise_density)))
    num_noise_tokens = min(max(num_noise_tokens, 1), length - 1)
    num_noise_spans = max(int(np.round(num_noise_tokens / mean_noise_span_length)), 1)
    num_nonnoise_tokens = length - num_noise_tokens

    def random_segmentation(num_items, num_segments):
        first_in_segment = (np.arange(num_items - 1) < num_segments - 1).astype(int)
        rng.shuffle(first_in_segment)
        segment_id = np.cumsum(np.pad(first_in_segment, [[1, 0]]))
        return np.bincount(segment_id)

    noise_span_lengths = random_segmentation(num_noise_tokens, num_noise_spans)
    nonnoise_span_lengths = random_segmentation(num_nonnoise_tokens, num_noise_spans)
    interleaved = np.stack([nonnoise_span_lengths, noise_span_lengths], axis=1).reshape(num_noise_spans * 2)
    span_starts = np.cumsum(interleaved)[:-1]
    indicator = np.bincount(span_starts, minlength=length)
    return (np.cumsum(indicator) % 2 == 1)[:orig_length]


def noise_span_to_unique_sentinel(tokens, noise_mask, first_sentinel):
    """T5's function of this name; its sentinels count down from the end of the vocabulary."""
    prev_token_is_noise = np.pad(noise_mask[:-1], [[1, 0]])
    first_noise_tokens = noise_mask & ~prev_token_is_noise
    subsequent_noise_tokens = noise_mask & prev_token_is_noise
    sentinel = first_sentinel + 1 - np.cumsum(first_noise_tokens)
    return np.where(first_noise_tokens, sentinel, tokens)[~subsequent_noise_tokens]


def mask_of(spans, length):
    mask = np.zeros(length, dtype=bool)
    for start, count in zip(*spans, strict=True):
        mask[start : start + count] = True
    return mask


def spans_of(mask):
    borders = np.flatnonzero(np.diff(mask.astype(int), prepend=0, append=0))
    return Spans(borders[::2], borders[1::2] - borders[::2])


@pytest.mark.parametrize(("ratio", "mean"), [(0.15, 3.0), (0.5, 3.0), (0.15, 8.0)])
def test_as_much_is_left_out_in_as_many_spans_as_in_t5(ratio, mean):
    lengths = np.arange(2, 600)

    hidden, counts = noise_counts(lengths, ratio, mean)

    for length, ours, spans in zip(lengths.tolist(), hidden.tolist(), counts.tolist(), strict=True):
        mask = random_spans_noise_mask(length, ratio, np.random.default_rng(0), mean)
        assert (ours, spans) == (mask.sum(), len(spans_of(mask).starts)), length


def test_masks_are_drawn_as_often_as_each_other_and_t5s_are_those_that_end_with_a_span():
    length, hidden, count = 9, 4, 2
    ours, theirs = Counter(), Counter()
    rng, other = np.random.default_rng(0), np.random.default_rng(1)

    for _ in range(6000):
        ours[tuple(mask_of(spans_apart(length, hidden, count, rng), length).tolist())] += 1
        theirs[tuple(random_spans_noise_mask(length, 0.4, other, 2.0).tolist())] += 1

    every = [mask for mask in product([False, True], repeat=length) if sum(mask) == hidden]
    assert ours.keys() == {mask for mask in every if len(spans_of(np.array(mask)).starts) == count}
    assert theirs.keys() == {mask for mask in ours if mask[-1] and not mask[0]}
    for drawn in (ours, theirs):
        expected = 6000 / len(drawn)
        assert all(abs(times - expected) < 5 * expected**0.5 for times in drawn.values())


@pytest.mark.parametrize("length", [2, 3, 7, 20, 333])
def test_sources_and_targets_are_those_of_t5(length):
    tokens = np.arange(5, 5 + length)
    mask = random_spans_noise_mask(length, 0.15, np.random.default_rng(length))
    spans = spans_of(mask)

    source, target = replaced_spans(tokens, spans, [9999 - number for number in range(len(spans.starts))])

    assert source.tolist() == noise_span_to_unique_sentinel(tokens, mask, 9999).tolist()
    assert target.tolist() == noise_span_to_unique_sentinel(tokens, ~mask, 9999).tolist()


def test_a_text_of_one_token_is_left_out_whole():
    hidden, count = noise_counts(1, 0.15, 3.0)

    spans = spans_apart(1, int(hidden), int(count), np.random.default_rng(0))

    assert [part.tolist() for part in replaced_spans(np.array([7]), spans, [9])] == [[9], [9, 7]]


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.6, 0.95])
def test_spans_of_poisson_hide_their_share_apart_from_each_other(ratio):
    length, rng = 200, np.random.default_rng(0)
    hidden, count = (int(number) for number in noise_counts(length, ratio, 3.0))

    for _ in range(50):
        spans = spans_of_poisson(length, hidden, count, rng)

        assert spans.lengths.sum() == hidden == mask_of(spans, length).sum()
        assert (spans.starts[1:] > spans.starts[:-1] + spans.lengths[:-1]).all()
        assert spans.starts[-1] + spans.lengths[-1] <= length


def test_lengths_of_spans_are_poissons():
    rng = np.random.default_rng(0)

    lengths = np.concatenate([spans_of_poisson(2000, 600, 200, rng).lengths for _ in range(100)])

    shares = np.bincount(lengths, minlength=9)[:9] / len(lengths)
    poisson = [np.exp(-3) * 3**k / np.prod(np.arange(1, k + 1)) for k in range(9)]
    np.testing.assert_allclose(shares, poisson, atol=0.01)


def test_a_span_without_tokens_is_a_filler_between_two():
    source, target = replaced_spans(np.array([1, 2, 3]), Spans(np.array([0, 2]), np.array([1, 0])), [8, 9])

    assert source.tolist() == [8, 2, 9, 3]
    assert target.tolist() == [8, 1, 9]


def test_sentences_change_places_whole():
    tokens = np.array([1, 0, 2, 3, 0, 0, 4, 5, 0, 6])
    sentences = {(1, 0), (2, 3, 0, 0), (4, 5, 0), (6,)}
    seen = set()

    for seed in range(200):
        shuffled = shuffled_sentences(tokens, (0,), 1.0, np.random.default_rng(seed)).tolist()
        seen.add(tuple(shuffled))
        assert sorted(shuffled) == sorted(tokens.tolist())
        text = ",".join(map(str, shuffled))
        assert all(",".join(map(str, sentence)) in text for sentence in sentences)

    assert len(seen) == 24


def test_a_share_of_the_sentences_moves():
    tokens = np.tile([1, 0], 10) + np.repeat(np.arange(10), 2) * np.tile([1, 0], 10)

    moved = shuffled_sentences(tokens, (0,), 0.3, np.random.default_rng(1))

    assert 0 < (moved != tokens).sum() <= 3
    assert shuffled_sentences(tokens, (0,), 0.0, np.random.default_rng(1)).tolist() == tokens.tolist()
    assert shuffled_sentences(tokens[:2], (0,), 1.0, np.random.default_rng(1)).tolist() == [1, 0]


def test_ends_of_sentences_are_found_by_what_tokens_say():
    tokenizer = Bpe(vocab_size=300).train(["a b. c! d? 完了。 e 1.5"] * 3)

    ends = sentence_ends_of(tokenizer)

    texts = {tokenizer.decode([token]) for token in ends}
    assert {".", "!", "?"} <= texts
    assert all(text.rstrip()[-1] in ".!?\u3002" for text in texts)

"""Fingerprints: an exact hash that ignores case and white space, and a sketch that estimates similarity."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xxhash
from bmtool.data.similarity.fingerprints import VALUES, WORDLESS, sketch, text_hashes
from bmtool.data.similarity.shingles import WORDS_HELD
from bmtool.data.text.documents import text_buffers
from bmtool.data.text.words import count_words
from hypothesis import given, settings
from hypothesis import strategies as st


def sketches_of(*texts: str):
    return sketch(*text_buffers(pa.array(texts, pa.string())))


SPACES = r"\t\n\v\f\r\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"


def normalised(texts: pa.Array) -> pa.Array:
    """Texts in lower case with folded white space, by pyarrow's kernels."""
    folded = pc.replace_substring_regex(pc.utf8_lower(texts), rf"[ {SPACES}]{{2,}}|[{SPACES}]", " ")
    return pc.utf8_trim(folded, characters=" ")


def words_of(text: str) -> list[str]:
    """The rule of `bmtool.data.text.words` once more, one character at a time."""
    from bmtool.data.text.words import ALONE, LETTER, lower_case, word_classes

    words, run = [], ""
    for character in text:
        kind = word_classes()[ord(character)]
        lowered = chr(lower_case()[ord(character)]) if ord(character) < 0x10000 else character
        if kind == LETTER:
            run += lowered
            continue
        words += [run] if run else []
        words += [lowered] if kind == ALONE else []
        run = ""
    return [*words, run] if run else words


def shingles_of(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)} or ({tuple(words)} if words else set())


mixed_text = st.text(
    st.sampled_from("aB c.D\u00e9\u00c9\u0394\u03b4 \u4f60\u597d\u3002\u0e01\U00010400\U00020000 \n-_9"), max_size=60
)


@settings(deadline=None, max_examples=200)
@given(st.lists(mixed_text, min_size=1, max_size=4))
def test_sketches_are_equal_exactly_where_the_sets_of_shingles_are(texts):
    sketches, words = sketches_of(*texts)

    assert words.tolist() == [len(words_of(text)) for text in texts]
    assert words.tolist() == count_words(*text_buffers(pa.array(texts, pa.string()))).tolist()
    for i, a in enumerate(texts):
        assert (sketches[i] == WORDLESS).all() == (not words_of(a))
        for j, b in enumerate(texts):
            assert (sketches[i] == sketches[j]).all() == (shingles_of(a) == shingles_of(b))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400), st.integers(0, 400), st.integers(0, 400), st.integers(0, 2**32))
def test_estimate_is_within_binomial_bounds_of_the_exact_similarity(shared, only_a, only_b, seed):
    names = np.random.default_rng(seed).integers(10**12, size=shared + only_a + only_b + 12).astype(str).tolist()
    common, a, b = names[: shared + 4], names[shared + 4 : shared + only_a + 8], names[shared + only_a + 8 :]
    texts = " ".join(a + common), " ".join(b + common)

    sketches, _ = sketches_of(*texts)

    sets = [shingles_of(text) for text in texts]
    exact = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    bound = 5.5 * np.sqrt(exact * (1 - exact) / VALUES) + 1 / VALUES
    assert abs((sketches[0] == sketches[1]).mean() - exact) <= bound


def test_estimate_has_no_bias_and_the_binomial_spread():
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(300):
        words = rng.integers(10**9, size=156).astype(str).tolist()
        edited = [*words[:75], "edited", *words[76:]]
        sketches, _ = sketches_of(" ".join(words), " ".join(edited))
        differences.append((sketches[0] == sketches[1]).mean() - 147 / 157)

    spread = np.sqrt(147 / 157 * 10 / 157 / VALUES)
    assert abs(np.mean(differences)) < 4 * spread / np.sqrt(300)
    assert np.std(differences) == pytest.approx(spread, rel=0.2)


def test_texts_of_one_shingle_dont_collide_in_single_values():
    sketches, _ = sketches_of(*(f"text{i}" for i in range(4000)))

    assert all(len(np.unique(sketches[:, value])) > 3700 for value in range(VALUES))


def test_a_text_longer_than_what_is_held_has_all_its_shingles():
    words = [f"w{i}" for i in range(3 * WORDS_HELD)]
    sketches, counts = sketches_of(" ".join(words), " ".join(words[1:]), " ".join([*words, *words[100:9000]]))

    assert counts.tolist() == [len(words), len(words) - 1, len(words) + 8900]
    assert (sketches[0] == sketches[1]).mean() > 0.95
    assert (sketches[0] == sketches[2]).mean() > 0.95


def test_sketches_dont_depend_on_the_batch():
    texts = ["one two three", "", "Eins zwei drei vier f\u00fcnf sechs", "\u4f60\u597d\u4f60\u597d\u4f60\u597d"] * 3
    together, _ = sketches_of(*texts)

    alone = [sketches_of(text)[0][0] for text in texts]
    assert (together == np.array(alone)).all()
    assert sketches_of()[0].shape == (0, VALUES)


def test_sketch_is_the_same_for_ever():
    sketches, _ = sketches_of("The quick brown fox jumps over the lazy dog.")

    assert xxhash.xxh3_64_hexdigest(sketches.astype("<u2").tobytes()) == "7fe278a569c833ea"


every_text = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \t\n\u3000A\u0130\u212a\u023a\u1e9e"), max_size=30
)


@settings(deadline=None, max_examples=300)
@given(st.lists(every_text, max_size=5))
def test_hash_is_that_of_the_normalised_text(texts):
    column = pa.array(texts, pa.string())
    expected = normalised(column)

    hashes = text_hashes(column)

    assert hashes.dtype == np.dtype("S16")
    assert (
        hashes.tolist()
        == np.array([xxhash.xxh3_128_digest(text.encode()) for text in expected.to_pylist()], "S16").tolist()
    )


def test_every_character_is_folded_as_arrow_does():
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    column = pa.array([f" {chr(code)}x{chr(code)}{chr(code)} " for code in codes])
    expected = normalised(column)

    assert (text_hashes(column) == text_hashes(expected)).all()
    digests = [xxhash.xxh3_128_digest(text) for text in expected.cast(pa.binary()).to_pylist()]
    assert (text_hashes(column) == np.array(digests, "S16")).all()

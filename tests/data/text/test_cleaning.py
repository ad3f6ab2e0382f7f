import re
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from bmtool.data.text.cleaning import drop_lines, fold_white_space, normalise
from hypothesis import given, settings
from hypothesis import strategies as st

INVISIBLE = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{84}\x{86}-\x{9f}\x{ad}\x{200b}\x{2060}\x{feff}]"
SPACES = r"\t\v\f\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}"


def normalised_slowly(texts, form):
    return pc.utf8_normalize(pc.replace_substring_regex(texts, INVISIBLE, ""), form=form)


def folded_slowly(texts):
    texts = pc.replace_substring_regex(texts, r"\r\n?|[\x{85}\x{2028}\x{2029}]", "\n")
    texts = pc.replace_substring_regex(texts, rf"[ {SPACES}]{{2,}}|[{SPACES}]", " ")
    texts = pc.replace_substring_regex(texts, r" ?\n ?", "\n")
    texts = pc.replace_substring_regex(texts, r"\n{3,}", "\n\n")
    return pc.utf8_trim(texts, characters=" \n")


#: Letters that compose, marks out of order, jamo, invisible characters, and much that needs nothing.
MARKED = "aeo A\u00e9\u0301\u0327\u0323\u0308\u1100\u1161\u11a8\uac00\u00ad\u200b\u200d\ufeff\x07\x85\t\n"
MARKED += "\u8fd9\uff46\ufb01\u00b2\u00c5\u212b\u0344\u0958"
CHARACTERS = st.one_of(st.sampled_from(MARKED), st.characters(exclude_categories=("Cs",)))
INSIDE_ASCII = st.text(CHARACTERS, max_size=8).map(lambda text: "x" * 40 + text + "y" * 40)
TEXTS = st.lists(st.one_of(st.text(CHARACTERS, max_size=40), INSIDE_ASCII), max_size=6)

BLANK = [
    " ",
    "  ",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\x0b",
    "\x0c",
    "\x85",
    "\xa0",
    "\u2028",
    "\u2029",
    "\u3000",
    "\u2003",
    "\u205f",
    "\u1680",
]
BLACK = [
    "a",
    "word",
    "\u8fd9",
    "\u00a1",
    "\u314f",
    "\u200b",
    "\x00",
    "x" * 31,
    "y" * 32,
    "z" * 33,
    "one two three " * 4,
]
SPACED = st.lists(st.sampled_from(BLANK) | st.sampled_from(BLACK), max_size=30).map("".join)


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_each_character_is_normalised_as_by_pyarrow(form):
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts = pa.array([f"a{one}b" for one in every] + every, pa.string())

    assert normalise(texts, form).equals(normalised_slowly(texts, form))


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(["NFC", "NFKC"]))
def test_texts_are_normalised_as_by_pyarrow(texts, form):
    array = pa.array(texts, pa.string())

    assert normalise(array, form).equals(normalised_slowly(array, form))


def test_a_text_that_needs_nothing_is_left_where_it_is():
    texts = pa.array(["plain ASCII\twith\r\nline ends" * 9, "Dvořák, naïve", "这家餐厅很好", "한국어", "ไทย", "नमस्ते"])

    assert normalise(texts, "NFC") is texts
    assert all(unicodedata.is_normalized("NFC", text) for text in texts.to_pylist())


@settings(max_examples=500, deadline=None)
@given(st.lists(SPACED, max_size=5))
def test_white_space_is_folded_as_by_regular_expressions(texts):
    array = pa.array(texts, pa.string())

    assert fold_white_space(array).equals(folded_slowly(array))


@settings(max_examples=200, deadline=None)
@given(SPACED)
def test_folded_white_space_stays(text):
    once = fold_white_space(pa.array([text]))

    assert fold_white_space(once).equals(once)


@pytest.mark.parametrize("clean", [fold_white_space, lambda texts: normalise(texts, "NFC")])
def test_slices_types_and_empty_arrays_are_kept(clean):
    texts = ["skip\xa0me", "a\u0301 b", "", " c\n\n\nd "]

    for kind in (pa.string(), pa.large_string()):
        array = pa.array(texts, kind)
        assert clean(array.slice(1)).equals(clean(pa.array(texts[1:], kind)))
        assert clean(array).type == kind
        assert clean(pa.array([], kind)).to_pylist() == []


def test_lines_that_match_are_dropped_and_the_others_joined():
    texts = pa.array(["a\nx1\nb", "x1\nx2", "a\n\nx1", "x1", "no", "", "x1\n"])

    dropped = drop_lines(texts, "^x[0-9]$")

    assert dropped.to_pylist() == ["a\nb", "", "a\n", "", "no", "", ""]
    assert dropped.to_pylist() == [
        "\n".join(x for x in t.split("\n") if not re.search("^x[0-9]$", x)) for t in texts.to_pylist()
    ]
    assert drop_lines(texts, "never") is texts

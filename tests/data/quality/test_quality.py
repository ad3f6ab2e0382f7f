import re
from collections import Counter

import numba as nb
import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.quality.hashing import SHORT, check_of, hash_of
from bmtool.data.quality.measure import measure, measure_texts
from bmtool.data.quality.memo import Memo, look_up
from bmtool.data.quality.segments import Segments, kinds_of_characters
from bmtool.data.quality.tables import tables
from bmtool.data.quality.tokens import cut, decode, scratch
from bmtool.data.quality.wide import is_stop, load_stops
from bmtool.data.text.documents import Documents, text_buffers
from hypothesis import given, settings
from hypothesis import strategies as st

# ruff: noqa: RUF001 - characters that look like others are tested on purpose

#: Segments, and their tokens as spaCy 3.8.18's blank English tokenizer cuts them.
SPACY = r"""
Hello, => Hello ,
isn't => is n't
can't. => ca n't .
we'll've => we 'll 've
Dont's => Do nt 's
cannot => can not
don’t => do n’t
U.S. => U.S.
e.g. => e.g.
etc. => etc .
Ph.D. => Ph.D.
a.m. => a.m.
10am => 10 am
5km => 5 km
5km. => 5 km .
12%, => 12 % ,
$5.50 => $ 5.50
US$20 => US$ 20
20US$ => 20 US$
3.14 => 3.14
1,000 => 1,000
(e.g. => ( e.g.
"quoted," => " quoted , "
‘single’ => ‘ single ’
it's. => it 's .
(it's) => ( it 's )
rock'n'roll => rock'n'roll
well-known => well - known
2020-2021 => 2020 - 2021
1+1=2 => 1 + 1=2
a/b => a / b
and/or => and/or
w/o => w/o
foo:bar => foo : bar
foo.Bar => foo . Bar
foo.bar => foo.bar
x,y => x , y
... => ...
wait... => wait ...
....dots => .... dots
…so => … so
http://example.com/a?b=c. => http://example.com/a?b=c .
https://user:pw@host.org:8080/x => https://user:pw@host.org:8080/x
www.example.co.uk, => www.example.co.uk ,
me@example.com => me@example.com
8.8.8.8/dns => 8.8.8.8/dns
192.168.0.1/x => 192.168.0.1 / x
file.tar.gz/usr => file.tar.gz/usr
example.c0m/ab => example.c0m / ab
:) => :)
:-)) => :-))
Figure-8-D => Figure-8 - D
foo:) => foo :)
><(((*> => ><(((*>
°F. => ° F .
25°C. => 25 ° C .
C++ => C++
<b>bold</b> => < b > bold</b >
--option=value => --option = value
snake_case_name => snake_case_name
#hashtag => # hashtag
@user => @user
&amp; => & amp ;
50¢ => 50¢
€30 => € 30
naïve => naïve
café. => café .
Straße. => Straße .
Привет, => Привет ,
ДОМ. => ДОМ .
ΑΒΓ. => ΑΒΓ .
हिन्दी। => हिन्दी ।
नमस्ते! => नमस्ते !
안녕하세요. => 안녕하세요 .
שלום. => שלום .
a--b => a -- b
a---b => a --- b
a—b => a — b
it—is => it — is
~home => ~home
'tis => ' tis
y'all's => y' all 's
o'clock => o'clock
[1] => [ 1 ]
{x} => { x }
x^2 => x^2
5'10" => 5'10 "
😀smile => 😀 smile
™brand => ™ brand
No.1 => No.1
AT&T => AT&T
R&D. => R&D.
v1.2.3-beta => v1.2.3 - beta
1st. => 1st .
I'm, => I 'm ,
Im => I m
gonna... => gon na ...
it;s => it;s
«oui» => « oui »
“Yes.” => “ Yes . ”
s'S => s 'S
’s => ’s
's => 's
$ => $
% => %
+ => +
++ => + +
- => -
_ => _
. => .
"""

PROSE = "The cat sat on the mat, and it's with the dog. They have to be good! Isn't that so? Yes. No.[1]\n"
WORDS = [
    "the",
    "cat",
    "dog's",
    "isn't",
    "e.g.",
    "a/b",
    ":)",
    "#",
    "...",
    "1.5km",
    "你好。",
    "ภาษา",
    "x-8-D",
    "http://a.org/b",
]
SPACES = [" ", " ", " ", "  ", "\n", "\n\n", "\r\n", "\t", "\x85", "\u2028", "\u3000", "", ". ", "! ", ".\n", "[1] "]
texts = st.lists(st.sampled_from(WORDS + SPACES), max_size=60).map("".join) | st.text(max_size=60)


def words_of(text):
    """The tokens of each segment of a text, one after the other."""
    found = []
    for segment in text.split():
        data = np.frombuffer(segment.encode(), np.uint8)
        room = scratch(len(data))
        n = cut(data, decode(data, 0, len(data), room, tables().flags), room, tables())
        found += [segment[a:b] for a, b in room.tokens[:n].tolist()]
    return found


def columns(measured):
    return np.column_stack([np.asarray(values, float) for values in vars(measured).values()])


def measured(batch, known):
    return columns(measure_texts(*text_buffers(pa.array(batch, pa.string())), known))


@pytest.mark.parametrize("line", SPACY.strip().splitlines())
def test_segments_are_cut_as_spacy_cuts_them(line):
    segment, _, expected = line.partition(" => ")

    assert words_of(segment) == expected.split(" ")


@given(st.lists(texts, max_size=8), st.data())
@settings(max_examples=60, deadline=None)
def test_a_batch_is_measured_like_each_document_alone_and_in_any_other_split(batch, data):
    at = data.draw(st.integers(0, len(batch)))
    alone = [measured([text], Memo()) for text in batch]

    parts = [measured(part, Memo()) for part in (batch[:at], batch[at:])]

    np.testing.assert_array_equal(np.concatenate(parts), measured(batch, Memo()))
    if batch:
        np.testing.assert_array_equal(np.concatenate(alone), measured(batch, Memo()))


@given(st.lists(texts, min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_a_memo_that_forgets_measures_the_same(batch):
    forgetful = Memo(max_rows=4)

    first, second = measured(batch, forgetful), measured(batch, forgetful)

    assert len(forgetful) <= 4
    np.testing.assert_array_equal(first, measured(batch, Memo()))
    np.testing.assert_array_equal(first, second)


def test_long_segments_are_forgotten_and_their_room_is_given_back():
    memo = Memo(max_rows=100)

    measured(["one two", "x:" * 50_000], memo)
    size = sum(array.nbytes for array in memo.arrays)
    measured(["one two"], memo)

    assert len(memo) == 2
    assert size < 1_000_000


def test_tags_behind_a_flag_are_no_words_of_their_own():
    got = measure_texts(*text_buffers(pa.array(["flag \U0001f3f4\U000e0067\U000e0062 \U000201a9\U000201aa"])), Memo())

    assert got.words[0] == 5  # flag, the black flag, its tags, two Han characters


def duplicates(elements):
    seen, count, chars = set(), 0, 0
    for element in elements:
        if element in seen:
            count, chars = count + 1, chars + len(element)
        seen.add(element)
    return count, chars


def top_gram(words, n):
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    best = Counter(grams).most_common(1)
    return len(best[0][0]) * best[0][1] if best else 0


def repeated_grams(words, n):
    seen, chars, i = set(), 0, 0
    while i < len(words) - n + 1:
        gram = tuple(words[i : i + n])
        if gram in seen:
            chars, i = chars + len("".join(gram)), i + n
        else:
            seen.add(gram)
            i += 1
    return chars


@given(st.lists(st.sampled_from([*(word for word in WORDS if word.isascii()), *SPACES]), max_size=120).map("".join))
@settings(max_examples=100, deadline=None)
def test_numbers_are_those_of_the_published_definitions_in_plain_python(text):
    words, pieces = words_of(text), text.splitlines()
    lines = [line for line in text.split("\n") if line.strip()]

    got = measure_texts(*text_buffers(pa.array([text])), Memo())

    assert got.chars[0] == len(text)
    assert got.words[0] == sum(any(c not in "!/—:%&(#+^]~;'{|[=-`*.$<>,?)…@_\"}" for c in word) for word in words)
    assert got.alpha_ratio[0] * len(words) == pytest.approx(sum(any(map(str.isalpha, word)) for word in words))
    assert got.ellipsis_ratio[0] * len(words) == pytest.approx(text.count("..."))
    assert got.stop_words[0] == len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(words))
    assert got.ellipsis_line_ratio[0] * len(pieces) == pytest.approx(sum(p.rstrip().endswith("...") for p in pieces))
    assert got.lines[0] == len(lines)
    assert got.terminal_line_ratio[0] * len(lines) == pytest.approx(sum(line.endswith((".", "!")) for line in lines))
    assert got.short_line_ratio[0] * len(lines) == pytest.approx(sum(len(line) <= 30 for line in lines))
    if not text:
        return
    count, chars = duplicates(re.split("\n+", text))
    assert got.duplicate_line_ratio[0] * len(re.split("\n+", text)) == pytest.approx(count)
    assert got.duplicate_line_char_ratio[0] * len(text) == pytest.approx(chars)
    count, chars = duplicates(re.split("\n{2,}", text.strip()))
    assert got.duplicate_paragraph_ratio[0] * len(re.split("\n{2,}", text.strip())) == pytest.approx(count)
    assert got.duplicate_paragraph_char_ratio[0] * len(text) == pytest.approx(chars)
    top = [top_gram(words, n) / len(text) for n in (2, 3, 4)]
    assert got.top_gram_char_ratio[0].tolist() == pytest.approx(top)
    repeated = [repeated_grams(words, n) / len(text) for n in range(5, 11)]
    assert got.duplicate_gram_char_ratio[0].tolist() == pytest.approx(repeated)


def test_filters_share_one_measurement():
    documents = Documents(pa.array([PROSE]))

    assert documents.shared(measure) is documents.shared(measure)


def test_sliced_arrays_and_large_strings_are_measured_alike():
    batch = pa.array(["something else", PROSE, ""])

    small = measured(batch[1:].to_pylist(), Memo())
    sliced = columns(measure(Documents(batch[1:])))
    large = columns(measure(Documents(batch.cast(pa.large_string())[1:])))

    np.testing.assert_array_equal(small, sliced)
    np.testing.assert_array_equal(small, large)


def test_segments_of_equal_hash_are_told_apart_by_their_bytes():
    memo = Memo()
    data = np.frombuffer(b"international nationalists international", np.uint8)
    starts, ends, found = np.array([0, 14, 27]), np.array([13, 26, 40]), np.empty(3, np.int32)
    memo.segments(data[:0], np.zeros(2, np.int64))
    segments = Segments(starts, ends, np.full(3, 7, np.uint64), found, np.array([0, 3]), np.zeros(1, np.int64))

    look_up(data, segments, 0, 3, memo.arrays)

    assert found.tolist() == [0, 1, 0]


@given(st.lists(st.text("ab\0é你", min_size=1, max_size=14).map(str.encode), min_size=2, max_size=40, unique=True))
@settings(max_examples=60, deadline=None)
def test_up_to_eleven_bytes_hash_and_check_are_those_of_no_other_string(strings):
    short = [data for data in strings if len(data) <= SHORT]

    keys = [_hash_and_check(data, before=0, behind=0) for data in short]

    assert len(set(keys)) == len(short)


@given(st.binary(min_size=1, max_size=40), st.integers(0, 9), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_hash_does_not_depend_on_what_stands_around(data, before, behind):
    assert _hash_and_check(data, before=before, behind=behind) == _hash_and_check(data, before=0, behind=0)


def _hash_and_check(data, *, before, behind):
    around = np.frombuffer(b"\xff" * before + data + b"z" * behind, np.uint8)
    return int(hash_of(around, before, before + len(data))), int(check_of(around, before, before + len(data)))


def test_every_character_that_ends_a_segment_starts_with_a_stop():
    ending = np.flatnonzero(kinds_of_characters()[:0x20000])
    leads = {chr(code).encode()[0] for code in ending.tolist()} | set("\U00020000\U0003fffd".encode()[:1])

    assert all(is_stop.py_func(lead) for lead in leads)


@given(st.binary(min_size=64, max_size=80), st.integers(0, 16))
@settings(max_examples=60, deadline=None)
def test_stops_are_found_in_64_bytes_at_once_as_one_by_one(data, start):
    start = min(start, len(data) - 64)

    bits = int(_stops_at(np.frombuffer(data, np.uint8), start))

    assert bits == sum(bool(is_stop.py_func(byte)) << place for place, byte in enumerate(data[start : start + 64]))


@nb.njit
def _stops_at(data, start):
    return load_stops(data, start)
